"""Processors that look: ``probed`` records what a file is, ``accept`` refuses what it should not be.

They make no sound themselves and load no decoder: each file is examined in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from audiostore.audio.info import AudioInfo, parse_formats
from audiostore.audio.isolation import MEMORY, TIMEOUT, Bounds, require_engine, run
from audiostore.audio.rules import DEFAULT_FORMATS, Rules
from audiostore.models import Staged

LONGEST = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Probed:
    """A processor: records duration and facts of what is audio, and refuses what can't be read at all."""

    exact: bool = False
    bounds: Bounds = field(default_factory=Bounds)

    def __call__(self, staged: Staged) -> Staged:
        answer = run("probe", [staged.path], {"exact": self.exact}, bounds=self.bounds)
        return described(staged, AudioInfo.from_dict(answer["info"]))


@dataclass(frozen=True, slots=True)
class Accept:
    """A processor: refuses what breaks its rules, and records duration and facts of the rest."""

    rules: Rules = field(default_factory=Rules)
    bounds: Bounds = field(default_factory=Bounds)

    def __call__(self, staged: Staged) -> Staged:
        answer = run("check", [staged.path], {"rules": self.rules.as_dict()}, bounds=self.bounds)
        return described(staged, AudioInfo.from_dict(answer["info"]))


def probed(*, exact: bool = False, timeout: timedelta = TIMEOUT, memory: int = MEMORY) -> Probed:
    """Make a processor that records what each file is: ``file.duration``, and the rest in ``metadata["audio"]``.

    It refuses what is no audio at all, and nothing else. With *exact* the duration is counted by decoding. *timeout*
    and *memory* (bytes) bound the process that reads the file.

    >>> from audiostore import AudioStore
    >>> from audiostore.audio import probed
    >>> store = AudioStore.local("uploads", process=probed())
    >>> store.put("take.wav", owner="alice").duration
    4.5...

    Raises:
        ConfigurationError: the extra is missing: ``pip install "audiostore[audio]"``.

    """
    require_engine()
    return Probed(exact, Bounds(timeout=timeout, memory=memory))


def accept(
    formats: Iterable[str] = DEFAULT_FORMATS,
    *,
    min_duration: timedelta | float | None = None,
    max_duration: timedelta | float | None = LONGEST,
    min_sample_rate: int | None = 8_000,
    max_sample_rate: int | None = 192_000,
    min_channels: int | None = None,
    max_channels: int | None = 8,
    min_bit_rate: int | None = None,
    decode: bool = True,
    timeout: timedelta = TIMEOUT,
    memory: int = MEMORY,
) -> Accept:
    """Make a processor that refuses by content, whatever a file is called: ``UnsupportedAudio``, its ``code`` told.

    *formats* are words: wav mp3 m4a flac ogg opus aac aiff caf webm (``ogg`` admits all that is in Ogg). Durations
    are a ``timedelta`` or float seconds, rates Hz and bits per second; ``None`` does not bound. Each file is decoded
    to its end (*decode*; about a second per 20 minutes), or else only its headers are believed. That happens in a
    process of its own, which is killed after *timeout* or when it wants more than *memory* bytes. What is accepted
    is recorded like ``probed()`` does.

    >>> from datetime import timedelta
    >>> from audiostore import AudioStore
    >>> from audiostore.audio import accept
    >>> store = AudioStore.local("uploads", process=accept({"wav", "mp3"}, max_duration=timedelta(hours=1)))
    >>> store.put(b"MZ this is a program", owner="alice", filename="song.mp3")
    Traceback (most recent call last):
    audiostore.errors.UnsupportedAudio: unsupported audio (type): it is application/vnd.microsoft.portable-executable

    Raises:
        ConfigurationError: the extra is missing: ``pip install "audiostore[audio]"``.
        ValueError: a format that can't be read, or bounds that nothing can meet.

    """
    require_engine()
    rules = Rules(
        formats=parse_formats(formats if isinstance(formats, str) else set(formats)),
        min_duration=_seconds("min_duration", min_duration),
        max_duration=_seconds("max_duration", max_duration),
        min_sample_rate=min_sample_rate,
        max_sample_rate=max_sample_rate,
        min_channels=min_channels,
        max_channels=max_channels,
        min_bit_rate=min_bit_rate,
        decode=decode,
    )
    for least, most in (
        (rules.min_duration, rules.max_duration),
        (min_sample_rate, max_sample_rate),
        (min_channels, max_channels),
    ):
        if least is not None and most is not None and least > most:
            raise ValueError(f"no recording has at least {least:g} and at most {most:g}")
    return Accept(rules, Bounds(timeout=timeout, memory=memory))


def described(staged: Staged, info: AudioInfo) -> Staged:
    """Give *staged* with what is known of it now; its type is what it is, not what it was called."""
    return replace(
        staged,
        content_type=info.content_type,
        duration=round(info.duration, 6),
        metadata={**staged.metadata, "audio": _facts(info)},
    )


def _facts(info: AudioInfo) -> dict[str, Any]:
    # Not the tags: they are a stranger's text of any length, and they stay in the file.
    facts = {
        "container": info.container,
        "codec": info.codec,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
        "bit_depth": info.bit_depth,
        "bit_rate": info.bit_rate,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _seconds(name: str, value: timedelta | float | None) -> float | None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is not None and seconds < 0:
        raise ValueError(f"{name} can't be negative")
    return seconds
