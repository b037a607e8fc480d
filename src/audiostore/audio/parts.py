"""What is joined, and what came of it, as values: parts, chapters, marks. Nothing here decodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

AudioSegment: TypeAlias = Any
"""``pydub.AudioSegment``; pydub has no types."""

NOTHING = timedelta(0)
_MOST_GAIN = 60.0
_TIMES = ("gap_before", "gap_after", "fade_in", "fade_out")


@dataclass(frozen=True, slots=True)
class Part:
    """One recording of a join: *source* is a path, or a binary file that can seek.

    Silence of *gap_before* and *gap_after* is put around it; *gain* is in dB; *fade_in* and *fade_out* are of the
    recording itself. *trim* takes silence (below -50 dB) away at both ends. *edit* gets the recording, trimmed, as a
    ``pydub.AudioSegment`` and gives another one, before gain and fades: that part is in memory as a whole. *title*
    names the chapter that begins with it.

    Raises:
        ValueError: a time below zero, or a gain beyond 60 dB either way.

    """

    source: Any
    _: KW_ONLY
    gap_before: timedelta = NOTHING
    gap_after: timedelta = NOTHING
    fade_in: timedelta = NOTHING
    fade_out: timedelta = NOTHING
    gain: float = 0.0
    trim: bool = False
    edit: Callable[[AudioSegment], AudioSegment] | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        for name in _TIMES:
            if getattr(self, name) < NOTHING:
                raise ValueError(f"{name} can't be negative")
        if not math.isfinite(self.gain) or abs(self.gain) > _MOST_GAIN:
            raise ValueError(f"gain is decibels, {_MOST_GAIN:g} at most either way")

    @property
    def is_edited(self) -> bool:
        """Whether anything is done to the recording itself; gaps are around it."""
        return bool(self.trim or self.edit or self.gain or self.fade_in or self.fade_out)

    def as_dict(self) -> dict[str, Any]:
        """Give all but *source* and *edit* as JSON can hold it."""
        times = {name: getattr(self, name).total_seconds() for name in _TIMES}
        return {**times, "gain": self.gain, "trim": self.trim, "title": self.title}

    @classmethod
    def from_dict(cls, source: Any, given: Mapping[str, Any]) -> Self:
        """Turn ``as_dict`` back, for *source*."""
        facts: dict[str, Any] = {**given, **{name: timedelta(seconds=given[name]) for name in _TIMES}}
        return cls(source, **facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A chapter mark: seconds from the beginning of the file."""

    start: float
    end: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where one part lies in the file that was written: seconds, gaps not included, counted from what was written."""

    start: float
    end: float
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a join made. ``duration`` in seconds, ``size`` in bytes; ``marks`` has one mark for each part.

    ``how``: the parts' samples were ``appended``, their packets ``copied``, or all of it ``encoded``.
    """

    path: Path
    duration: float
    size: int
    how: Literal["appended", "copied", "encoded"]
    marks: tuple[Mark, ...]


def parse_parts(parts: Iterable[Any]) -> tuple[Part, ...]:
    """Give *parts* as ``Part`` each; a path or a file by itself is one."""
    return tuple(each if isinstance(each, Part) else Part(each) for each in parts)


def chapters_of(marks: Sequence[Mark], duration: float) -> tuple[Chapter, ...]:
    """Make a chapter of each part that has a title, up to the next one; if none has, of each part.

    The first begins with the file, whatever silence there is, and the last ends with it.
    """
    titled = [mark for mark in marks if mark.title is not None]
    begins = titled or list(marks)
    starts = [0.0, *(mark.start for mark in begins[1:])]
    ends = [*starts[1:], duration]
    return tuple(
        Chapter(start=start, end=end, title=mark.title or f"Chapter {number}")
        for number, (mark, start, end) in enumerate(zip(begins, starts, ends, strict=True), start=1)
    )
