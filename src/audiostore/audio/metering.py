"""Measuring loudness: one pass over the recording, by FFmpeg's EBU R128 meter and a window of ten milliseconds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from audiostore.audio.encoding import Share
from audiostore.audio.engine import opened
from audiostore.audio.loudness import SILENCE, AcxCheck, Loudness, compare_with_acx
from audiostore.audio.probing import probe
from audiostore.audio.reshaping import LAYOUTS, Reshaper, audioop, packed, reshaped, through
from audiostore.audio.transcoding import told
from audiostore.errors import UnsupportedAudio

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_FULL = float(1 << 31)
_WINDOWS_PER_SECOND = 100
_FLOOR_WINDOWS = 50  # half a second
_QUIET = -50.0
_MAX_CHANNELS = 8


def measure(source: Any, *, progress: Share | None = None) -> Loudness:
    """Measure how loud a recording is: *source* is a path, or a binary file that can seek.

    It decodes the whole in this process, in bounded memory, some seconds for an hour of audio.

    >>> from audiostore.audio import measure
    >>> loudness = measure("take.wav")
    >>> loudness.integrated < 0 and loudness.true_peak <= 3
    True

    Raises:
        UnsupportedAudio: nothing that can be decoded.

    """
    with opened(source) as reader:
        return measure_frames(told(reader, None, progress), reader.stream.sample_rate, reader.stream.channels)


def acx_check(source: Any) -> AcxCheck:
    """Hold a recording against the limits that ACX publishes; ``ok``, and ``issues`` in words.

    >>> from audiostore.audio import acx_check
    >>> check = acx_check("take.wav")
    >>> check.ok, check.issues[-1]
    (False, 'format is wav, constant bit rate, 352 kbit/s, wanted mp3, constant bit rate, 192 kbit/s or more')
    """
    with opened(source) as reader:
        constant = reader.codec != "mp3" or _is_constant(reader.packet_sizes())
    return compare_with_acx(measure(source), probe(source), constant_bit_rate=constant)


def measure_frames(frames: Iterable[AudioFrame], sample_rate: int, channels: int) -> Loudness:
    """Measure decoded *frames*; they are used up."""
    layout = LAYOUTS[min(channels, _MAX_CHANNELS)]
    reshaper = Reshaper(sample_format="dbl", layout=layout, sample_rate=sample_rate)
    meter = _Meter(sample_rate, min(channels, _MAX_CHANNELS))
    metered = through(
        frames, reshaper, ("ebur128", "peak=true:metadata=1:framelog=quiet"), ("aformat", "sample_fmts=s32")
    )
    for frame in metered:
        meter.add(frame)
    return meter.result()


def sound_within(source: Any, *, margin: float, longest: float | None = None) -> tuple[int, int] | None:
    """Give the first sample that is heard in *source*, and the one after the last, *margin* seconds further out.

    Samples count at the recording's own rate, per channel. ``None`` if all of it is below -50 dB.
    """
    with opened(source) as reader:
        rate, channels = reader.stream.sample_rate, min(reader.stream.channels, _MAX_CHANNELS)
        meter = _Meter(rate, channels)
        alike = Reshaper(sample_format="s32", layout=LAYOUTS[channels], sample_rate=rate)
        for frame in reshaped(reader.frames(seconds=longest), alike):
            meter.add(frame)
    meter.end()
    if meter.loud_from is None:
        return None
    around = round(margin * rate)
    return max(0, meter.loud_from - around), min(meter.samples, meter.loud_to + around)


class _Meter:
    """Energy, peaks and silence, window by window; what it keeps does not grow with the recording."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.rate = sample_rate
        self.frame_bytes = 4 * channels
        self.window = max(1, sample_rate // _WINDOWS_PER_SECOND) * self.frame_bytes
        self.pending = b""
        self.samples = 0
        self.energy = 0.0
        self.peak = 0
        self.recent: deque[float] = deque(maxlen=_FLOOR_WINDOWS)
        self.floor: float | None = None
        self.loud_from: int | None = None
        self.loud_to = 0
        self.facts: dict[str, str] = {}

    def add(self, frame: AudioFrame) -> None:
        self.facts |= frame.metadata
        block = self.pending + packed(frame)
        whole = len(block) - len(block) % self.window
        for start in range(0, whole, self.window):
            self._window(block[start : start + self.window])
        self.pending = block[whole:]

    def _window(self, block: bytes) -> None:
        samples = len(block) // self.frame_bytes
        power = (audioop.rms(block, 4) / _FULL) ** 2
        self.peak = max(self.peak, audioop.max(block, 4))
        self.energy += power * samples
        if _decibels(power) >= _QUIET:
            self.loud_from = self.samples if self.loud_from is None else self.loud_from
            self.loud_to = self.samples + samples
        self.samples += samples
        self.recent.append(power)
        if len(self.recent) == _FLOOR_WINDOWS:
            mean = sum(self.recent) / _FLOOR_WINDOWS
            self.floor = mean if self.floor is None else min(self.floor, mean)

    def end(self) -> None:
        if self.pending:
            self._window(self.pending)
            self.pending = b""

    def result(self) -> Loudness:
        self.end()
        if not self.samples:
            raise UnsupportedAudio("no_audio", "there is nothing to hear in it")
        power = self.energy / self.samples
        first = self.samples if self.loud_from is None else self.loud_from
        return Loudness(
            integrated=max(SILENCE, float(self.facts.get("lavfi.r128.I", SILENCE))),
            range=float(self.facts.get("lavfi.r128.LRA", 0.0)),
            # The filter gives it as an amplitude.
            true_peak=max(SILENCE, 2 * _decibels(float(self.facts.get("lavfi.r128.true_peak", 0.0)))),
            peak=max(SILENCE, 2 * _decibels(self.peak / _FULL)),
            rms=_decibels(power),
            noise_floor=_decibels(power if self.floor is None else self.floor),
            head=first / self.rate,
            tail=(self.samples - self.loud_to) / self.rate,
            duration=self.samples / self.rate,
        )


def _decibels(power: float) -> float:
    return max(SILENCE, 10 * math.log10(power)) if power > 0 else SILENCE


def _is_constant(sizes: Iterable[int]) -> bool:
    # A frame of constant bit rate differs from the next by a padding byte; the first holds the header.
    different = {size for number, size in enumerate(sizes) if number > 0}
    return not different or max(different) - min(different) <= 1
