"""WAV files that are alike become one without being decoded: their samples, one after another, behind a new header."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from audiostore.audio.engine import seekable
from audiostore.audio.info import AudioInfo
from audiostore.audio.looking import Look, naming
from audiostore.audio.parts import Part
from audiostore.errors import AudioStoreError, UnsupportedAudio, from_os_error

_BLOCK = 256 * 1024
_MOST = _ELSEWHERE = 0xFFFFFFFF
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_STEREO = 2
_KIND_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format's number in the long form of a WAV's header."""
_INFO = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "genre": b"IGNR",
    "comment": b"ICMT",
    "copyright": b"ICOP",
    "track": b"IPRT",
}
_SAMPLE_BITS = {"pcm_s16le": 16, "pcm_s24le": 24, "pcm_s32le": 32, "pcm_f32le": 32}

Told = Callable[[float], None]


def can_append(looks: Sequence[Look]) -> bool:
    """Tell whether these can follow one another sample by sample."""
    first = looks[0].samples_alike
    return looks[0].info.codec in _SAMPLE_BITS and all(
        each.audio is not None and each.samples_alike == first for each in looks
    )


def append_parts(
    parts: Sequence[Part], looks: Sequence[Look], path: Path, *, tags: Mapping[str, str] | None, told: Told
) -> tuple[list[tuple[int, int]], int]:
    """Write the samples of all *parts* into *path*; give where each lies, and how many there are, per channel.

    Gaps become digital silence.
    """
    info = looks[0].info
    width = _SAMPLE_BITS[info.codec] // 8 * info.channels
    spans, at = _planned(parts, looks, width, info.sample_rate)
    try:
        with path.open("wb") as file:
            file.write(_header(info, looks[0].speakers, width, at * width, tags))
            written = 0
            for number, (part, seen, span) in enumerate(zip(parts, looks, spans, strict=True)):
                _write_silence(file, (span[0] - written) * width)
                with naming(number, part):
                    for count in _copied(part, seen, file, (span[1] - span[0]) * width):
                        told((span[0] * width + count) / (at * width))
                written = span[1]
            _write_silence(file, (at - written) * width)
            if at * width & 1:
                file.write(b"\0")
    except AudioStoreError:
        raise
    except OSError as error:
        raise from_os_error(error, str(path)) from error
    return spans, at


def _planned(parts: Sequence[Part], looks: Sequence[Look], width: int, rate: int) -> tuple[list[tuple[int, int]], int]:
    spans: list[tuple[int, int]] = []
    at = 0
    for number, (part, seen) in enumerate(zip(parts, looks, strict=True)):
        assert seen.audio is not None
        samples = seen.audio[1] // width
        if not samples:
            with naming(number, part):
                raise UnsupportedAudio("no_audio", "there is nothing to hear in it")
        at += _samples(part.gap_before, rate)
        spans.append((at, at + samples))
        at += samples + _samples(part.gap_after, rate)
    return spans, at


def _samples(time: timedelta, rate: int) -> int:
    return round(time.total_seconds() * rate)


def _copied(part: Part, seen: Look, file: BinaryIO, count: int) -> Iterator[int]:
    assert seen.audio is not None
    done, buffer = 0, memoryview(bytearray(_BLOCK))
    with seekable(part.source) as source:
        source.seek(seen.audio[0])
        read = _reader(source)
        while done < count:
            block = buffer[: read(buffer[: min(_BLOCK, count - done)])]
            if not block:
                raise UnsupportedAudio("truncated", f"{count} bytes of audio are declared, and {done} are there")
            file.write(block)
            done += len(block)
            yield done


def _reader(source: BinaryIO) -> Callable[[memoryview], int]:
    """Give what fills a buffer from *source*, also where that can only ``read``."""
    readinto: Callable[[memoryview], int | None] | None = getattr(source, "readinto", None)
    if readinto is not None:
        return lambda buffer: readinto(buffer) or 0

    def read(buffer: memoryview) -> int:
        block = source.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    return read


def _write_silence(file: BinaryIO, count: int) -> None:
    while count > 0:
        count -= file.write(bytes(min(_BLOCK, count)))


def _header(info: AudioInfo, speakers: int, width: int, length: int, tags: Mapping[str, str] | None) -> bytes:
    body = _format(info, speakers, width) + _tags(tags or {})
    after = length & 1
    if 4 + len(body) + 8 + length + after <= _MOST:
        size = 4 + len(body) + 8 + length + after
        return b"RIFF" + struct.pack("<I", size) + b"WAVE" + body + b"data" + struct.pack("<I", length)
    # Sizes of more than 32 bits stand in a chunk of their own (RF64, EBU Tech 3306).
    size = 4 + 36 + len(body) + 8 + length + after
    sizes = b"ds64" + struct.pack("<IQQQI", 28, size, length, length // width, 0)
    elsewhere = struct.pack("<I", _ELSEWHERE)
    return b"RF64" + elsewhere + b"WAVE" + sizes + body + b"data" + elsewhere


def _format(info: AudioInfo, speakers: int, width: int) -> bytes:
    bits = _SAMPLE_BITS[info.codec]
    kind = _FLOAT if info.codec.startswith("pcm_f") else _PCM
    is_long = info.channels > _STEREO or (kind == _PCM and bits > 16)  # noqa: PLR2004 - what the short form is for
    rate = info.sample_rate
    form = struct.pack("<HHIIHH", _EXTENSIBLE if is_long else kind, info.channels, rate, rate * width, width, bits)
    if is_long:
        form += struct.pack("<HHIH", 22, bits, speakers, kind) + _KIND_TAIL
    elif kind == _FLOAT:
        form += struct.pack("<H", 0)
    return b"fmt " + struct.pack("<I", len(form)) + form


def _tags(tags: Mapping[str, str]) -> bytes:
    texts = [(_INFO[name.lower()], value.encode() + b"\0") for name, value in tags.items() if name.lower() in _INFO]
    if not texts:
        return b""
    chunks = (name + struct.pack("<I", len(text)) + text + b"\0" * (len(text) & 1) for name, text in texts)
    body = b"INFO" + b"".join(chunks)
    return b"LIST" + struct.pack("<I", len(body)) + body
