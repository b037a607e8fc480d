"""Bytes to the client: whole or in part, with what a browser must know to play, keep or save them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
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
    validators = Validators(_etag(file), file.created_at)
    known = {
        "ETag": validators.etag,
        "Last-Modified": validators.last_modified,
        "Cache-Control": store.cache_control,
        "Accept-Ranges": "bytes",
    }
    if status := validators.failed(headers):
        return reply(status, known) if status == 304 else refusal(status, "precondition failed")  # noqa: PLR2004
    facts = known | _description(file, link)
    if method == "HEAD":
        backend.stat(link.key)
        return reply(200, facts | {"Content-Length": str(file.size)})
    asked = byte_range(headers.get("range"), file.size) if validators.allow_range(headers.get("if-range")) else None
    if asked is None:
        return reply(200, facts | {"Content-Length": str(file.size)}, _read(store, file, range(file.size)))
    if not asked:
        return refusal(416, "no such range", {"Content-Range": f"bytes */{file.size}", "Accept-Ranges": "bytes"})
    part = {"Content-Length": str(len(asked)), "Content-Range": f"bytes {asked[0]}-{asked[-1]}/{file.size}"}
    return reply(206, facts | part, _read(store, file, asked))


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


def _description(file: AudioFile, link: Link) -> dict[str, str]:
    kind = _type_of(file)
    sound = kind.startswith("audio/")
    inline = sound and link.download_as is None
    return {
        "Content-Type": kind if sound or kind in _HARMLESS else _UNKNOWN,
        "Content-Disposition": disposition("inline" if inline else "attachment", link.download_as or file.filename),
    }


def _type_of(file: AudioFile) -> str:
    try:
        return media.normalise(file.content_type)
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
