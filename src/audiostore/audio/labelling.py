"""What a file says of itself beside its sound: tags, a cover, chapter marks, in the way of each format."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from audiostore.audio.parts import Chapter

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_HOLDS_COVER = frozenset({"mp3", "mp4", "flac"})
_HOLDS_CHAPTERS = frozenset({"mp3", "mp4", "opus"})
_OGG = frozenset({"opus", "ogg"})
_FRONT_COVER = 3


def is_picture(picture: bytes) -> bool:
    """Tell whether this is a JPEG or a PNG, which are what covers can be."""
    return picture.startswith((_PNG, _JPEG))


def holds_chapters(muxer: str) -> bool:
    """Tell whether files that *muxer* writes can have chapter marks."""
    return muxer in _HOLDS_CHAPTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is put into a file. *cover* is a picture's bytes, which are kept as they are."""

    tags: Mapping[str, str] | None = None
    cover: bytes | None = None
    chapters: Sequence[Chapter] = ()


def label(container: Any, stream: Any, labels: Labels) -> None:
    """Put *labels* into *container*, before anything else is written. What it can't hold is left out."""
    chapters = labels.chapters
    muxer: str = container.format.name
    picture = labels.cover if labels.cover is not None and is_picture(labels.cover) else None
    tags = dict(labels.tags or {})
    if muxer in _OGG:
        # Ogg keeps its tags with the stream, all others with the file; chapters and pictures are tags there.
        tags |= _chapter_comments(chapters)
        if picture is not None:
            tags["METADATA_BLOCK_PICTURE"] = _picture_comment(picture)
        stream.metadata.update(tags)
    container.metadata.update(tags)
    if chapters and muxer in _HOLDS_CHAPTERS - _OGG:
        container.set_chapters([_entry(number, each) for number, each in enumerate(chapters)])
    if picture is not None and muxer in _HOLDS_COVER:
        _add_cover(container, picture)


def _entry(number: int, chapter: Chapter) -> dict[str, Any]:
    return {
        "id": number,
        "start": round(chapter.start * 1000),
        "end": round(chapter.end * 1000),
        "time_base": Fraction(1, 1000),
        "metadata": {"title": chapter.title},
    }


def _chapter_comments(chapters: Sequence[Chapter]) -> dict[str, str]:
    comments: dict[str, str] = {}
    for number, chapter in enumerate(chapters):
        seconds, milliseconds = divmod(round(chapter.start * 1000), 1000)
        time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"
        comments |= {f"CHAPTER{number:03}": time, f"CHAPTER{number:03}NAME": chapter.title}
    return comments


def _picture_comment(picture: bytes) -> str:
    """Give a picture as the comment that Ogg has for it: a FLAC picture block in base64."""
    width, height = _pixels(picture)
    kind = b"image/png" if picture.startswith(_PNG) else b"image/jpeg"
    block = struct.pack(">II", _FRONT_COVER, len(kind)) + kind + struct.pack(">I", 0)
    block += struct.pack(">IIIII", width, height, 24, 0, len(picture)) + picture
    return base64.b64encode(block).decode()


def _add_cover(container: Any, picture: bytes) -> None:
    # Muxers ask for a size; the picture itself stays as it is.
    width, height = _pixels(picture)
    codec = "png" if picture.startswith(_PNG) else "mjpeg"
    stream = container.add_mux_stream(codec, width=width, height=height)
    stream.time_base = Fraction(1, 90_000)
    stream.disposition = Disposition.attached_pic
    container.start_encoding()
    packet = av.Packet(picture)
    packet.stream = stream
    packet.time_base = stream.time_base
    packet.pts = packet.dts = 0
    container.mux(packet)


def _pixels(picture: bytes) -> tuple[int, int]:
    """Give width and height as the header of a PNG or JPEG tells, and 1, 1 if it does not."""
    if picture.startswith(_PNG) and len(picture) >= 24:  # noqa: PLR2004 - up to the size in its first chunk
        return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    place = 2
    while picture[place : place + 1] == b"\xff" and len(picture) > place + 9:
        if picture[place + 1] in _JPEG_FRAMES:
            return (
                int.from_bytes(picture[place + 7 : place + 9], "big"),
                int.from_bytes(picture[place + 5 : place + 7], "big"),
            )
        place += 2 + int.from_bytes(picture[place + 2 : place + 4], "big")
    return 1, 1


def correct_id3_chapters(path: Path, chapters: Sequence[Chapter]) -> None:
    """Put the times of *chapters* into an mp3 whose tag has as many of them, with times that were not known yet."""
    with path.open("r+b") as file:
        header = file.read(10)
        length = int.from_bytes(header[6:10], "big")
        # Seven bits each.
        size = sum((length >> 8 * place & 0x7F) << 7 * place for place in range(4))
        tag, place = file.read(size), 0
        times = iter(chapters)
        while tag[place : place + 1].isalnum():
            name, long = tag[place : place + 4], int.from_bytes(tag[place + 4 : place + 8], "big")
            if name == b"CHAP":
                chapter = next(times)
                after_id = tag.index(b"\0", place + 10) + 1
                file.seek(10 + after_id)
                file.write(struct.pack(">II", round(chapter.start * 1000), round(chapter.end * 1000)))
            place += 10 + long
