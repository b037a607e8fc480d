"""``probe``: what a recording is, from its headers; or, where they lie or on request, by decoding it."""

# ruff: noqa: PLR2004 - the numbers are those of the formats

from __future__ import annotations

from datetime import timedelta
from typing import Any

from audiostore.audio.engine import Reader, is_cover, opened, own_path, translating
from audiostore.audio.headers import wav_bytes
from audiostore.audio.info import AudioInfo, Cover
from audiostore.audio.isolation import TIMEOUT, Bounds, run
from audiostore.errors import UnsupportedAudio

_PCM_BITS = {"u8": 8, "s8": 8, "alaw": 8, "mulaw": 8, "s16": 16, "s24": 24, "s32": 32, "f32": 32, "f64": 64}
# Not the audio's, but of the program or the container that wrote it.
_TECHNICAL = frozenset(
    {
        "encoder",
        "major_brand",
        "minor_version",
        "compatible_brands",
        "handler_name",
        "vendor_id",
        "language",
        "duration",
        "creation_time",
    }
)
_FRAME = 2048
_MAX_TAG_TEXT = 10_000
_MAX_TAGS = 200
_SLOWEST = 7_500
"""Bits per second; the least that MPEG audio has is 8,000. A header that promises more time than that lies."""


def probe(source: Any, *, exact: bool = False, isolated: bool = False, timeout: timedelta = TIMEOUT) -> AudioInfo:
    """Tell what a recording is, by its content: a path, or a binary file that can seek.

    It reads headers, in about a millisecond. The duration is counted where there is no header for it (raw AAC, mp3
    without one) and where the header can't be true. With *exact* the whole recording is decoded and counted, which
    takes about a second per 20 minutes. This process does it; with *isolated*, and then from a path, one of its own
    does, which is killed after *timeout*. Take that for what a stranger sent, if no ``accept()`` or ``probed()`` did.

    >>> from audiostore.audio import probe
    >>> info = probe("take.wav")
    >>> info.codec, info.sample_rate, info.channels, round(info.duration, 1)
    ('pcm_s16le', 22050, 1, 4.5)

    Raises:
        UnsupportedAudio: not a recording that can be read; ``code`` tells why.
        NotFound, PermissionDenied: a path that can't be read.

    """
    if isolated:
        answer = run("probe", [own_path(source)], {"exact": exact}, bounds=Bounds(timeout=timeout))
        return AudioInfo.from_dict(answer["info"])
    with opened(source) as reader:
        return describe(reader, exact=exact)


def cover_of(source: Any) -> bytes | None:
    """Give the cover picture as it is in the file, undecoded; ``None`` without one."""
    with opened(source) as reader:
        return cover_bytes(reader)


def cover_bytes(reader: Reader) -> bytes | None:
    """Give the picture that *reader* has, undecoded; this moves it on."""
    pictures = [each for each in reader.container.streams.video if is_cover(each)]
    if not pictures:
        return None
    with translating():
        return next((bytes(packet) for packet in reader.container.demux(*pictures) if packet.size), None)


def describe(reader: Reader, *, exact: bool, seconds: float | None = None) -> AudioInfo:
    """Tell what *reader* reads; with *exact*, after decoding it, *seconds* at most."""
    declared = header_duration(reader)
    if exact:
        decoded = sum(frame.samples / frame.sample_rate for frame in reader.frames(seconds=seconds))
        duration = _without_padding(decoded, declared, reader.stream.sample_rate)
    else:
        duration = reader.count() if declared is None else declared
    if duration <= 0:
        raise UnsupportedAudio("no_audio", "there is nothing to hear in it")
    return facts_of(reader, duration, exact=exact)


def facts_of(reader: Reader, duration: float, *, exact: bool = False) -> AudioInfo:
    """Give what the headers of *reader* tell, beside a *duration* that is known; nothing is read."""
    stream = reader.stream
    facts: dict[str, Any] = {
        "container": reader.looked.container.name,
        "codec": reader.codec,
        "sample_rate": stream.sample_rate,
        "channels": stream.channels,
        "bit_depth": _bit_depth(reader),
        "tags": _tags(reader),
        "cover": _cover(reader),
    }
    return AudioInfo(duration=duration, bit_rate=_bit_rate(reader, duration), exact=exact, **facts)


def header_duration(reader: Reader) -> float | None:
    """Give the seconds that the headers promise; ``None`` if they don't, or promise what can't be."""
    stream, looked = reader.stream, reader.looked
    if looked.container.name == "aac" or (looked.container.name == "mp3" and not _has_mp3_header(reader)):
        return None  # what FFmpeg says then is a guess from the first frames
    seconds = 0.0
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif reader.container.duration:
        seconds = reader.container.duration / 1_000_000
    rate = stream.codec_context.bit_rate or 0
    if reader.codec.startswith("pcm_") and rate:
        # A size that is declared and not there: 0xFFFFFFFF of a recorder that could not go back, or a lie.
        there = (looked.size if looked.container.name != "wav" else wav_bytes(reader.file, looked)) * 8 / rate
        seconds = min(seconds, there) if seconds > 0 else there
    if seconds <= 0 or (reader.codec == "mp3" and looked.size * 8 / seconds < _SLOWEST):
        return None
    return seconds


def _without_padding(decoded: float, declared: float | None, sample_rate: int) -> float:
    # Encoders fill their last frame up; the header says with how much, and not every decoder takes it off.
    padded = declared is not None and 0 < decoded - declared <= _FRAME / sample_rate
    return declared if padded and declared is not None else decoded


def _has_mp3_header(reader: Reader) -> bool:
    place = reader.file.tell()
    reader.file.seek(reader.looked.start)
    head = reader.file.read(4096).lstrip(b"\0")[:256]
    reader.file.seek(place)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def _bit_rate(reader: Reader, duration: float) -> int | None:
    if rate := reader.stream.codec_context.bit_rate:
        return rate
    return round(reader.looked.size * 8 / duration) if duration > 0 else None


def _bit_depth(reader: Reader) -> int | None:
    codec, extra = reader.codec, reader.stream.codec_context.extradata or b""
    if codec.startswith("pcm_"):
        return _PCM_BITS.get(codec.removeprefix("pcm_").removesuffix("le").removesuffix("be"))
    if codec == "flac" and len(extra) >= 34:
        return ((extra[12] & 1) << 4 | extra[13] >> 4) + 1
    if codec == "alac" and len(extra) >= 24:
        return extra[-24 + 5]
    return None


def _tags(reader: Reader) -> dict[str, str]:
    # Ogg keeps its tags with the stream, all others with the file.
    both = {**reader.stream.metadata, **reader.container.metadata}
    tags: dict[str, str] = {}
    for name, value in both.items():
        word = name.lower()
        if word not in _TECHNICAL and len(tags) < _MAX_TAGS and value.strip():
            tags[_text(word)] = _text(value)[:_MAX_TAG_TEXT]
    return tags


def _text(value: str) -> str:
    # What was no UTF-8 in the file may come as half a character, which no JSON and no catalog can hold.
    return value.encode(errors="replace").decode()


def _cover(reader: Reader) -> Cover | None:
    kinds = {"mjpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "bmp": "image/bmp"}
    for stream in reader.container.streams.video:
        if is_cover(stream):
            context = stream.codec_context
            kind = kinds.get(context.name if context else "", "application/octet-stream")
            return Cover(content_type=kind, width=(context.width or None), height=(context.height or None))
    return None
