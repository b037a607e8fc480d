"""What can be told of a file before any decoder sees it: what it is at offset 0, and whether its outside is sound.

A decoder reads what it is given: it unpacks compressed tags, believes sizes, and finds an mp3 inside a web page. So
this comes first, in plain Python, in bounded time, and reads a few pages of the file at most (and the tag of an mp3).
"""

# ruff: noqa: PLR2004 - the numbers are those of the formats

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from audiostore import media
from audiostore.audio.info import CONTAINERS, Container
from audiostore.errors import UnsupportedAudio

MAX_TAG = 16 * 1024 * 1024
"""Bytes of tags, pictures included, before the audio begins. The largest covers have a few."""
_MAX_TABLES = 64 * 1024 * 1024
_MAX_FRAMES = 20_000
_TAIL = 65_557  # the longest end of a zip: its record and its comment


@dataclass(frozen=True, slots=True)
class Looked:
    """A file as its first bytes tell: its size in bytes, its container, and where the audio begins after a tag."""

    size: int
    kind: str
    container: Container
    start: int = 0


def examine(file: BinaryIO) -> Looked:
    """Tell what *file* is from its offset 0, and refuse what no decoder should be given.

    Raises:
        UnsupportedAudio: ``empty``, ``type``, ``tag_too_large``, ``compressed_tag``.

    """
    size = file.seek(0, 2)
    if size == 0:
        raise UnsupportedAudio("empty", "there are no bytes in it")
    start = _check_tags(file, size)
    head = _at(file, start, media.SNIFF_BYTES)
    kind = media.sniff(_at(file, 0, media.SNIFF_BYTES))
    if start and (after := media.sniff(head.lstrip(b"\0"))) in {"audio/flac", "audio/aac"}:
        kind = after
    elif start and kind is not None:
        kind = "audio/mpeg"
    container = CONTAINERS.get(kind or "")
    if kind is None or container is None:
        raise UnsupportedAudio("type", f"it is {kind}" if kind else "it is no audio that is known here")
    looked = Looked(size, kind, container, start)
    if container.name == "flac":
        _check_flac(file, looked)
    elif container.name == "mp4":
        _check_tables(file, looked)
    return looked


def check_outside(file: BinaryIO, looked: Looked) -> None:
    """Refuse a file whose outside says that a part is missing, or that it is something else as well.

    Every decoder passes these silently.

    Raises:
        UnsupportedAudio: ``truncated``, ``polyglot``.

    """
    _check_polyglot(file, looked)
    check = {"wav": _check_wav, "mp4": _check_boxes, "ogg": _check_ogg}.get(looked.container.name)
    if check is not None:
        check(file, looked)


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


# --- ID3, before an mp3 (and sometimes before others) -----------------------------------------------------------------


def _check_tags(file: BinaryIO, size: int) -> int:
    """Give where the last of the ID3v2 tags ends; 0 without one."""
    start = 0
    while len(header := _at(file, start, 10)) == 10 and header.startswith(b"ID3") and max(header[6:]) < 0x80:
        length = _syncsafe(header[6:])
        footer = 10 if header[3] == 4 and header[5] & 0x10 else 0
        if start + length > MAX_TAG:
            raise UnsupportedAudio("tag_too_large", f"a tag of {start + length} bytes, {MAX_TAG} at most")
        if start + 10 + length + footer > size:
            raise UnsupportedAudio("truncated", "it ends within its tag")
        if header[3] in (3, 4):
            _check_frames(header, file.read(length))
        start += 10 + length + footer
    return start


def _check_frames(header: bytes, body: bytes) -> None:
    version, flags = header[3], header[5]
    if flags & 0x80 and version == 3:
        body = body.replace(b"\xff\x00", b"\xff")
    place = 0
    if flags & 0x40 and len(body) >= 4:
        place = _syncsafe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big")
    compressed = 0x08 if version == 4 else 0x80
    for _ in range(_MAX_FRAMES):
        frame = body[place : place + 10]
        if len(frame) < 10 or frame[0] == 0:
            return
        if frame[9] & compressed:
            raise UnsupportedAudio("compressed_tag", "a compressed tag may unpack to anything")
        plain = version == 3 or max(frame[4:8]) > 0x7F
        place += 10 + (int.from_bytes(frame[4:8], "big") if plain else _syncsafe(frame[4:8]))
    raise UnsupportedAudio("tag_too_large", f"a tag of more than {_MAX_FRAMES} frames")


def _syncsafe(four: bytes) -> int:
    return (four[0] & 0x7F) << 21 | (four[1] & 0x7F) << 14 | (four[2] & 0x7F) << 7 | four[3] & 0x7F


# --- each container ---------------------------------------------------------------------------------------------------


