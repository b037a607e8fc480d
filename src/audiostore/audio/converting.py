"""Processors that make something else of a file: ``convert``, and ``canonical``, which makes all files alike.

As with ``accept``, a file of a stranger is decoded in a process of its own; so it is encoded there, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from audiostore.audio.accepting import Accept, accept, described
from audiostore.audio.info import AudioInfo
from audiostore.audio.isolation import MEMORY, Bounds, require_engine, run
from audiostore.audio.loudness import parse_preset
from audiostore.audio.target import OUTPUTS, Tags, Target, parse_target
from audiostore.ids import new_id
from audiostore.models import Staged
from audiostore.sizes import parse_size

CONVERT_TIMEOUT = timedelta(minutes=30)
MAX_OUTPUT = "4 GB"
_MEMORY = 2 * MEMORY
"""Encoders and the meter take some; it does not grow with the recording."""


@dataclass(frozen=True, slots=True)
class Convert:
    """A processor: accepts by its rules, then gives the recording in one format. One that fits stays as it is."""

    target: Target
    accepts: Accept
    bounds: Bounds
    loudness: str | None = None
    progress: Callable[[float], None] | None = field(default=None, compare=False)

    def __call__(self, staged: Staged) -> Staged:
        path = staged.path.with_name(new_id() + OUTPUTS[self.target.to].suffix)
        request: dict[str, Any] = {
            "rules": self.accepts.rules.as_dict(),
            "target": self.target.as_dict(),
            "output_path": str(path.absolute()),
            "loudness": self.loudness,
        }
        try:
            answer = run("convert", [staged.path], request, bounds=self.bounds, progress=self.progress)
        except BaseException:
            path.unlink(missing_ok=True)  # a process that was killed leaves its half
            raise
        info = AudioInfo.from_dict(answer["info"])
        return described(staged.become(path) if answer["written"] else staged, info)


def convert(
    to: str,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    bit_rate: int | None = None,
    bit_depth: int | None = None,
    tags: Tags = "keep",
    loudness: Literal["acx", "ebu_r128", "podcast"] | None = None,
    accept: Accept | None = None,
    timeout: timedelta = CONVERT_TIMEOUT,
    max_output: int | str = MAX_OUTPUT,
    progress: Callable[[float], None] | None = None,
) -> Convert:
    """Make a processor that stores every file *to* wav, mp3, m4a, flac or opus; quota and record are of the output.

    What is not given stays as the recording has it. A file that fits already is stored as it came (with
    ``tags="strip"``, its audio is copied unchanged, and the tags are not); a lossy one of a lower *bit_rate* fits,
    since it would only get worse. *loudness* brings it to a preset, for which it is always encoded. *accept* says
    what comes in at all; default ``accept()``.

    *progress* gets the share that is done, at least five times a second, and what it raises ends the put, with
    nothing stored. *timeout* and *max_output* (bytes, or ``"4 GB"``) bound the process that does the work.

    >>> from audiostore import AudioStore
    >>> from audiostore.audio import convert
    >>> store = AudioStore.local("uploads", process=convert("mp3", bit_rate=64_000, channels=1))
    >>> take = store.put("take.wav", owner="alice")
    >>> take.filename, take.content_type
    ('take.mp3', 'audio/mpeg')

    Raises:
        ConfigurationError: the extra is missing: ``pip install "audiostore[audio]"``.
        ValueError: a wish that the format can't fulfil.

    """
    require_engine()
    target = parse_target(
        to, sample_rate=sample_rate, channels=channels, bit_rate=bit_rate, bit_depth=bit_depth, tags=tags
    )
    return Convert(
        target=target,
        accepts=accept if accept is not None else _default_accept(),
        bounds=Bounds(timeout=timeout, memory=_MEMORY, output=parse_size(max_output)),
        loudness=None if loudness is None else parse_preset(loudness).name,
        progress=progress,
    )


def canonical(
    to: str = "mp3",
    *,
    sample_rate: int = 44_100,
    channels: int = 1,
    bit_rate: int | None = None,
    loudness: Literal["acx", "ebu_r128", "podcast"] | None = None,
    accept: Accept | None = None,
    timeout: timedelta = CONVERT_TIMEOUT,
    max_output: int | str = MAX_OUTPUT,
    progress: Callable[[float], None] | None = None,
) -> Convert:
    """Make a processor after which all files are alike: one format, one rate, one number of channels, no tags.

    Files that are alike can be joined without encoding them again. Otherwise it is ``convert``.

    >>> from audiostore import AudioStore
    >>> from audiostore.audio import canonical
    >>> store = AudioStore.local("uploads", process=canonical("flac", sample_rate=22_050))
    >>> store.put("take.wav", owner="alice").metadata["audio"]["codec"]
    'flac'
    """
    word = parse_target(to).to
    return convert(
        word,
        sample_rate=48_000 if word == "opus" else sample_rate,
        channels=channels,
        bit_rate=bit_rate,
        tags="strip",
        loudness=loudness,
        accept=accept,
        timeout=timeout,
        max_output=max_output,
        progress=progress,
    )


def _default_accept() -> Accept:
    return accept()
