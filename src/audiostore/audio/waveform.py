"""Waveform peaks for players, in the JSON form of BBC's audiowaveform (version 2), which players read."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from audiostore.audio.encoding import Share
from audiostore.audio.engine import Reader, opened, own_path
from audiostore.audio.headers import wav_audio
from audiostore.audio.isolation import TIMEOUT, Bounds, run
from audiostore.audio.probing import header_duration
from audiostore.audio.reshaping import LAYOUTS, audioop, blocks
from audiostore.audio.transcoding import told
from audiostore.errors import UnsupportedAudio

_FINER = 8
"""Bins per point while reading: points are cut where they belong to an eighth of their width."""
_MOST_FINER = 64
_FEWEST = 4096
_MAX_POINTS = 1_000_000
_BITS = (8, 16)
_GUESSED_SECONDS = 600.0
_BLOCK = 256 * 1024


def peaks(
    source: Any,
    *,
    points: int = 1000,
    bits: int = 8,
    isolated: bool = False,
    timeout: timedelta = TIMEOUT,
    progress: Share | None = None,
) -> dict[str, Any]:
    """Give the waveform of a recording as *points* pairs of its lowest and highest value, channels mixed.

    *source* is a path, or a binary file that can seek (``store.open(file)``). The answer is what ``audiowaveform``
    writes as JSON: ``version channels sample_rate samples_per_pixel bits length data``; a recording of fewer samples
    has as many points. It streams, in memory that depends on *points* alone; a second for 20 minutes or so. This
    process decodes, as with ``probe``; with *isolated*, and then from a path, one of its own does, which is killed
    after *timeout*. Take that for what strangers sent.

    >>> from audiostore.audio import peaks
    >>> wave = peaks("take.wav", points=400)
    >>> wave["length"], len(wave["data"]), wave["bits"]
    (400, 800, 8)

    Raises:
        UnsupportedAudio: nothing that can be decoded; *isolated*, also ``timeout``, ``memory``, ``crashed``.
        NotFound, PermissionDenied: a path that can't be read.
        ValueError: *points* or *bits* that can't be.

    """
    if not 1 <= points <= _MAX_POINTS or bits not in _BITS:
        raise ValueError(f"points are 1 to {_MAX_POINTS}, bits 8 or 16")
    if isolated:
        asked = {"points": points, "bits": bits}
        return run("peaks", [own_path(source)], asked, bounds=Bounds(timeout=timeout), progress=progress)
    return draw(source, points=points, bits=bits, progress=progress)


def draw(source: Any, *, points: int, bits: int, progress: Share | None) -> dict[str, Any]:
    """Give the waveform, decoded in this process."""
    with opened(source) as reader:
        rate = reader.stream.sample_rate
        expected = (header_duration(reader) or _GUESSED_SECONDS) * rate
        size = min(_BLOCK, max(1, int(expected) // (points * _FINER)))
        bins = _Bins(size=size, most=max(_FEWEST, points * _MOST_FINER))
        for block in _plain(reader, progress) or _mixed(reader, progress):
            bins.add(block)
        bins.end()
    if not bins.samples:
        raise UnsupportedAudio("no_audio", "there is nothing to hear in it")
    data = list(bins.folded(points))
    length = len(data) // 2
    return {
        "version": 2,
        "channels": 1,
        "sample_rate": rate,
        "samples_per_pixel": max(1, round(bins.samples / length)),
        "bits": bits,
        "length": length,
        "data": data if bits == _BITS[1] else [value >> 8 for value in data],
    }


def _plain(reader: Reader, progress: Share | None) -> Iterator[bytes] | None:
    """Give the samples of a WAV that are already what is wished, as they are in the file; ``None`` for all others."""
    if reader.looked.container.name != "wav" or reader.codec != "pcm_s16le" or reader.stream.channels != 1:
        return None
    start, length = wav_audio(reader.file, reader.looked)

    def read() -> Iterator[bytes]:
        reader.file.seek(start)
        left = length - length % 2
        while left and (block := reader.file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block
            if progress is not None:
                progress(1 - left / length)

    return read()


def _mixed(reader: Reader, progress: Share | None) -> Iterator[bytes]:
    frames = reader.frames() if progress is None else told(reader, None, progress)
    return blocks(frames, sample_format="s16", layout=LAYOUTS[1], sample_rate=reader.stream.sample_rate)


class _Bins:
    """Lowest and highest value of every so many samples; when there are too many bins, two become one."""

    def __init__(self, *, size: int, most: int) -> None:
        self.size = size
        self.most = most
        self.samples = 0
        self.low = array("h")
        self.high = array("h")
        self._pending = bytearray()

    def add(self, block: bytes) -> None:
        self._pending += block
        if len(self._pending) >= _BLOCK:
            self._bin(len(self._pending) // (2 * self.size))

    def end(self) -> None:
        # The last one may be shorter than the others.
        self._bin(-(-len(self._pending) // (2 * self.size)))

    def _bin(self, count: int) -> None:
        width, minmax = 2 * self.size, audioop.minmax
        with memoryview(self._pending) as pending:
            ends = [minmax(pending[start : start + width], 2) for start in range(0, count * width, width)]
        self.samples += min(count * width, len(self._pending)) // 2
        del self._pending[: count * width]
        lows, highs = zip(*ends, strict=True) if ends else ((), ())
        self.low.extend(lows)
        self.high.extend(highs)
        while len(self.low) > self.most:
            self._halve()

    def _halve(self) -> None:
        self.low = array("h", map(min, self.low[::2], self.low[1::2] + self.low[-1:]))
        self.high = array("h", map(max, self.high[::2], self.high[1::2] + self.high[-1:]))
        self.size *= 2

    def folded(self, points: int) -> Iterator[int]:
        """Give *points* pairs, or as many as there are samples if they are fewer."""
        count = len(self.low)
        points = min(points, count)
        for point in range(points):
            start, end = point * count // points, (point + 1) * count // points
            yield min(self.low[start:end])
            yield max(self.high[start:end])
