"""Ranged, streaming reads that go on at the byte where a connection broke, and never splice two objects."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audiostore.backends.supabase.server import OutsideObject, Server
from audiostore.errors import ChecksumMismatch, Unavailable
from audiostore.keys import Key
from audiostore.streams import ByteStream, clamp_range
from audiostore.transport import Patience, Stream

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def read_object(server: Server, key: Key, start: int, end: int | None) -> ByteStream:
    clamp_range(start, end, 0)  # refuses what is negative
    if end is not None and end <= start:
        server.stat(key)
        return ByteStream(iter(()), 0)
    try:
        reading = _Reading(server, key, start, end)
    except OutsideObject as error:
        # Any range of an empty object is outside of it, too.
        if start < server.stat(key).size:
            raise Unavailable(f"{key}: an answer of another range", retryable=True) from error
        return ByteStream(iter(()), 0)
    return ByteStream(reading.chunks(), reading.length, reading.close)


class _Reading:
    """One range on its way, over as many connections as it takes."""

    def __init__(self, server: Server, key: Key, start: int, end: int | None) -> None:
        self._server = server
        self._key = key
        self._position = start
        self._stream, self._etag, self._end = self._open(end, server.transport.timeouts.patience())
        self.length = self._end - start

    def chunks(self) -> Iterator[bytes]:
        patience, stuck_at = self._server.transport.timeouts.patience(self.length), self._position
        while True:
            try:
                for chunk in self._stream.chunks():
                    self._position += len(chunk)
                    if self._position > self._end:
                        raise ChecksumMismatch(self._key, expected=f"{self.length} bytes", actual="more")
                    yield chunk
                if self._position == self._end:
                    return
                broken = Unavailable(f"{self._key}: the connection broke", retryable=True)
            except Unavailable as error:
                error.retryable = True  # a read changes nothing
                broken = error
            self._stream.close()
            if self._position > stuck_at:
                # Bytes arrived since, and the caller's time with them is not the server's.
                patience, stuck_at = (
                    self._server.transport.timeouts.patience(self._end - self._position),
                    self._position,
                )
            patience.pause(broken)
            self._go_on(patience)

    def close(self) -> None:
        self._stream.close()

    def _go_on(self, patience: Patience) -> None:
        try:
            self._stream, etag, _ = self._open(self._end, patience)
        except OutsideObject:
            raise ChecksumMismatch(self._key, expected=f"{self._end} bytes", actual="fewer") from None
        if etag != self._etag:
            self._stream.close()
            raise ChecksumMismatch(self._key, expected=f"etag {self._etag}", actual=f"etag {etag}")

    def _open(self, end: int | None, patience: Patience) -> tuple[Stream, str | None, int]:
        """Give the stream from here to *end*, the object's etag, and where the range really ends."""
        whole = self._position == 0 and end is None
        wanted = {} if whole else {"Range": f"bytes={self._position}-{'' if end is None else end - 1}"}
        try:
            stream = self._server.open(self._server.path("/object", self._key), self._key, wanted, patience)
        except Unavailable as error:
            error.retryable = True
            raise
        until = _end_of(stream, self._position, whole=whole)
        if until is None:
            stream.close()
            raise Unavailable(f"{self._key}: an answer of another range", retryable=True)
        return stream, stream.headers.get("etag"), until


def _end_of(stream: Stream, start: int, *, whole: bool) -> int | None:
    if whole and stream.status == 200:  # noqa: PLR2004 - HTTP's OK
        length = stream.headers.get("content-length", "")
        return int(length) if length.isdecimal() else None
    told = _CONTENT_RANGE.fullmatch(stream.headers.get("content-range", ""))
    return int(told[2]) + 1 if told and int(told[1]) == start else None
