"""What there is to hear in the tests: real speech, and a signal like music, in every format that is read."""

from __future__ import annotations

import array
import math
import struct
from functools import cache
from pathlib import Path
from typing import Any

import av

ROOT = Path(__file__).parent.parent.parent
SAMPLES = ROOT / "tests" / "audio"
TAKE = ROOT / "examples" / "shared" / "take.wav"
"""4.5 s of speech, mono, 22,050 Hz, 16 bit."""


@cache
def music(*, seconds: float = 3.0, rate: int = 44_100, channels: int = 2, level: float = 0.3) -> tuple[float, ...]:
    """Chords that come and go, interleaved; the same every time. Not quite alike left and right."""
    samples: list[float] = []
    for number in range(int(seconds * rate)):
        at = number / rate
        swell = level * (0.55 + 0.45 * math.sin(2 * math.pi * 0.7 * at))
        for channel in range(channels):
            chord = sum(math.sin(2 * math.pi * hertz * at + channel) for hertz in (220.0, 277.2, 329.6)) / 3
            samples.append(swell * chord)
    return tuple(samples)


def wav_file(path: Path, *, bits: int = 16, is_float: bool = False, rate: int = 44_100, channels: int = 2) -> Path:
    """Write the music as a WAV of 16 or 24 bits, or of 32 as floats, by hand: no encoder of ours is in between."""
    samples = music(rate=rate, channels=channels)
    if is_float:
        data = array.array("f", samples).tobytes()
    elif bits == 16:
        data = array.array("h", (round(each * 32767) for each in samples)).tobytes()
    else:
        data = b"".join(struct.pack("<i", round(each * 8_388_607))[:3] for each in samples)
    width = bits // 8
    fmt = struct.pack("<HHIIHH", 3 if is_float else 1, channels, rate, rate * channels * width, channels * width, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def encode(
    source: Path,
    path: Path,
    codec: str,
    *,
    rate: int,
    layout: str,
    options: dict[str, str] | None = None,
    muxer: str,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Write *source* with one of FFmpeg's encoders, in the plainest way that PyAV has: none of our code is used."""
    with av.open(str(source)) as given, av.open(str(path), "w", format=muxer, options=muxer_options) as opened:
        made: Any = opened
        stream = made.add_stream(codec, rate=rate, options=options or {})
        stream.codec_context.layout = layout
        for frame in given.decode(audio=0):
            frame.pts = None
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def tone_file(path: Path, *, hertz: int, rate: int = 44_100) -> Path:
    """Write one second of one tone."""
    samples = (round(20_000 * math.sin(2 * math.pi * hertz * number / rate)) for number in range(rate))
    data = array.array("h", samples).tobytes()
    fmt = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path
