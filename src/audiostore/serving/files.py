"""A file of the disk to the client, that no store has recorded; who may have it, the caller has found out."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from audiostore import media
from audiostore.backends import disk
from audiostore.serving.conditions import HeaderItems, Validators, fold
from audiostore.serving.downloads import Sendable, send
from audiostore.serving.replies import REFUSED, Reply, refusal, refused, reply
from audiostore.streams import ByteStream, read_range

_METHODS: Final = ("GET", "HEAD")
_NO_HEADERS: Final[HeaderItems] = MappingProxyType[str, str]({})


def serve_file(
    path: Path | None,
    method: str = "GET",
    headers: HeaderItems = _NO_HEADERS,
    *,
    download_as: str | None = None,
) -> Reply:
    """Answer a request for the audio file at *path* as ``serve`` answers one for a link; None is "not found".

    The app has found out first whether whoever asks may have it; ``audiostore.migrate.Originals`` does. The type is
    what the first bytes say, else what the name does; whatever is no audio is sent as something to save. Clients may
    keep it, and ask each time whether it still is the same::

        reply = serve_file(originals(path, user_id), request.method, request.headers)

    Raises:
        PermissionDenied: the disk refuses, or *path* is a symbolic link or no file; for the operator's log.
    """
    if method not in _METHODS:
        return refusal(405, "method not allowed", {"Allow": ", ".join(_METHODS)})
    if path is None:
        return refusal(404, "not found")
    try:
        answer = _sent(path, method, fold(headers), download_as)
    except REFUSED as error:
        answer = refused(error)
    return reply(answer.status, answer.headers) if method == "HEAD" else answer


def _sent(path: Path, method: str, headers: dict[str, str], download_as: str | None) -> Reply:
    with disk.translated(path.name):
        file = disk.open_file(path)
        try:
            found = os.fstat(file)
            kind = media.sniff(os.pread(file, media.SNIFF_BYTES, 0)) or media.type_of_name(path.name)
            facts = f"{found.st_dev}/{found.st_ino}/{found.st_size}/{found.st_mtime_ns}"
            sendable = Sendable(
                validators=Validators(
                    f'"{hashlib.sha256(facts.encode()).hexdigest()}"', datetime.fromtimestamp(found.st_mtime, UTC)
                ),
                cache_control="private, no-cache",
                size=found.st_size,
                content_type=kind or "application/octet-stream",
                filename=path.name,
                download_as=download_as,
                look=lambda: None,
                read=lambda asked: _part(file, asked),
            )
            return send(sendable, method, headers)
        finally:
            os.close(file)


def _part(file: int, asked: range) -> ByteStream:
    # The very file that was looked at, whatever has that name by the time it is read.
    return read_range(os.fdopen(os.dup(file), "rb", buffering=0), asked.start, asked.stop)
