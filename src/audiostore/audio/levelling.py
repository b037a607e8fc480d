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
from audiostore.audio.engine import Reader, opened
from audiostore.audio.loudness import ACX_HEAD, ACX_TAIL, SILENCE, Loudness, Preset, parse_preset
from audiostore.audio.metering import measure, measure_frames
from audiostore.audio.probing import cover_bytes
from audiostore.audio.reshaping import LAYOUTS, Reshaper, reshaped, through
from audiostore.audio.target import Target, parse_target
from audiostore.audio.transcoding import Edit, write
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
    level = find_level(source, preset, seconds=seconds)
    with opened(source) as reader:
        cover = cover_bytes(reader) if target.tags == "keep" else None
    with opened(source) as reader:
        edit = levelled(reader, level, lift=_lift(target, reader))
        if room_tone:
            edit = _with_room_tone(reader, edit, level.before)
        write(reader, path, target, cover=cover, seconds=seconds, edit=edit, progress=progress)


def find_level(source: Any, preset: Preset, *, seconds: float | None = None) -> Level:
    """Find the gain that brings *source* to *preset*, measuring what comes out where a limiter is needed.

    Raises:
        UnsupportedAudio: ``silent``: there is no level to start from.

    """
    before = measured = _measured(source, None, seconds)
    gain = preset.level - _value(before, preset)
    if before.rms <= SILENCE or before.integrated <= -69.9:  # noqa: PLR2004 - below -70 LUFS the meter hears nothing
        raise UnsupportedAudio("silent", "there is nothing in it that could be made louder")
    gain = min(gain, _MOST_GAIN)
    level = Level(preset, gain, before.true_peak + gain > preset.ceiling, before)
    for _ in range(_PASSES if level.limited else 0):
        measured = _measured(source, level, seconds)
        missing = preset.level - _value(measured, preset)
        if abs(missing) <= _CLOSE_ENOUGH or level.gain + missing > _MOST_GAIN:
            break
        level = Level(preset, level.gain + missing, limited=True, before=before)
    return level


def levelled(reader: Reader, level: Level, *, lift: float = 0.0) -> Edit:
    """Give what changes the frames of *reader* to *level*, and then by *lift* dB."""
    layout, rate = LAYOUTS[min(reader.stream.channels, max(LAYOUTS))], reader.stream.sample_rate
    filters = [("volume", f"{level.gain:.3f}dB")]
    if level.limited:
        # Peaks between the samples are only seen, and held, where there are more samples.
        ceiling = 10 ** (level.preset.ceiling / 20)
        limiter = f"limit={ceiling:.6f}:attack=5:release=50:level=disabled:latency=enabled"
        filters += [("aresample", str(max(rate, _OVERSAMPLED))), ("alimiter", limiter), ("aresample", str(rate))]
    filters.append(("volume", f"{lift:.3f}dB"))

    def edit(frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        return through(frames, Reshaper(sample_format="dbl", layout=layout, sample_rate=rate), *filters)

    return edit


def _lift(target: Target, reader: Reader) -> float:
    """Give what the encoder will take away: LAME makes everything quieter, and more so at lower bit rates."""
    shape = target.shape_for(sample_rate=reader.stream.sample_rate, channels=reader.stream.channels)
    if shape.codec != "libmp3lame" or shape.bit_rate is None:
        return 0.0
    return next(lift for most, lift in _LAME if shape.bit_rate <= most)


def _measured(source: Any, level: Level | None, seconds: float | None) -> Loudness:
    with opened(source) as reader:
        frames: Iterable[AudioFrame] = reader.frames(seconds=seconds)
        if level is not None:
            frames = levelled(reader, level)(frames)
        return measure_frames(frames, reader.stream.sample_rate, reader.stream.channels)


def _value(loudness: Loudness, preset: Preset) -> float:
    return loudness.rms if preset.measure == "rms" else loudness.integrated


def _with_room_tone(reader: Reader, edit: Edit, before: Loudness) -> Edit:
    layout, rate = LAYOUTS[min(reader.stream.channels, max(LAYOUTS))], reader.stream.sample_rate

    def tone(seconds: float) -> Iterator[AudioFrame]:
        if seconds > 0:
            alike = Reshaper(sample_format="dbl", layout=layout, sample_rate=rate)
            yield from reshaped(_noise(seconds, rate), alike)

    def edited(frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        yield from tone(_HEAD - before.head if before.head < ACX_HEAD[0] else 0.0)
        yield from edit(frames)
        yield from tone(_TAIL - before.tail if before.tail < ACX_TAIL[0] else 0.0)

    return edited


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
