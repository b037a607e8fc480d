"""Bytes on their way out: a stream that closes what is behind it, and a seekable file made of ranged reads."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from audiostore.cancelling import check_cancelled
from audiostore.errors import Unavailable

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK = 256 * 1024
"""Bytes per chunk. Below 64 KiB the calls cost more than the copying; above 1 MiB only memory grows."""


AHEAD = 64 * 1024
"""Bytes that ``SeekableFile`` asks for after a seek; reading on, it asks for twice as many each time."""


class ByteStream(Iterator[bytes]):
    """An iterator of byte chunks, ``length`` bytes in all.

    It lets go of what is behind it at its end, by ``close()``, by ``with``, or when dropped.
    """

    def __init__(self, chunks: Iterator[bytes], length: int, close: Callable[[], None] = lambda: None) -> None:
        self.length = length
        self._chunks = chunks
        self._close: Callable[[], None] | None = close

    def __next__(self) -> bytes:
        if self._close is None:
            raise StopIteration
        try:
            check_cancelled()
            return next(self._chunks)
        except BaseException:  # StopIteration included: the end closes too
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file or connection behind the stream; safe to call twice."""
        close, self._close = self._close, None
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_close", None) is not None:
            self.close()


def clamp_range(start: int, end: int | None, size: int) -> tuple[int, int]:
    """Give the range of an object of *size* bytes that *start* and *end* (exclusive; ``None``: the end) stand for.

    >>> clamp_range(2, None, 10), clamp_range(0, 99, 10), clamp_range(12, None, 10)
    ((2, 10), (0, 10), (10, 10))

    Raises:
        ValueError: a negative number; what that would mean is for HTTP to say, not for a backend.

    """
    if start < 0 or (end is not None and end < 0):
        raise ValueError(f"a range can't be negative: {start} to {end}")
    start = min(start, size)
    return start, size if end is None else max(start, min(end, size))


def read_range(file: io.BufferedIOBase | io.RawIOBase, start: int, end: int) -> ByteStream:
    """Stream bytes ``start`` to ``end`` (exclusive) of an open binary file, which is closed with the stream.

    Raises (while streaming):
        Unavailable: the file ended before ``end``, so somebody cut it meanwhile.
    """

    def chunks() -> Iterator[bytes]:
        file.seek(start)
        left = max(0, end - start)
        while left:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                raise Unavailable(f"the object ended {left} bytes early")
            left -= len(chunk)
            yield chunk

    return ByteStream(chunks(), max(0, end - start), file.close)


class SeekableFile(io.RawIOBase):
    """A read-only, seekable file over ranged reads: forward reads share streams that grow, a seek opens a short one.

    So it never asks for much more than it has read in a row, and a few KiB here and there start no long downloads. Wrap
    it in ``io.BufferedReader`` for small reads; ``AudioStore.open`` does.
    """

    def __init__(self, read: Callable[[int, int], ByteStream], size: int, name: str = "") -> None:
        super().__init__()
        self.name = name
        self._read = read
        self._size = size
        self._position = 0
        self._stream: ByteStream | None = None
        self._ahead = AHEAD
        self._until = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._refuse_if_closed()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._refuse_if_closed()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(whence)
        if base is None:
            raise ValueError(f"invalid whence {whence}")
        position = base + offset
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        ahead = position - self._position
        if 0 <= ahead <= len(self._rest):
            self._rest = self._rest[ahead:]
        else:
            self._drop()
        self._position = position
        return position

    def readinto(self, buffer: Buffer, /) -> int:
        self._refuse_if_closed()
        target = memoryview(buffer).cast("B")
        if self._position >= self._size or not target:
            return 0
        if not self._rest:
            self._rest = memoryview(self._next_chunk())
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._position += count
        return count

    def close(self) -> None:
        self._drop()
        super().close()

    def _next_chunk(self) -> bytes:
        """Read on. A stream that broke off is dropped: asked again, it would look like the end of the file."""
        if self._stream is None:
            self._until = min(self._size, self._position + self._ahead)
            self._stream = self._read(self._position, self._until)
        try:
            chunk = next((each for each in self._stream if each), b"")
            if self._position + len(chunk) == self._until and not next(self._stream, b""):
                self._stream = None  # at its end it let go of its connection, which may be used again
                self._ahead *= 2
        except BaseException:
            self._drop()
            raise
        if not chunk:
            self._drop()
            raise Unavailable(f"the object ended {self._size - self._position} bytes early", retryable=True)
        return chunk

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _drop(self) -> None:
        self._rest, self._ahead = memoryview(b""), AHEAD
        stream, self._stream = getattr(self, "_stream", None), None
        if stream is not None:
            stream.close()
