"""What an export is to become, parsed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any, Literal, Self

from audiostore.errors import InvalidBook
from audiostore.sizes import Size, parse_size

OnMissing = Literal["report", "raise"]
Loudness = Literal["acx", "ebu_r128", "podcast"]

CHAPTER_FORMATS = ("wav", "mp3", "m4a", "flac", "opus")
"""A file for each chapter."""
BOOK_FORMATS = ("m4b", "mp3-book")
"""One file with chapter marks."""
NOTHING = timedelta(0)
_LONGEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is made of a book.

    Args:
        formats: words: ``wav mp3 m4a flac opus`` give a file for each chapter; ``m4b`` and ``mp3-book`` one file of the
            whole book with chapter marks. Any number of them; each chapter is encoded once for each codec.
        sample_rate: as in ``audiostore.audio.join``. Of this and the next three, what is not given stays as the
            sections have it, or is usual.
        channels: how many.
        bit_rate: for lossy formats.
        bit_depth: for the others.
        gap: silence between sections.
        chapter_gap: silence between chapters, where they are in one file.
        fade: how long each section fades in and out.
        trim: cut silence off both ends of each section, before gaps.
        loudness: bring each chapter to ``acx``, ``ebu_r128`` or ``podcast``.
        room_tone: put room tone at both ends of each chapter.
        metadata: write ``metadata.json``, and each chapter's text.
        audio: make audio at all.
        zip: write everything into one ZIP file, too.
        on_missing: ``"report"`` sections without audio in ``Export.missing`` and go on, or ``"raise"``.
        workers: sections that are fetched at a time.
        ahead: bytes on this disk of sections that are fetched and not yet used, or text such as ``"2 GB"``; the
            sections of one chapter are there together, however large.

    Raises:
        ValueError: a word or a number that can't be.

    """

    formats: tuple[str, ...] = ("mp3",)
    sample_rate: int | None = None
    channels: int | None = None
    bit_rate: int | None = None
    bit_depth: int | None = None
    gap: timedelta = NOTHING
    chapter_gap: timedelta = NOTHING
    fade: timedelta = NOTHING
    trim: bool = False
    loudness: Loudness | None = None
    room_tone: bool = False
    metadata: bool = True
    audio: bool = True
    zip: bool = False
    on_missing: OnMissing = "report"
    workers: int = 4
    ahead: Size = "2 GB"

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", parse_export_formats(self.formats))
        object.__setattr__(self, "ahead", parse_size(self.ahead))
        for name in ("gap", "chapter_gap", "fade"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) or not NOTHING <= value <= _LONGEST:
                raise ValueError(f"{name} is a timedelta, from none to {_LONGEST}")
        if self.loudness not in (None, "acx", "ebu_r128", "podcast"):
            raise ValueError(f"loudness is acx, ebu_r128 or podcast, not {self.loudness!r}")
        if self.room_tone and self.loudness is None:
            raise ValueError("room_tone goes with a loudness")
        if self.on_missing not in ("report", "raise"):
            raise ValueError(f'on_missing is "report" or "raise", not {self.on_missing!r}')
        if self.workers < 1:
            raise ValueError("workers is at least 1")
        if not (self.metadata or (self.audio and self.formats)):
            raise ValueError("neither metadata nor audio: there would be nothing to export")

    @property
    def chapter_formats(self) -> tuple[str, ...]:
        """Formats in which each chapter is a file."""
        return tuple(each for each in self.formats if each in CHAPTER_FORMATS) if self.audio else ()

    @property
    def book_formats(self) -> tuple[str, ...]:
        """Formats in which the book is one file."""
        return tuple(each for each in self.formats if each in BOOK_FORMATS) if self.audio else ()

    @classmethod
    def from_project(cls, project: Mapping[str, Any], **more: Any) -> Self:
        """Read the flags that an app sends with a project: ``exportMetadataFlag``, ``exportAudioFlag``,
        ``createZipFlag``, ``audioFormat``. What is not there is as usual; *more* are further options, which win.

        >>> ExportOptions.from_project({"createZipFlag": True, "audioFormat": "WAV"}).formats
        ('wav',)

        Raises:
            InvalidBook: a flag that is neither true nor false, or a format that there is not. ValueError: as always.

        """
        flags = {"exportMetadataFlag": "metadata", "exportAudioFlag": "audio", "createZipFlag": "zip"}
        given: dict[str, Any] = {}
        for flag, name in flags.items():
            value = project.get(flag)
            if value is not None and not isinstance(value, bool):
                raise InvalidBook(flag, "true or false is wanted")
            if value is not None:
                given[name] = value
        if wished := project.get("audioFormat"):
            try:
                given["formats"] = parse_export_formats(wished)
            except (TypeError, ValueError) as error:
                raise InvalidBook("audioFormat", str(error)) from error
        return cls(**(given | more))

    def as_dict(self) -> dict[str, Any]:
        """Give the options as JSON can hold them, times in seconds."""
        return {
            name: value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Turn ``as_dict`` back."""
        times = {each.name for each in fields(cls) if isinstance(each.default, timedelta)}
        given: dict[str, Any] = {
            name: timedelta(seconds=value) if name in times else value for name, value in facts.items()
        }
        return cls(**given)


def parse_export_formats(formats: str | Sequence[str]) -> tuple[str, ...]:
    """Give *formats*, one word or several, each once.

    >>> parse_export_formats(["MP3", ".m4b", "mp3"])
    ('mp3', 'm4b')

    Raises:
        ValueError: a format that there is not. TypeError: no words.

    """
    listed = [formats] if isinstance(formats, str) else list(formats)
    if not all(isinstance(each, str) for each in listed):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError("formats are words")
    words = tuple(dict.fromkeys(each.strip().lower().removeprefix(".") for each in listed))
    known = (*CHAPTER_FORMATS, *BOOK_FORMATS)
    if strange := [each for each in words if each not in known]:
        raise ValueError(f"no format {strange[0][:20]!r}: there are {', '.join(known)}")
    return words
