"""The door to PyAV for everything that is read: opened by content, decoded frame by frame, errors translated.

Whatever a file says, no decoder gets a name or a URL: it gets one open file, one demuxer that the first bytes chose,
the audio codecs of that container, and no protocol. A picture inside is never decoded.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av
import av.error

from audiostore.audio.headers import Looked, examine
from audiostore.errors import AudioStoreError, UnsupportedAudio
from audiostore.sources import opened as opened_source

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

_BUFFER = 256 * 1024
# Up to PyAV 18 a tag that is no UTF-8 raises, unless it is told not to; from 19 on it can't be told.
_TEXT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}  # noqa: PLR2004
_PROBE = {"probesize": "2000000", "analyzeduration": "5000000"}
# What calls itself PCM may be DTS, AC-3 or mp3 in a WAV's clothes. FFmpeg holds 32 packets against all that it knows,
# which takes 20 to 50 ms, most of a look at the headers; two, some 32 KiB in stereo, tell as well.
_PROBE_OF = {"wav": {"max_probe_packets": "2"}}
# Decoders go by other names than their codecs.
_DECODERS = {"mp3": "mp3float,mp3", "opus": "opus,libopus", "vorbis": "vorbis,libvorbis", "speex": "speex,libspeex"}
MAX_CHANNELS = 64
MAX_SAMPLE_RATE = 768_000
_PATIENCE = 200
"""Packets without a frame before a file is given up that gave none so far."""


class Reader:
    """One recording that is open for decoding. ``bad`` counts the packets that could not be decoded."""

    def __init__(self, file: BinaryIO, container: InputContainer, stream: AudioStream, looked: Looked) -> None:
        self.file = file
        self.container = container
        self.stream = stream
        self.looked = looked
        self.packets = 0
        self.bad = 0

    @property
    def codec(self) -> str:
        return codec_name(self.stream)

    def frames(self, *, seconds: float | None = None) -> Iterator[AudioFrame]:
        """Decode frame by frame, up to *seconds* of audio; damaged packets are counted and left out.

        Raises:
            UnsupportedAudio: ``too_long`` when there is more than *seconds*; ``memory``; ``unreadable``.

        """
        decoded = 0.0
        for frame in self._decoded():
            if frame.samples <= 0 or frame.sample_rate <= 0:
                continue
            decoded += frame.samples / frame.sample_rate
            if seconds is not None and decoded > seconds:
                raise UnsupportedAudio("too_long", f"more than {seconds:g} s of audio")
            yield frame

    def _decoded(self) -> Iterator[AudioFrame]:
        # Without ``translating``: to enter it twice for each packet takes as long as some codecs do.
        packets = iter(self.container.demux(self.stream))
        fruitful = False
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FOREIGN as error:
                if (told := translated(error)).code != "unreadable":
                    raise told from error
                self.bad += 1  # damage at the tail ends the file; what came before counts
                return
            self.packets += 1
            try:
                frames = packet.decode()
            except FOREIGN as error:
                told = translated(error)
                self.bad += 1
                if told.code != "unreadable" or (not fruitful and self.bad > _PATIENCE):
                    raise told from error
                continue
            for frame in frames:
                fruitful = True
                yield frame

    def count(self) -> float:
        """Give the duration in seconds that the packets add up to, without decoding them."""
        return sum(
            float(each.duration * each.time_base) for each in self._packets() if each.duration and each.time_base
        )

    def packet_sizes(self) -> Iterator[int]:
        """Give the bytes of each packet, without decoding it."""
        return (packet.size for packet in self._packets() if packet.size)

    def _packets(self) -> Iterator[Packet[AudioStream]]:
        packets = iter(self.container.demux(self.stream))
        while True:
            try:
                with translating():
                    packet = next(packets)
            except (StopIteration, UnsupportedAudio):
                return
            yield packet


@contextmanager
def opened(source: Any) -> Generator[Reader]:
    """Open a path, or a binary file that can seek, for decoding. A caller's file is put back to where it stood.

    Raises:
        UnsupportedAudio: what it is, or what is in it, is not read here; ``code`` tells.
        NotFound, PermissionDenied: a path that can't be read. TypeError: neither path nor file.

    """
    with seekable(source) as file, opened_container(file, examine(file)) as reader:
        yield reader


@contextmanager
def seekable(source: Any) -> Generator[BinaryIO]:
    """Give *source*, a path or a binary file that can seek, as a file that stands at its start."""
    if isinstance(source, str | Path) or hasattr(source, "__fspath__"):
        with opened_source(source), Path(source).open("rb") as own:
            yield own
        return
    can_seek: Callable[[], bool] | None = getattr(source, "seekable", None)
    if not callable(getattr(source, "read", None)) or can_seek is None or not can_seek():
        raise TypeError(f"give a path or a binary file that can seek, not {type(source).__name__}")
    file = cast("BinaryIO", source)
    place = file.tell()
    try:
        yield file
    finally:
        if not file.closed:
            file.seek(place)


def own_path(source: Any) -> Path:
    """Give *source* as a path that another process can open, having seen that this one can.

    Raises:
        TypeError: it is no path. NotFound, PermissionDenied: it can't be read.

    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"isolated=True takes a path, not {type(source).__name__}")
    with seekable(source):
        return Path(cast("str | os.PathLike[str]", source))


