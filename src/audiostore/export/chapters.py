"""One chapter: its sections, fetched, become one file in each codec that is wanted, or are found to be finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from audiostore._version import __version__
from audiostore.errors import UnsupportedAudio
from audiostore.export.books import Book
from audiostore.export.fetching import Fetched
from audiostore.export.journal import Journal, MadeChapter, Sounding, digest_of
from audiostore.export.options import ExportOptions
from audiostore.export.references import Heard
from audiostore.export.results import MissingSection

Edit: TypeAlias = Callable[[Any], Any]
"""``pydub.AudioSegment -> pydub.AudioSegment``, for each section."""
Share: TypeAlias = Callable[[float], None]

LONGEST_SECTION = timedelta(days=1)
"""A few bytes can decode to days of silence."""
ENCODED_AS = {"m4b": "m4a", "mp3-book": "mp3"}
"""A book's file is put together of chapters in this format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The rate and channels that all chapters have, where they are to be in one file."""

    sample_rate: int | None = None
    channels: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """Makes chapters: what of them all is the same, and the journal of those that are finished."""

    book: Book
    options: ExportOptions
    journal: Journal
    cover: bytes | None = None
    edit: Edit | None = None
    cancelled: Callable[[], bool] | None = None
    _once: str = field(default_factory=lambda: uuid4().hex)

    @property
    def codecs(self) -> tuple[str, ...]:
        """The formats in which each chapter is encoded."""
        wanted = (*self.options.chapter_formats, *(ENCODED_AS[each] for each in self.options.book_formats))
        return tuple(dict.fromkeys(wanted))

    def digest(self, number: int, heard: Sequence[Heard], to: str, kind: Kind) -> str:
        """Give the digest of all that makes the chapter what it is."""
        options = self.options.as_dict()
        named = ("bit_rate", "bit_depth", "gap", "fade", "trim", "loudness", "room_tone")
        return digest_of(
            {
                "version": __version__,
                "to": to,
                "options": [options[name] for name in named],
                "kind": [kind.sample_rate, kind.channels],
                "tags": self.tags(number),
                "cover": None if self.cover is None else digest_of(self.cover.hex()),
                "edit": None if self.edit is None else _name_of(self.edit) or self._once,
                "sections": [[each.section, each.mark] for each in heard],
            }
        )

    def make(
        self,
        number: int,
        fetched: Sequence[tuple[Heard, Fetched]],
        *,
        to: str,
        kind: Kind,
        digest: str,
        progress: Share,
    ) -> tuple[MadeChapter | None, tuple[MissingSection, ...]]:
        """Join the sections that are there into one file (None if there is none), and tell which ones are not.

        A section that can't be decoded is left out, and said to be missing.
        """
        from audiostore.audio import Part, join, probe

        options, path = self.options, self.journal.place(digest, suffix_of(to))
        wishes = self._wishes(to, kind)
        missing = [each for _, each in fetched if isinstance(each, MissingSection)]
        there = [(heard, each) for heard, each in fetched if isinstance(each, Path)]
        while there:
            parts = [
                Part(
                    source,
                    gap_before=options.gap if index else timedelta(0),
                    fade_in=options.fade,
                    fade_out=options.fade,
                    trim=options.trim,
                    edit=self.edit,
                    title=heard.name or None,
                )
                for index, (heard, source) in enumerate(there)
            ]
            try:
                joined = join(
                    parts,
                    path,
                    to=to,
                    tags=self.tags(number),
                    cover=self.cover,
                    isolated=self.edit is None,  # what strangers sent is not decoded in the app; an edit can't leave it
                    max_part=LONGEST_SECTION,
                    progress=progress,
                    cancelled=self.cancelled,
                    **wishes,
                )
            except UnsupportedAudio as error:
                if error.code == "silent" and wishes.pop("loudness", None):
                    wishes.pop("room_tone", None)
                    continue  # there is nothing in it that could be made louder: then it stays as it is
                if error.part is None:
                    raise
                heard, _ = there.pop(error.part)
                missing.append(heard.missing("unreadable", error.code))
                continue
            info = probe(path)
            made = MadeChapter(
                path=path,
                to=to,
                size=joined.size,
                duration=joined.duration,
                sample_rate=info.sample_rate,
                channels=info.channels,
                how=joined.how,
                sections=tuple(
                    Sounding(section=heard.section, start=mark.start, end=mark.end)
                    for (heard, _), mark in zip(there, joined.marks, strict=True)
                ),
                missing=tuple(missing),
            )
            self.journal.keep(digest, made)
            return made, made.missing
        return None, tuple(missing)

    def tags(self, number: int) -> dict[str, str]:
        """Give the tags of a chapter's file."""
        chapter, count = self.book.chapters[number], len(self.book.chapters)
        title = chapter.name or f"Chapter {number + 1}"
        return book_tags(self.book) | {"title": title, "track": f"{number + 1}/{count}"}

    def _wishes(self, to: str, kind: Kind) -> dict[str, Any]:
        lossy = to in {"mp3", "m4a", "opus"}
        given = {
            "sample_rate": kind.sample_rate,
            "channels": kind.channels,
            "bit_rate": self.options.bit_rate if lossy else None,
            "bit_depth": None if lossy else self.options.bit_depth,
            "loudness": self.options.loudness,
            "room_tone": self.options.room_tone or None,
        }
        return {name: value for name, value in given.items() if value is not None}


def book_tags(book: Book) -> dict[str, str]:
    """Give the tags of a book, under the names that players know."""
    tags = {
        "title": book.title,
        "album": book.title,
        "artist": book.author,
        "album_artist": book.author,
        "composer": book.narrator,  # where audiobook players look for who reads
        "language": book.language,
        "genre": "Audiobook",
    }
    return {name: value for name, value in tags.items() if value}


def suffix_of(to: str) -> str:
    """Give the suffix of a format's files."""
    return {"mp3-book": ".mp3"}.get(to, f".{to}")


def _name_of(edit: Edit) -> str | None:
    """Give a name that stands for *edit* in the next process, too; None for what is made anew in each."""
    if getattr(edit, "__self__", None) is not None:
        return None  # a method does what its object says
    name = getattr(edit, "__qualname__", "<")
    return None if "<" in name else f"{getattr(edit, '__module__', '')}.{name}"
