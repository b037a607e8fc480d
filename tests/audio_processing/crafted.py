"""Bytes of audio files, put together by hand: sound ones, and ones whose numbers lie."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests.audio_processing.signals import SAMPLES, TAKE

MP3 = (SAMPLES / "speech.mp3").read_bytes()
M4A = (SAMPLES / "speech.m4a").read_bytes()
FLAC = (SAMPLES / "speech.flac").read_bytes()
OGG = (SAMPLES / "speech.ogg").read_bytes()
OPUS = (SAMPLES / "speech.opus").read_bytes()
AAC = (SAMPLES / "speech.aac").read_bytes()
WEBM = (SAMPLES / "speech.webm").read_bytes()
PCM = TAKE.read_bytes()[44 : 44 + 16_000]


def wav(
    data: bytes = PCM,
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 8000,
    bits: int = 16,
    align: int | None = None,
    declared: int | None = None,
    before: bytes = b"",
) -> bytes:
    """One WAV; *declared* is what its data chunk claims, *before* further chunks."""
    align = channels * bits // 8 % 65536 if align is None else align
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    length = len(data) if declared is None else declared
    body = b"WAVE" + chunk(b"fmt ", fmt) + before + b"data" + struct.pack("<I", length & 0xFFFFFFFF) + data
    return b"RIFF" + struct.pack("<I", min(len(body), 0xFFFFFFFF)) + body


def chunk(name: bytes, body: bytes, *, declared: int | None = None) -> bytes:
    """One RIFF chunk."""
    return name + struct.pack("<I", len(body) if declared is None else declared) + body + b"\0" * (len(body) % 2)


def id3(*frames: bytes, declared: int | None = None) -> bytes:
    """One ID3v2.4 tag."""
    body = b"".join(frames)
    return b"ID3\x04\0\0" + syncsafe(len(body) if declared is None else declared) + body


def id3_frame(name: bytes, body: bytes, *, flags: bytes = b"\0\0") -> bytes:
    """One frame of such a tag."""
    return name + syncsafe(len(body)) + flags + body


def syncsafe(number: int) -> bytes:
    """A number as ID3v2.4 writes it."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def apic(picture: bytes, kind: bytes = b"image/png") -> bytes:
    """A frame with a cover."""
    return id3_frame(b"APIC", b"\0" + kind + b"\0\x03\0" + picture)


def box(name: bytes, *bodies: bytes, declared: int | None = None) -> bytes:
    """One MPEG-4 box."""
    body = b"".join(bodies)
    return struct.pack(">I", 8 + len(body) if declared is None else declared) + name + body


def patched(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """*content* with *value* so many bytes after the start of *mark*."""
    at = content.index(mark) + offset
    return content[:at] + value + content[at + len(value) :]


def without_box(content: bytes, name: bytes) -> bytes:
    """An MPEG-4 file without one of its outermost boxes."""
    kept, place = b"", 0
    while place < len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        if content[place + 4 : place + 8] != name:
            kept += content[place : place + length]
        place += length
    return kept


def png_header(width: int, height: int) -> bytes:
    """As much of a picture as a decoder needs to ask for the memory of all of it."""
    import zlib

    def part(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", zlib.compress(b"\0" * 1000)) + part(b"IEND", b"")


def zip_of(content: bytes) -> bytes:
    """A zip archive with one member."""
    import io
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("evil.class"), content)
    return made.getvalue()


# --- FLAC frames of constant value: fifteen bytes are a second and a half -------------------------------------------


def flac_bomb(*, hours: float, rate: int, channels: int, total: int = 0) -> bytes:
    """Silence of any length, and a header that does not tell how long (*total* samples are declared)."""
    block = 65_535
    frames = int(hours * 3600 * rate) // block
    info = struct.pack(">HH", block, block) + b"\0" * 6
    packed = rate << 44 | (channels - 1) << 41 | 15 << 36 | total
    header = b"fLaC\x80\0\0\x22" + info + packed.to_bytes(8, "big") + b"\0" * 16
    return header + b"".join(_flac_frame(number, block, channels) for number in range(frames))


def _flac_frame(number: int, block: int, channels: int) -> bytes:
    # Sync, fixed blocks; 16-bit size at the end, rate of STREAMINFO; channels; 16 bits.
    head = bytes([0xFF, 0xF8, 0x70, (channels - 1) << 4 | 0x08]) + _utf8(number) + struct.pack(">H", block - 1)
    head += bytes([_crc(head, 0x07, 8)])
    frame = head + b"\0\0\0" * channels  # constant subframes: a byte of header, two of value
    return frame + _crc(frame, 0x8005, 16).to_bytes(2, "big")


def _utf8(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass")


def _crc_table(polynomial: int, bits: int) -> Sequence[int]:
    table: list[int] = []
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table


_TABLES = {8: _crc_table(0x07, 8), 16: _crc_table(0x8005, 16)}


def _crc(content: bytes, polynomial: int, bits: int) -> int:
    table, mask, value = _TABLES[bits], (1 << bits) - 1, 0
    for byte in content:
        value = (value << 8 ^ table[(value >> (bits - 8) ^ byte) & 0xFF]) & mask
    return value
