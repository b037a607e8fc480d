"""What loudness is said to be: the numbers of one recording, the presets, and the check against ACX's limits.

ACX's numbers are those that its help pages state (November 2026): RMS between -23 and -18 dB, peaks of at most -3 dB, a
noise floor of at most -60 dB, MP3 of constant 192 kbit/s or more at 44.1 kHz, mono or stereo, half a second to one
second of room tone before and one to five seconds after, at most 120 minutes. To pass is not to be accepted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from audiostore.audio.info import AudioInfo

SILENCE = -120.0
"""Decibels; what is quieter, digital silence included, is this."""
ACX_RMS = (-23.0, -18.0)
ACX_PEAK = -3.0
ACX_FLOOR = -60.0
ACX_HEAD = (0.5, 1.0)
ACX_TAIL = (1.0, 5.0)
ACX_LONGEST = 120 * 60.0
ACX_BIT_RATE = 192_000
ACX_SAMPLE_RATE = 44_100
_SHOWN = 0.05
"""Numbers are shown with one digit; what would be shown as the limit is not beyond it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """How loud a recording is. Levels in decibels of full scale, ``integrated`` in LUFS, times in seconds.

    ``integrated`` and ``range`` (LU) are those of EBU R128, ``true_peak`` is oversampled, ``rms`` is of all that there
    is, silence included; ``noise_floor`` is the quietest half second. ``head`` and ``tail`` are how long it is below
    -50 dB at both ends. Nothing is quieter than -120 dB.
    """

    integrated: float
    range: float
    true_peak: float
    peak: float
    rms: float
    noise_floor: float
    head: float
    tail: float
    duration: float

    def as_dict(self) -> dict[str, float]:
        """Give the numbers as JSON can hold them, rounded to hundredths."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What ``normalise`` aims at: a *level* of either ``rms`` or ``integrated``, and a *ceiling* of true peaks."""

    name: str
    measure: Literal["rms", "integrated"]
    level: float
    ceiling: float


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # Encoding to mp3 raises peaks a little: so a margin below what ACX asks for.
        "acx": Preset(name="acx", measure="rms", level=-20.0, ceiling=-3.6),
        "ebu_r128": Preset(name="ebu_r128", measure="integrated", level=-23.0, ceiling=-1.0),
        "podcast": Preset(name="podcast", measure="integrated", level=-16.0, ceiling=-1.0),
    }
)


def parse_preset(name: str | Preset) -> Preset:
    """Give the preset of this name.

    Raises:
        ValueError: there is none.

    """
    if isinstance(name, Preset):
        return name
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}: there are {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the check: what was looked at, what is there, what is wanted, and whether it is so."""

    name: str
    value: str
    wanted: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AcxCheck:
    """A check of one file against the limits that ACX publishes. It is no more than that: people listen there, too."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found wanting."""
        return all(each.ok for each in self.findings)

    @property
    def issues(self) -> tuple[str, ...]:
        """What is wrong, a sentence each."""
        return tuple(f"{each.name} is {each.value}, wanted {each.wanted}" for each in self.findings if not each.ok)

    def as_dict(self) -> dict[str, Any]:
        """Give the whole check as JSON can hold it."""
        return {"ok": self.ok, "findings": [asdict(each) for each in self.findings]}


def compare_with_acx(loudness: Loudness, info: AudioInfo, *, constant_bit_rate: bool = True) -> AcxCheck:
    """Hold what was measured against ACX's numbers."""
    quiet, loud = ACX_RMS
    rate, kind = info.bit_rate or 0, f"{info.format}, {'constant' if constant_bit_rate else 'variable'} bit rate"
    return AcxCheck(
        findings=(
            _within("RMS", loudness.rms, quiet, loud, "dB"),
            _within("peak", loudness.true_peak, None, ACX_PEAK, "dB"),
            _within("noise floor", loudness.noise_floor, None, ACX_FLOOR, "dB"),
            _within("silence before", loudness.head, *ACX_HEAD, "s"),
            _within("silence after", loudness.tail, *ACX_TAIL, "s"),
            _within("length", loudness.duration, None, ACX_LONGEST, "s"),
            _within("sample rate", info.sample_rate, ACX_SAMPLE_RATE, ACX_SAMPLE_RATE, "Hz"),
            _within("channels", info.channels, 1, 2, ""),
            Finding(
                name="format",
                value=f"{kind}, {rate // 1000} kbit/s",
                wanted=f"mp3, constant bit rate, {ACX_BIT_RATE // 1000} kbit/s or more",
                ok=info.format == "mp3" and constant_bit_rate and rate >= ACX_BIT_RATE,
            ),
        )
    )


def _within(name: str, value: float, least: float | None, most: float | None, unit: str) -> Finding:
    ok = (least is None or value >= least - _SHOWN) and (most is None or value <= most + _SHOWN)
    if least == most:
        wanted = f"{most:g} {unit}"
    elif least is None:
        wanted = f"at most {most:g} {unit}"
    else:
        wanted = f"{least:g} to {most:g} {unit}"
    shown = f"{value:.1f}" if isinstance(value, float) else str(value)
    return Finding(name=name, value=f"{shown} {unit}".strip(), wanted=wanted.strip(), ok=ok)
