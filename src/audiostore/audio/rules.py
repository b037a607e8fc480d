"""What a recording must be to be accepted, as data: it travels to the process that decodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from audiostore.audio.info import AudioInfo
from audiostore.errors import UnsupportedAudio

DEFAULT_FORMATS = frozenset({"wav", "mp3", "m4a", "flac", "ogg", "opus", "aac", "webm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Bounds, each inclusive; ``None`` does not bound. Durations in seconds, rates in Hz and bits per second.

    ``decode`` tells whether the whole recording is decoded, and not only its headers read.
    """

    formats: frozenset[str] = DEFAULT_FORMATS
    min_duration: float | None = None
    max_duration: float | None = None
    min_sample_rate: int | None = None
    max_sample_rate: int | None = None
    min_channels: int | None = None
    max_channels: int | None = None
    min_bit_rate: int | None = None
    decode: bool = True

    def check(self, info: AudioInfo) -> None:
        """Refuse what breaks a rule.

        Raises:
            UnsupportedAudio: ``format``, ``too_short``, ``too_long``, ``sample_rate``, ``channels``, ``bit_rate``.

        """
        if not info.is_among(self.formats):
            allowed = ", ".join(sorted(self.formats))
            raise UnsupportedAudio("format", f"it is {info.format}, and allowed are {allowed}")
        self.check_duration(info.duration)
        _check("sample_rate", info.sample_rate, self.min_sample_rate, self.max_sample_rate, "Hz")
        _check("channels", info.channels, self.min_channels, self.max_channels, "channels")
        if info.codec.startswith("pcm_") or info.bit_rate is None:
            return
        _check("bit_rate", info.bit_rate, self.min_bit_rate, None, "bits per second")

    def check_duration(self, seconds: float) -> None:
        """Refuse what is too short or too long."""
        if self.max_duration is not None and seconds > self.max_duration:
            raise UnsupportedAudio("too_long", f"{seconds:.1f} s, and at most {self.max_duration:g} s are allowed")
        if self.min_duration is not None and seconds < self.min_duration:
            raise UnsupportedAudio("too_short", f"{seconds:.1f} s, and at least {self.min_duration:g} s are needed")

    def as_dict(self) -> dict[str, Any]:
        """Give the rules as JSON can hold them."""
        return asdict(self) | {"formats": sorted(self.formats)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Turn ``as_dict`` back."""
        facts: dict[str, Any] = {**given, "formats": frozenset(given["formats"])}
        return cls(**facts)


def _check(code: str, value: int, least: int | None, most: int | None, unit: str) -> None:
    if least is not None and value < least:
        raise UnsupportedAudio(code, f"{value} {unit}, and at least {least} are needed")
    if most is not None and value > most:
        raise UnsupportedAudio(code, f"{value} {unit}, and at most {most} are allowed")
