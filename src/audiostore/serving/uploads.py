"""Bytes from the client: no more than were granted, of the type that was granted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol, TypeAlias, cast

from audiostore import media
from audiostore.errors import Unavailable
from audiostore.serving.replies import Reply, refusal, reply
from audiostore.signing import Link
from audiostore.store import AudioStore
from audiostore.streams import CHUNK

MAX_DIGITS: Final = 19
"""Of a ``Content-Length``: all that 63 bits can count."""


class Readable(Protocol):
    """A binary file object, such as a WSGI input."""

    def read(self, size: int, /) -> bytes: ...


Body: TypeAlias = bytes | Readable | Iterable[bytes]
"""What a request brings: bytes, a binary file object, or chunks."""


def upload(store: AudioStore, link: Link, headers: Mapping[str, str], body: Body | None) -> Reply:
    """Answer PUT for a verified link; *headers* by lower-case name.

    What headers alone tell is refused before a byte is read, and never is more than one byte above the grant read.

    Raises:
        What ``AudioStore.receive`` raises.
    """
    length = headers.get("content-length")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) <= MAX_DIGITS):
        return refusal(400, "bad content length")
    if "content-range" in headers:
        return refusal(400, "no partial uploads")
    granted = link.size or 0
    announced = None if length is None else int(length)
    if announced == 0:
        return refusal(400, "empty")
    if announced is not None and announced > granted:
        return refusal(413, "too large")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return refusal(415, "no content encoding is supported")
    if not _same_type(headers.get("content-type"), link.content_type):
        return refusal(415, "another content type was granted")
    # A file object over a socket blocks when it is asked for more than is announced.
    most = granted + 1 if announced is None else announced
    store.receive(link, _bounded(b"" if body is None else body, most), content_length=announced)
    return reply(201, {"Content-Length": "0", "Cache-Control": "no-store"})


def _same_type(given: str | None, granted: str | None) -> bool:
    if not given or not granted:
        return True
    try:
        return media.normalise(given) == media.normalise(granted)
    except ValueError:
        return False


def _bounded(body: Body, most: int) -> Iterator[bytes]:
    """The first *most* bytes of *body*; none that come later are asked for."""
    chunks = _chunks(body, most)
    while most > 0:
        try:
            chunk = next(chunks, b"")
        except OSError as error:
            raise Unavailable("the client broke off", retryable=True) from error
        if not chunk:
            return
        yield chunk[:most]
        most -= len(chunk)


def _chunks(body: Body, most: int) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
    elif callable(getattr(body, "read", None)):
        file = cast("Readable", body)
        while chunk := file.read(min(CHUNK, most)):
            most -= len(chunk)
            yield chunk
    else:
        # An empty chunk in the middle is no end.
        yield from filter(None, cast("Iterable[bytes]", body))
