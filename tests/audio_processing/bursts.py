"""Parts for joins, and what became of them: tones with nothing around them, read back by PyAV alone."""

from __future__ import annotations

import array
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av

LOUD = 12_000


def samples_file(path: Path, samples: Sequence[int], *, rate: int = 44_100, channels: int = 1) -> Path:
    """Write these samples, interleaved, as a 16-bit WAV."""
    data = array.array("h", samples).tobytes()
    fmt = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def tone(hertz: float, seconds: float, *, rate: int = 44_100, level: int = LOUD) -> list[int]:
    """Give a tone that is loud from its first sample to its last."""
    return [round(level * math.cos(2 * math.pi * hertz * at / rate)) for at in range(round(seconds * rate))]


def tone_part(path: Path, hertz: float, seconds: float, *, rate: int = 44_100) -> Path:
    """Write such a tone as a WAV."""
    return samples_file(path, tone(hertz, seconds, rate=rate), rate=rate)


def decoded(path: Path) -> bytes:
    """Give the samples of *path* as they are decoded: of all channels if they are interleaved, else of the first."""
    with av.open(str(path)) as container:
        blocks: list[bytes] = []
        for frame in container.decode(audio=0):
            wide = frame.format.bytes * (1 if frame.format.is_planar else len(frame.layout.channels))
            blocks.append(bytes(frame.planes[0])[: frame.samples * wide])
        return b"".join(blocks)


def heard(path: Path) -> tuple[array.array[float], int]:
    """Give the first channel of *path* as floats, decoded by PyAV alone, and the rate."""
    samples: array.array[float] = array.array("f")
    with av.open(str(path)) as opened:
        container: Any = opened
        stream = container.streams.audio[0]
        rate = int(stream.sample_rate)
        resampler = av.AudioResampler(format="fltp", layout=stream.layout.name, rate=rate)
        for frame in container.decode(stream):
            for plain in resampler.resample(frame):
                samples.frombytes(bytes(plain.planes[0])[: 4 * plain.samples])
    return samples, rate


def packets(path: Path) -> list[bytes]:
    """Give the packets of the audio of *path*."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.dts is not None]


def onsets(path: Path, *, quiet: float = 0.2) -> list[float]:
    """Give where sound begins, in seconds, after at least *quiet* seconds of none (or at the beginning)."""
    samples, rate = heard(path)
    found: list[float] = []
    last_loud = -rate
    for at, sample in enumerate(samples):
        if abs(sample) > 0.08:
            if at - last_loud > quiet * rate:
                found.append(at / rate)
            last_loud = at
    return found
