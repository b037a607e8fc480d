"""What a book is made of: chapters, sections, and what each section says about where its audio is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSection:
    """One section: its ``text``, and what the app wrote down of its audio.

    ``path`` is the stored path (or the name of an old local file), ``backend`` where the app thinks it is (``local``,
    ``supabase``), ``upload_id`` the id of the stored file. All of them are claims, which only count for the book's
    owner.
    """

    id: str | None = None
    name: str = ""
    text: str = ""
    path: str | None = None
    backend: str | None = None
    upload_id: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookChapter:
    """One chapter, its sections in the order in which they are heard."""

    id: str | None = None
    name: str = ""
    sections: tuple[BookSection, ...] = ()
