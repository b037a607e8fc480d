"""The book that an export is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from audiostore.export.gathering import Takes, gather_chapters
from audiostore.export.naming import portable
from audiostore.export.projects import parse_project
from audiostore.export.sections import BookChapter, BookSection
from audiostore.models import Place, PlaceId, parse_text
from audiostore.store import AudioStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A book of one owner: chapters, and in them sections that refer to audio. A value; nothing is looked up yet.

    >>> book = Book.from_project({"title": "Tides", "chapters": [{"name": "One", "sections": []}]}, owner="alice")
    >>> book.title, [chapter.name for chapter in book.chapters]
    ('Tides', ['One'])

    ``project`` is where its files are in the store, as far as that is known.
    """

    owner: str
    title: str = ""
    author: str = ""
    narrator: str = ""
    language: str = ""
    project: str | None = None
    chapters: tuple[BookChapter, ...] = ()

    def __post_init__(self) -> None:
        parse_text("owner", self.owner)

    @classmethod
    def from_project(cls, project: Mapping[str, Any] | str | bytes, *, owner: str, project_id: PlaceId = None) -> Self:
        """Read the JSON that an app keeps of a project, as text or parsed: ``chapters[].sections[]`` with ``id``,
        ``name`` (or ``title``), ``text``, ``audioPath``, ``storageBackend``, ``uploadId``, ``status``.

        A row of a projects table (``id``, ``project_data``) will do as well. Whoever it says it belongs to, the
        references in it count for *owner* alone. Fields that are not known are passed over; a known one of a wrong
        type is refused, and so is a project of more than 32 MB, 10 000 chapters or 100 000 sections.

        Raises:
            InvalidBook: it is no such JSON; ``where`` says at which place.

        """
        facts = parse_project(project)
        if project_id is not None:
            facts["project"] = Place.of(project_id).project
        return cls(owner=parse_text("owner", owner), **facts)

    @classmethod
    def from_catalog(
        cls,
        store: AudioStore,
        *,
        owner: str,
        project: PlaceId,
        title: str = "",
        author: str = "",
        takes: Takes = "latest",
    ) -> Self:
        """Make a book of all that *owner* has stored in *project*: a chapter of each chapter, in natural order.

        Of several files for one section the latest is taken; with ``takes="all"`` each is a section. Exports that
        were kept in the store are no part of it.

        Raises:
            What ``store.list`` raises. ValueError: no *project*.

        """
        place = Place.of(project)
        if place.project is None:
            raise ValueError("give the project whose files make the book")
        chapters = gather_chapters(store, owner=owner, project=project, takes=takes)
        return cls(owner=owner, title=title or place.project, author=author, project=place.project, chapters=chapters)

    @property
    def sections(self) -> Iterator[tuple[int, int, BookSection]]:
        """All sections in order, with the numbers of chapter and section, from 0."""
        for number, chapter in enumerate(self.chapters):
            for index, section in enumerate(chapter.sections):
                yield number, index, section

    def called(self, *, title: str | None = None, author: str | None = None) -> Self:
        """Give the same book with another title or author."""
        return replace(self, title=title or self.title, author=author or self.author)

    @property
    def file_name(self) -> str:
        """The title as a file or a folder can be called on any system; ``book`` without one."""
        return portable(self.title) if self.title.strip() else "book"

    def as_dict(self) -> dict[str, Any]:
        """Give the book as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Turn ``as_dict`` back."""
        given: dict[str, Any] = dict(facts)
        given["chapters"] = tuple(
            BookChapter(
                id=each["id"], name=each["name"], sections=tuple(BookSection(**section) for section in each["sections"])
            )
            for each in facts["chapters"]
        )
        return cls(**given)
