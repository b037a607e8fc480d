"""Bringing a recording to a loudness: a gain, a limiter where peaks would be too high, and a second look.

A limiter takes loudness away, so what comes out is measured without being encoded, and the gain corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from av.filter import Graph

from audiostore.audio.encoding import Share
from audiostore.audio.engine import opened
from audiostore.audio.loudness import ACX_HEAD, ACX_TAIL, SILENCE, Loudness, Preset, parse_preset
from audiostore.audio.metering import measure, measure_frames
from audiostore.audio.probing import cover_bytes
from audiostore.audio.reshaping import LAYOUTS, Reshaper, reshaped, through
from audiostore.audio.target import Shape, Target, parse_target
from audiostore.audio.transcoding import write
from audiostore.errors import UnsupportedAudio

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_CLOSE_ENOUGH = 0.15
_PASSES = 4
_OVERSAMPLED = 192_000
_MOST_GAIN = 40.0
_ROOM_TONE = 0.0006
"""Amplitude of the noise before and after: about -75 dB, which is below every limit and above digital silence."""
_HEAD, _TAIL = 0.75, 2.0
_LAME = ((128_000, 0.446), (192_000, 0.265), (512_000, 0.0))
"""Up to so many bits per second, so many dB: the scale of 0.95, 0.97 and 1 that LAME's presets have."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was found for one recording: the gain in dB, and whether peaks must be held below the preset's ceiling."""

    preset: Preset
    gain: float
    limited: bool
    before: Loudness


def normalise(
    source: Any,
    path: str | Path,
    *,
    preset: str | Preset = "podcast",
    to: str,
    sample_rate: int | None = None,
    channels: int | None = None,
    bit_rate: int | None = None,
    bit_depth: int | None = None,
    keep_tags: bool = True,
    room_tone: bool = False,
    progress: Share | None = None,
) -> Loudness:
    """Write *source* to *path* at the loudness of *preset*, and give what was measured in the result.

    Presets: ``acx`` (-20 dB RMS, peaks at -3.6 dB), ``ebu_r128`` (-23 LUFS, -1 dBTP), ``podcast`` (-16 LUFS, -1 dBTP).
    A limiter holds true peaks below the ceiling, as far as the encoder lets it. With *room_tone*, quiet noise is put
    before and after where there is less silence than ACX asks for. The rest is as in ``transcode``.

    >>> from audiostore.audio import normalise
    >>> loud = normalise("take.wav", "loud.wav", preset="podcast", to="wav")
    >>> round(loud.integrated), loud.true_peak < 0
    (-16, True)

    Raises:
        UnsupportedAudio: nothing that can be decoded, or ``silent``.
        ValueError: no such preset, or a wish that the format can't fulfil.

    """
    target = parse_target(
        to,
        sample_rate=sample_rate,
        channels=channels,
        bit_rate=bit_rate,
        bit_depth=bit_depth,
        tags="keep" if keep_tags else "strip",
    )
    write_at_level(source, Path(path), target, parse_preset(preset), room_tone=room_tone, progress=progress)
    return measure(path)


def write_at_level(
    source: Any,
    path: Path,
    target: Target,
    preset: Preset,
    *,
    room_tone: bool = False,
    seconds: float | None = None,
    progress: Share | None = None,
) -> None:
    """Encode *source* into *path* at the loudness of *preset*."""
    sound = _sound_of(source, seconds)
    level = find_level(sound, preset)
    with opened(source) as reader:
        cover = cover_bytes(reader) if target.tags == "keep" else None
    with opened(source) as reader:
        shape = target.shape_for(sample_rate=sound.sample_rate, channels=sound.channels)
        edit = Levelled(sound, level, lift=lift_for(shape), room_tone=room_tone)
        write(reader, path, target, cover=cover, seconds=seconds, edit=edit, progress=progress)


@dataclass(frozen=True, slots=True)
class Sound:
    """What can be heard as often as is needed: ``frames`` decodes it from its beginning."""

    frames: Callable[[], Iterable[AudioFrame]]
    sample_rate: int
    channels: int

    @property
    def layout(self) -> str:
        return LAYOUTS[min(self.channels, max(LAYOUTS))]


def _sound_of(source: Any, seconds: float | None) -> Sound:
    with opened(source) as reader:
        rate, channels = reader.stream.sample_rate, reader.stream.channels

    def frames() -> Iterator[AudioFrame]:
        with opened(source) as reader:
            yield from reader.frames(seconds=seconds)

    return Sound(frames, rate, channels)


def find_level(sound: Sound, preset: Preset) -> Level:
    """Find the gain that brings *sound* to *preset*, measuring what comes out where a limiter is needed.

    Raises:
        UnsupportedAudio: ``silent``: there is no level to start from.

    """
    before = measured = measure_frames(sound.frames(), sound.sample_rate, sound.channels)
    gain = preset.level - _value(before, preset)
    if before.rms <= SILENCE or before.integrated <= -69.9:  # noqa: PLR2004 - below -70 LUFS the meter hears nothing
        raise UnsupportedAudio("silent", "there is nothing in it that could be made louder")
    gain = min(gain, _MOST_GAIN)
    level = Level(preset, gain, before.true_peak + gain > preset.ceiling, before)
    for _ in range(_PASSES if level.limited else 0):
        measured = measure_frames(Levelled(sound, level)(sound.frames()), sound.sample_rate, sound.channels)
        missing = preset.level - _value(measured, preset)
        if abs(missing) <= _CLOSE_ENOUGH or level.gain + missing > _MOST_GAIN:
            break
        level = Level(preset, level.gain + missing, limited=True, before=before)
    return level


class Levelled:
    """Changes the frames of *sound* to *level*, and then by *lift* dB; with *room_tone*, puts some at both ends.

    ``head`` counts the samples of room tone before the first frame.
    """

    def __init__(self, sound: Sound, level: Level, *, lift: float = 0.0, room_tone: bool = False) -> None:
        self.sound = sound
        self.level = level
        self.lift = lift
        self.head = 0
        before = level.before
        self._before = _HEAD - before.head if room_tone and before.head < ACX_HEAD[0] else 0.0
        self._after = _TAIL - before.tail if room_tone and before.tail < ACX_TAIL[0] else 0.0

    def __call__(self, frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        for frame in self._tone(self._before):
            self.head += frame.samples
            yield frame
        yield from through(frames, self._alike(), *self._filters())
        yield from self._tone(self._after)

    def _alike(self) -> Reshaper:
        return Reshaper(sample_format="dbl", layout=self.sound.layout, sample_rate=self.sound.sample_rate)

    def _filters(self) -> Iterator[tuple[str, str]]:
        yield "volume", f"{self.level.gain:.3f}dB"
        if self.level.limited:
            # Peaks between the samples are only seen, and held, where there are more samples.
            ceiling = 10 ** (self.level.preset.ceiling / 20)
            yield "aresample", str(max(self.sound.sample_rate, _OVERSAMPLED))
            yield "alimiter", f"limit={ceiling:.6f}:attack=5:release=50:level=disabled:latency=enabled"
            yield "aresample", str(self.sound.sample_rate)
        yield "volume", f"{self.lift:.3f}dB"

    def _tone(self, seconds: float) -> Iterator[AudioFrame]:
        return reshaped(_noise(seconds, self.sound.sample_rate), self._alike()) if seconds > 0 else iter(())


def lift_for(shape: Shape) -> float:
    """Give what the encoder will take away, in dB: LAME makes everything quieter, and more so at lower bit rates."""
    if shape.codec != "libmp3lame" or shape.bit_rate is None:
        return 0.0
    return next(lift for most, lift in _LAME if shape.bit_rate <= most)


def _value(loudness: Loudness, preset: Preset) -> float:
    return loudness.rms if preset.measure == "rms" else loudness.integrated


def _noise(seconds: float, rate: int) -> Iterator[AudioFrame]:
    import av.error

    graph = Graph()
    # The same seed always: equal recordings give equal files.
    source = graph.add("anoisesrc", f"d={seconds:.4f}:c=pink:r={rate}:a={_ROOM_TONE}:seed=1")
    graph.link_nodes(source, graph.add("abuffersink")).configure()
    pull: Callable[[], Any] = graph.pull
    while True:
        try:
            yield pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