def _check_flac(file: BinaryIO, looked: Looked) -> None:
    place, last = looked.start + 4, False
    for _ in range(_MAX_FRAMES):
        header = _at(file, place, 4)
        if len(header) < 4:
            raise UnsupportedAudio("truncated", "it ends within its tags")
        last = bool(header[0] & 0x80)
        place += 4 + int.from_bytes(header[1:], "big")
        if place - looked.start > MAX_TAG:
            raise UnsupportedAudio("tag_too_large", f"tags of more than {MAX_TAG} bytes")
        if last:
            return
    raise UnsupportedAudio("tag_too_large", f"more than {_MAX_FRAMES} tags")


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Give name, start and length of each outermost MPEG-4 box, as far as they make sense."""
    place = 0
    for _ in range(_MAX_FRAMES):
        header = _at(file, place, 16)
        if len(header) < 8:
            return
        length, name = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        elif length == 0:
            length = size - place
        yield name, place, length
        if length < 8:
            return
        place += length


def _check_tables(file: BinaryIO, looked: Looked) -> None:
    if any(name == b"moov" and length > _MAX_TABLES for name, _, length in _boxes(file, looked.size)):
        raise UnsupportedAudio("tag_too_large", f"tables and tags of more than {_MAX_TABLES} bytes")


def _check_boxes(file: BinaryIO, looked: Looked) -> None:
    names: set[bytes] = set()
    for name, place, length in _boxes(file, looked.size):
        names.add(name)
        if length < 8 or place + length > looked.size:
            raise UnsupportedAudio("truncated", "it ends within one of its boxes")
    if b"moov" not in names:
        raise UnsupportedAudio("truncated", "the tables, which come last, are missing")


# What recorders and speech engines write that could not go back and fill in the size.
def _is_streamed(length: int) -> bool:
    return length == 0 or 0xFFFFFF00 <= length <= 0xFFFFFFFF or 0x7FFFF000 <= length <= 0x7FFFFFFF


def wav_bytes(file: BinaryIO, looked: Looked) -> int:
    """Give the bytes of audio that a WAV has, whatever it declares; *file* stays where it stands."""
    place = file.tell()
    start, length = _wav_data(file)
    file.seek(place)
    there = max(0, looked.size - start)
    return there if _is_streamed(length) else min(length, there)


def wav_audio(file: BinaryIO, looked: Looked) -> tuple[int, int]:
    """Give where the audio of a WAV begins, and the bytes of it that are there; *file* is moved."""
    start, _ = _wav_data(file)
    return start, wav_bytes(file, looked)


def wav_speakers(file: BinaryIO) -> int:
    """Give the mask of speakers that the long form of a WAV's header has; 0 in the short one. *file* is moved."""
    for name, place, length in _wav_chunks(file):
        if name == b"fmt ":
            form = _at(file, place, min(length, 40))
            return int.from_bytes(form[20:24], "little") if len(form) == 40 and form[:2] == b"\xfe\xff" else 0
    return 0


def _check_wav(file: BinaryIO, looked: Looked) -> None:
    start, length = _wav_data(file)
    if not _is_streamed(length) and start + length > looked.size:
        there = looked.size - start
        raise UnsupportedAudio("truncated", f"{length} bytes of audio are declared, and {there} are there")


def _wav_data(file: BinaryIO) -> tuple[int, int]:
    """Give where the audio of a WAV begins, and its declared length; at the end and 0 if there is none."""
    long = 0
    for name, place, length in _wav_chunks(file):
        if name == b"ds64":
            long = int.from_bytes(_at(file, place + 8, 8), "little")
        elif name == b"data":
            return place, long if long and length == 0xFFFFFFFF else length
    return file.seek(0, 2), 0


def _wav_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Give name, start and declared length of each chunk."""
    order = ">" if _at(file, 0, 4) == b"RIFX" else "<"
    place = 12
    for _ in range(_MAX_FRAMES):
        header = _at(file, place, 8)
        if len(header) < 8:
            return
        length: int = struct.unpack(order + "I", header[4:])[0]
        yield header[:4], place + 8, length
        place += 8 + length + (length & 1)


def _check_ogg(file: BinaryIO, looked: Looked) -> None:
    tail = _at(file, max(0, looked.size - _TAIL), _TAIL)
    last = tail.rfind(b"OggS\0")
    if last < 0 or len(tail) < last + 27 or not tail[last + 5] & 4:
        raise UnsupportedAudio("truncated", "its last page does not say that it is the last")


# --- two files in one -------------------------------------------------------------------------------------------------


def _check_polyglot(file: BinaryIO, looked: Looked) -> None:
    if b"%PDF-" in _at(file, 0, 1024):
        raise UnsupportedAudio("polyglot", "it is a PDF as well")
    tail = _at(file, max(0, looked.size - _TAIL), _TAIL)
    finders: tuple[tuple[str, Callable[[bytes], bool]], ...] = (("zip", _ends_as_zip), ("web page", _ends_as_page))
    for what, found in finders:
        if found(tail):
            raise UnsupportedAudio("polyglot", f"it is a {what} as well")


def _ends_as_zip(tail: bytes) -> bool:
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return False
    # In noise these four bytes come by chance; a record whose comment reaches the end of the file does not.
    return end + 22 + int.from_bytes(tail[end + 20 : end + 22], "little") == len(tail)


def _ends_as_page(tail: bytes) -> bool:
    return tail.rstrip()[-7:].lower() == b"</html>"
