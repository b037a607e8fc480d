"""What audio is made into, as data: the formats that are written, and what a wish comes to for one recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self, TypeAlias

from audiostore.audio.info import AudioInfo

Tags: TypeAlias = Literal["keep", "strip"]

_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
_TOLERANCE = 1.05
_LOWEST_BIT_RATE, _HIGHEST_BIT_RATE = 6_000, 512_000
_CD, _STUDIO = 16, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format that is written. ``sample_rates`` empty: any. ``bit_rates``: usual ones for one and two channels."""

    name: str
    muxer: str
    codec: str
    read_as: frozenset[str]
    sample_format: str
    suffix: str
    sample_rates: tuple[int, ...] = ()
    channels: int = 8
    bit_rates: tuple[int, int] | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    encoder_options: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)


# Without rf64, a WAV of more than 4 GB would state a size that is wrong.
_FORMATS = (
    Format(
        name="wav",
        muxer="wav",
        codec="pcm_s16le",
        read_as=frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"}),
        sample_format="s16",
        suffix=".wav",
        options={"rf64": "auto"},
    ),
    Format(
        name="mp3",
        muxer="mp3",
        codec="libmp3lame",
        read_as=frozenset({"mp3"}),
        sample_format="fltp",
        suffix=".mp3",
        sample_rates=_MP3_RATES,
        channels=2,
        bit_rates=(128_000, 192_000),
        options={"id3v2_version": "3"},
    ),
    Format(
        name="m4a",
        muxer="mp4",
        codec="aac",
        read_as=frozenset({"aac"}),
        sample_format="fltp",
        suffix=".m4a",
        sample_rates=_AAC_RATES,
        bit_rates=(96_000, 160_000),
        options={"brand": "M4A ", "movflags": "+faststart"},
        # With it, a decoder makes up noise, and never the same twice: a joined file would not sound as its parts do.
        encoder_options={"aac_pns": "0"},
    ),
    Format(
        name="flac",
        muxer="flac",
        codec="flac",
        read_as=frozenset({"flac"}),
        sample_format="s16",
        suffix=".flac",
    ),
    Format(
        name="opus",
        muxer="opus",
        codec="libopus",
        read_as=frozenset({"opus"}),
        sample_format="flt",
        suffix=".opus",
        sample_rates=(48_000,),
        bit_rates=(48_000, 96_000),
    ),
)
OUTPUTS: Mapping[str, Format] = MappingProxyType({each.name: each for each in _FORMATS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Exactly what is written: nothing is left open. ``bit_rate`` is ``None`` for lossless formats."""

    format: Format
    codec: str
    sample_format: str
    sample_rate: int
    channels: int
    bit_rate: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the caller wishes; ``None`` is "as the recording has it", or the format's usual bit rate."""

    to: str
    sample_rate: int | None = None
    channels: int | None = None
    bit_rate: int | None = None
    bit_depth: int | None = None
    tags: Tags = "keep"

    def __post_init__(self) -> None:
        if self.to not in OUTPUTS:
            raise ValueError(f"to={self.to!r}: written are {', '.join(OUTPUTS)}")
        output = OUTPUTS[self.to]
        if self.sample_rate is not None and not _can_be(self.sample_rate, output.sample_rates):
            raise ValueError(f"{self.to} can't have {self.sample_rate} Hz (but {output.sample_rates or 'any'})")
        if self.channels is not None and not 1 <= self.channels <= output.channels:
            raise ValueError(f"{self.to} has 1 to {output.channels} channels, not {self.channels}")
        if self.bit_rate is not None and output.bit_rates is None:
            raise ValueError(f"{self.to} has no bit rate to choose")
        if self.bit_rate is not None and not _LOWEST_BIT_RATE <= self.bit_rate <= _HIGHEST_BIT_RATE:
            raise ValueError(f"bit_rate is bits per second, {_LOWEST_BIT_RATE} to {_HIGHEST_BIT_RATE}")
        if self.bit_depth not in (None, _CD, _STUDIO):
            raise ValueError(f"bit_depth is {_CD} or {_STUDIO}")
        if self.bit_depth is not None and output.bit_rates is not None:
            raise ValueError(f"{self.to} has no bit depth")
        if self.tags not in ("keep", "strip"):
            raise ValueError('tags is "keep" or "strip"')

    def fits(self, info: AudioInfo) -> bool:
        """Tell whether a recording is already what is wished, tags apart."""
        output = OUTPUTS[self.to]
        same = info.format == self.to and info.codec in output.read_as
        wished = (
            (self.sample_rate, info.sample_rate),
            (self.channels, info.channels),
            (self.bit_depth, info.bit_depth),
        )
        if not same or any(wish is not None and wish != has for wish, has in wished):
            return False
        # One of a lower bit rate would only get worse and larger.
        return self.bit_rate is None or info.bit_rate is None or info.bit_rate <= self.bit_rate * _TOLERANCE

    def must_lose_tags(self, info: AudioInfo) -> bool:
        """Tell whether there are tags or a picture, and none are wished."""
        return self.tags == "strip" and bool(info.tags or info.cover)

    def shape_for(self, *, sample_rate: int, channels: int, bit_depth: int | None = None) -> Shape:
        """Settle what is open, for a recording of this rate, these channels and this depth."""
        output = OUTPUTS[self.to]
        rate = _nearest(self.sample_rate or sample_rate, output.sample_rates)
        count = self.channels or min(channels, output.channels)
        deep = output.bit_rates is None and (self.bit_depth or bit_depth or _CD) > _CD
        bit_rate = None if output.bit_rates is None else self.bit_rate or _usual(output.bit_rates, count)
        return Shape(
            format=output,
            codec="pcm_s24le" if deep and output.name == "wav" else output.codec,
            sample_format="s32" if deep else output.sample_format,
            sample_rate=rate,
            channels=count,
            bit_rate=bit_rate,
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the wish as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Turn ``as_dict`` back."""
        return cls(**given)


def parse_target(to: str, **wishes: Any) -> Target:
    """Make a ``Target`` from a word such as ``mp3`` or ``.M4A`` (``m4b`` and ``mp4`` are the same container)."""
    word = to.strip().lower().removeprefix(".")
    return Target(to={"m4b": "m4a", "mp4": "m4a", "ogg": "opus"}.get(word, word), **wishes)


def _can_be(rate: int, rates: tuple[int, ...]) -> bool:
    return rate in rates if rates else 1_000 <= rate <= 384_000  # noqa: PLR2004 - what converters can be set to


def _nearest(rate: int, rates: tuple[int, ...]) -> int:
    """The lowest that loses nothing; else the highest there is."""
    return min((each for each in rates if each >= rate), default=max(rates)) if rates else rate


def _usual(bit_rates: tuple[int, int], channels: int) -> int:
    one, two = bit_rates
    return one if channels == 1 else min(two * channels // 2, _HIGHEST_BIT_RATE)
