"""Writing audio, streaming: frames of any kind go in, a file of one shape comes out. The door to PyAV's encoders."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import av
import av.error

from audiostore.audio.engine import Reader, translating
from audiostore.audio.labelling import Labels, label
from audiostore.audio.reshaping import LAYOUTS, Reshaper
from audiostore.audio.target import Shape
from audiostore.errors import AudioStoreError, UnsupportedAudio, from_os_error

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.packet import Packet

Share = Callable[[float], None]
"""Called with the share that is done, 0 to 1; what it raises ends the work."""


class Encoder:
    """Encode frames into *path*; used with ``with``, and the file is removed if the block raises.

    *labels* are its tags, cover and chapters; what the format can't hold is left out.
    """

    def __init__(self, path: Path, shape: Shape, *, labels: Labels | None = None) -> None:
        self.path = path
        self.shape = shape
        self._labels = labels or Labels()
        self._reshaper = Reshaper(
            sample_format=shape.sample_format, layout=LAYOUTS[shape.channels], sample_rate=shape.sample_rate
        )

    def __enter__(self) -> Self:
        shape = self.shape
        with writing(self.path):
            self._container = open_output(self.path, shape.format.muxer, shape.format.options)
            stream = self._container.add_stream(
                shape.codec, rate=shape.sample_rate, options=dict(shape.format.encoder_options)
            )
            stream.codec_context.thread_count = 1
            stream.codec_context.layout = LAYOUTS[shape.channels]
            stream.codec_context.format = shape.sample_format
            if shape.bit_rate is not None:
                stream.codec_context.bit_rate = shape.bit_rate
            self._stream = stream
            label(self._container, stream, self._labels)
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
        for packet in packets_of(reader):
            packet.stream = stream
            container.mux(packet)


def packets_of(reader: Reader) -> Iterator[Packet[Any]]:
    """Give the packets of *reader* that hold something; damage ends in an error."""
    with translating():
        for packet in reader.container.demux(reader.stream):
            if packet.dts is not None:
                yield packet


def open_output(path: Path, muxer: str, options: Mapping[str, str]) -> Any:
    """Open *path* for writing by *muxer*, as PyAV's ``OutputContainer`` (whose types are only half there)."""
    # With the protocol before it, no name is taken for a URL.
    return av.open(f"file:{path.absolute()}", "w", format=muxer, options=dict(options))


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
