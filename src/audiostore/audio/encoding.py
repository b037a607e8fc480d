"""Writing audio, streaming: frames of any kind go in, a file of one shape comes out. The door to PyAV's encoders."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import av
import av.error
from av.stream import Disposition

from audiostore.audio.engine import Reader, translating
from audiostore.audio.reshaping import LAYOUTS, Reshaper
from audiostore.audio.target import Shape
from audiostore.errors import AudioStoreError, UnsupportedAudio, from_os_error

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.packet import Packet

Share = Callable[[float], None]
"""Called with the share that is done, 0 to 1; what it raises ends the work."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_HOLDS_COVER = frozenset({"mp3", "mp4", "flac"})


class Encoder:
    """Encode frames into *path*; used with ``with``, and the file is removed if the block raises.

    *cover* is a picture's bytes, JPEG or PNG, which are kept as they are.
    """

    def __init__(
        self, path: Path, shape: Shape, *, tags: Mapping[str, str] | None = None, cover: bytes | None = None
    ) -> None:
        self.path = path
        self.shape = shape
        self._tags = dict(tags or {})
        is_picture = cover is not None and cover.startswith((_PNG, _JPEG))
        self._cover = cover if is_picture and shape.format.muxer in _HOLDS_COVER else None
        self._reshaper = Reshaper(
            sample_format=shape.sample_format, layout=LAYOUTS[shape.channels], sample_rate=shape.sample_rate
        )

    def __enter__(self) -> Self:
        shape = self.shape
        with writing(self.path):
            self._container = open_output(self.path, shape.format.muxer, shape.format.options)
            stream = self._container.add_stream(shape.codec, rate=shape.sample_rate)
            stream.codec_context.thread_count = 1
            stream.codec_context.layout = LAYOUTS[shape.channels]
            stream.codec_context.format = shape.sample_format
            if shape.bit_rate is not None:
                stream.codec_context.bit_rate = shape.bit_rate
            self._stream = stream
            set_tags(self._container, stream, self._tags)
            if self._cover is not None:
                _add_cover(self._container, self._cover)
        return self

    def write(self, frame: AudioFrame) -> None:
        """Encode one frame, of any rate, layout and sample format; they may change on the way."""
        with writing(self.path):
            self._encode(self._reshaper.push(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with writing(self.path):
                if error is None:
                    self._encode(self._reshaper.flush())
                    self._container.mux(self._stream.encode(None))
                self._container.close()
        except BaseException:
            self.path.unlink(missing_ok=True)
            if error is None:
                raise
        if error is not None:
            self.path.unlink(missing_ok=True)

    @property
    def samples(self) -> int:
        """Samples written so far, per channel and in the output's rate: where the next frame begins."""
        return self._reshaper.samples

    def _encode(self, frames: Iterable[AudioFrame]) -> None:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))


def remux(reader: Reader, path: Path, *, muxer: str, options: Mapping[str, str]) -> None:
    """Copy the audio of *reader* into *path* as it is, packet by packet, and nothing else: no tags, no pictures."""
    with writing(path), open_output(path, muxer, options) as container:
        stream = container.add_stream_from_template(reader.stream)
        stream.metadata.clear()
        for packet in _packets(reader):
            packet.stream = stream
            container.mux(packet)


def _packets(reader: Reader) -> Iterable[Packet[Any]]:
    packets = iter(reader.container.demux(reader.stream))
    while True:
        try:
            with translating():
                packet = next(packets)
        except StopIteration:
            return
        if packet.dts is not None:
            yield packet


def open_output(path: Path, muxer: str, options: Mapping[str, str]) -> Any:
    """Open *path* for writing by *muxer*, as PyAV's ``OutputContainer`` (whose types are only half there)."""
    # With the protocol before it, no name is taken for a URL.
    return av.open(f"file:{path.absolute()}", "w", format=muxer, options=dict(options))


def set_tags(container: Any, stream: Any, tags: Mapping[str, str]) -> None:
    """Put *tags* where the format keeps them: Ogg with the stream, all others with the file."""
    container.metadata.update(tags)
    if container.format.name in {"opus", "ogg"}:
        stream.metadata.update(tags)


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


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn what PyAV raises while it writes into our errors: the disk's, or the encoder's refusal."""
    try:
        yield
    except AudioStoreError:
        raise
    except av.error.FFmpegError as error:
        if error.errno == errno.EFBIG:
            raise UnsupportedAudio("output_too_large", "what it is made into is larger than is allowed") from error
        if isinstance(error, OSError) and error.errno not in (0, errno.EINVAL):
            raise from_os_error(error, str(path)) from error
        raise UnsupportedAudio("encoder", error.strerror or type(error).__name__) from error
    except OSError as error:
        raise from_os_error(error, str(path)) from error
