"""Bytes to the client: whole or in part, with what a browser must know to play, keep or save them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from audiostore import media
from audiostore.errors import ChecksumMismatch, NotFound
from audiostore.models import AudioFile
from audiostore.serving.conditions import Validators, byte_range
from audiostore.serving.replies import Reply, refusal, reply
from audiostore.signing import Link, harmless, shorten
from audiostore.store import AudioStore
from audiostore.streams import ByteStream

# Chrome's recorder says video/webm even without a picture; none of these can hold a script.
_HARMLESS: Final = frozenset({"video/webm", "video/mp4", "video/ogg", "video/x-matroska"})
_UNKNOWN: Final = "application/octet-stream"
_NOT_IN_A_QUOTED_NAME: Final = re.compile(r'[^ -~]|["%]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendable:
    """Bytes that can be sent, and what there is to say of them; ``download_as`` None lets a browser play them.

    ``read`` gives a part, and raises what a client gets instead of it; ``look`` does so without reading.
    """

    validators: Validators
    cache_control: str
    size: int
    content_type: str
    filename: str
    download_as: str | None
    look: Callable[[], object]
    read: Callable[[range], ByteStream]


def download(store: AudioStore, link: Link, method: str, headers: Mapping[str, str]) -> Reply:
    """Answer GET and HEAD for a verified link; *headers* by lower-case name.

    The catalog is asked each time, so deleting a file ends its links.

    Raises:
        NotFound: deleted, hidden, or in a backend that the store has not got any more.
        ChecksumMismatch: the object is not as long as its record. Unavailable: as the parts raise it.
    """
    backend = store.backends.get(link.backend)
    if backend is None:
        raise NotFound(link.key)
    file = store.catalog.find_key(link.key, backend=link.backend)
    sendable = Sendable(
        validators=Validators(_etag(file), file.created_at),
        cache_control=store.cache_control,
        size=file.size,
        content_type=file.content_type,
        filename=file.filename,
        download_as=link.download_as,
        look=lambda: backend.stat(link.key),
        read=lambda asked: _read(store, file, asked),
    )
    return send(sendable, method, headers)


def send(what: Sendable, method: str, headers: Mapping[str, str]) -> Reply:
    """Answer GET and HEAD with the whole or a part, or with the news that the client has it already."""
    known = {
        "ETag": what.validators.etag,
        "Last-Modified": what.validators.last_modified,
        "Cache-Control": what.cache_control,
        "Accept-Ranges": "bytes",
    }
    if status := what.validators.failed(headers):
        return reply(status, known) if status == 304 else refusal(status, "precondition failed")  # noqa: PLR2004
    facts, size = known | _description(what), what.size
    if method == "HEAD":
        what.look()
        return reply(200, facts | {"Content-Length": str(size)})
    asked = byte_range(headers.get("range"), size) if what.validators.allow_range(headers.get("if-range")) else None
    if asked is None:
        return reply(200, facts | {"Content-Length": str(size)}, what.read(range(size)))
    if not asked:
        return refusal(416, "no such range", {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    part = {"Content-Length": str(len(asked)), "Content-Range": f"bytes {asked[0]}-{asked[-1]}/{size}"}
    return reply(206, facts | part, what.read(asked))


def _read(store: AudioStore, file: AudioFile, asked: range) -> ByteStream:
    stream = store.backends[file.backend].read(file.key, asked.start, asked.stop)
    if stream.length != len(asked):
        # A promised length that does not come would hang the client, or be cached as a whole.
        stream.close()
        raise ChecksumMismatch(file.key, expected=f"{len(asked)} bytes", actual=f"{stream.length} bytes")
    return stream


def _etag(file: AudioFile) -> str:
    # Keys are immutable, so where the bytes are says as much as their digest does.
    return f'"{file.sha256 or hashlib.sha256(f"{file.backend}/{file.key}".encode()).hexdigest()}"'


def _description(what: Sendable) -> dict[str, str]:
    kind = _normalised(what.content_type)
    sound = kind.startswith("audio/")
    inline = sound and what.download_as is None
    return {
        "Content-Type": kind if sound or kind in _HARMLESS else _UNKNOWN,
        "Content-Disposition": disposition("inline" if inline else "attachment", what.download_as or what.filename),
    }


def _normalised(content_type: str) -> str:
    try:
        return media.normalise(content_type)
    except ValueError:  # a record that something else wrote
        return _UNKNOWN


def disposition(kind: str, filename: str) -> str:
    """A ``Content-Disposition`` with *filename* in any language (RFC 6266): pure ASCII, one line, 255 bytes of name.

    >>> print(disposition("inline", "Capítulo 1.mp3"))
    inline; filename="Cap_tulo 1.mp3"; filename*=UTF-8''Cap%C3%ADtulo%201.mp3
    """
    name = shorten(harmless(filename)) or "audio"
    plain = _NOT_IN_A_QUOTED_NAME.sub("_", name)
    fallback = f'{kind}; filename="{plain}"'
    return fallback if plain == name else f"{fallback}; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