@contextmanager
def opened_container(file: BinaryIO, looked: Looked) -> Generator[Reader]:
    """Open *file* as what *looked* says it is."""
    demuxer = looked.container.demuxer
    codecs = ",".join(_DECODERS.get(each, each) for each in sorted(looked.container.codecs))
    options = {"format_whitelist": demuxer, "codec_whitelist": codecs, "protocol_whitelist": "none"}
    options |= _PROBE | _PROBE_OF.get(demuxer, {})
    file.seek(0)
    with translating():
        container = av.open(
            file,
            "r",
            format=demuxer,
            options=options,
            buffer_size=_BUFFER,
            io_open=_refuse,
            **_TEXT,
        )
    try:
        stream = _only_stream(container, looked)
        # One thread: memory stays bounded, and a short file is not worth starting more.
        stream.codec_context.thread_count = 1
        yield Reader(file, container, stream, looked)
    finally:
        container.close()


def codec_name(stream: AudioStream) -> str:
    """Give a codec's usual name: ``mp3``, whichever of the decoders reads it."""
    return stream.codec_context.codec.canonical_name


@contextmanager
def translating() -> Generator[None]:
    """Turn what PyAV raises into ``UnsupportedAudio``, in the one place where that is done."""
    try:
        yield
    except AudioStoreError:
        raise
    except FOREIGN as error:
        raise translated(error) from error


_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
FOREIGN = (av.error.FFmpegError, ValueError, OverflowError, MemoryError)


def translated(error: BaseException) -> UnsupportedAudio:
    """Say what PyAV raised in our words; the disk's troubles go on as they are, and so does what is ours already."""
    if isinstance(error, AudioStoreError):
        raise error
    if isinstance(error, MemoryError) or (isinstance(error, av.error.FFmpegError) and error.errno == errno.ENOMEM):
        return UnsupportedAudio("memory", "it takes too much memory to read")
    if isinstance(error, av.error.FFmpegError):
        if error.errno in _DISK:
            raise error
        return UnsupportedAudio("unreadable", error.strerror or type(error).__name__)
    # PyAV's own word for numbers that no sound has.
    return UnsupportedAudio("unreadable", str(error)[:200])


def _refuse(url: str, flags: int, options: object) -> object:
    raise PermissionError("a recording may not open other files")


def _only_stream(container: InputContainer, looked: Looked) -> AudioStream:
    pictures = [each for each in container.streams.video if not is_cover(each)]
    if pictures:
        raise UnsupportedAudio("video", "there is a moving picture in it")
    streams = container.streams.audio
    if len(streams) != 1:
        raise UnsupportedAudio("streams", f"{len(streams)} audio streams, and one is wanted")
    stream = streams[0]
    name = _codec_of(stream)
    if name not in looked.container.codecs:
        raise UnsupportedAudio("codec", f"{name or 'an unknown codec'} in {looked.container.name}")
    if not 0 < stream.channels <= MAX_CHANNELS:
        raise UnsupportedAudio("channels", f"{stream.channels} channels")
    if not 0 < stream.sample_rate <= MAX_SAMPLE_RATE:
        raise UnsupportedAudio("sample_rate", f"{stream.sample_rate} Hz")
    return stream


def _codec_of(stream: AudioStream) -> str | None:
    # A stream of a codec that FFmpeg can't decode has no context.
    context = cast("Any", stream).codec_context
    return None if context is None else codec_name(stream)


def is_cover(stream: Any) -> bool:
    """Tell whether a stream of pictures is the one picture of a cover."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)
