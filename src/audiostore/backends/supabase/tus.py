"""Resumable uploads (TUS 1.0.0): chunk after chunk, on from where the server says it is, also in another process."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from audiostore.backends.supabase.server import Server
from audiostore.backends.supabase.source import Source
from audiostore.errors import AlreadyExists, AudioStoreError, ChecksumMismatch, NotFound, PermissionDenied, Unavailable
from audiostore.keys import Key
from audiostore.transport import Answer, Body, Patience

ROUTE = "/upload/resumable"
_VERSION = {"Tus-Resumable": "1.0.0"}
_ID = re.compile(r"https?://\S+/upload/resumable/([A-Za-z0-9._~=%-]+)")
_MAX_AGE = re.compile(r"max-age=(\d+)")


def upload_id(url: str | None) -> str | None:
    """Take the last part of an upload's address, all that is trusted of it: keys only go to our own server."""
    found = _ID.fullmatch(url or "")
    return found[1] if found else None


def upload_facts(bucket: str, key: Key, content_type: str, cache_control: str) -> dict[str, str]:
    """Give what an upload says of itself when it is created."""
    facts = {"bucketName": bucket, "objectName": str(key), "contentType": content_type}
    if age := _MAX_AGE.search(cache_control):
        facts["cacheControl"] = age[1]  # this route takes the seconds; given anything else, it says no-cache
    return facts


class Tus:
    """Resumable uploads to one bucket."""

    def __init__(self, server: Server, chunk_size: int, cache_control: str) -> None:
        self._server = server
        self._chunk_size = chunk_size
        self._cache_control = cache_control

    def send(
        self,
        source: Source,
        marks: Mapping[str, str],
        earlier: str | None,
        arrived: Callable[[], bool],
        patience: Patience,
    ) -> None:
        """Send all of *source*; *earlier* is the id of an upload that broke off. *arrived* looks for the object."""
        upload, offset = earlier, 0
        if upload is not None:
            upload, offset = self._resumed(source, upload, patience)
        while True:
            try:
                upload = upload or self._created(source, marks, patience)
                source.resume = f"{self._server.url}{ROUTE}/{upload}"
                source.tell(offset)
                return self._send_from(source, upload, offset, patience)
            except NotFound:
                # The server forgot the upload; it also does so some time after it was finished.
                if arrived():
                    return None
                patience.pause(Unavailable(f"{source.key}: the upload is gone", retryable=True))
                upload, offset = None, 0
            except ChecksumMismatch:
                self._give_up(upload)
                raise

    def _resumed(self, source: Source, upload: str, patience: Patience) -> tuple[str | None, int]:
        try:
            return upload, self._offset(source, upload, patience)
        except (NotFound, PermissionDenied):
            # A refused HEAD has no body to say why. If it is our token, creating another upload will tell.
            return None, 0

    def _created(self, source: Source, marks: Mapping[str, str], patience: Patience) -> str:
        facts = upload_facts(self._server.bucket, source.key, source.staged.content_type, self._cache_control)
        facts["metadata"] = json.dumps(marks)
        told = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in facts.items())
        # A lost answer leaves an upload without bytes, which the server lets expire: creating again does no harm.
        answer = self._server.call(
            "POST",
            ROUTE,
            source.key,
            headers={**_VERSION, "Upload-Length": str(source.staged.size), "Upload-Metadata": told},
            body=Body(length=0, chunks=lambda: iter(())),
            repeatable=True,
            patience=patience,
        )
        created = upload_id(_absolute(answer.headers.get("location", "")))
        if created is None:
            raise Unavailable(f"{source.key}: an answer that can't be read", retryable=True)
        return created

    def _send_from(self, source: Source, upload: str, offset: int, patience: Patience) -> None:
        while offset < source.staged.size:
            try:
                reached = self._sent(source, upload, offset, patience)
            except (Unavailable, AlreadyExists) as error:
                if error is source.error:
                    raise
                if isinstance(error, Unavailable):
                    patience.pause(error)
                reached = self._offset(source, upload, patience)
                if isinstance(error, AlreadyExists) and reached < source.staged.size:
                    raise
            if reached > offset:
                patience.progressed()
            offset = reached

    def _sent(self, source: Source, upload: str, offset: int, patience: Patience) -> int:
        length = min(self._chunk_size, source.staged.size - offset)
        answer = self._server.call(
            "PATCH",
            f"{ROUTE}/{upload}",
            source.key,
            headers={**_VERSION, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"},
            body=Body(length=length, chunks=lambda: source.blocks(offset, length)),
            patience=patience,
        )
        # It may be less than was sent, when another request took over meanwhile: the server's word counts.
        return _read_offset(source, answer)

    def _offset(self, source: Source, upload: str, patience: Patience) -> int:
        answer = self._server.call(
            "HEAD", f"{ROUTE}/{upload}", source.key, headers=_VERSION, repeatable=True, patience=patience
        )
        if answer.headers.get("upload-length", str(source.staged.size)) != str(source.staged.size):
            raise NotFound(f"an upload of {source.staged.size} bytes")  # that is another file's
        return _read_offset(source, answer)

    def _give_up(self, upload: str | None) -> None:
        if upload is not None:
            with suppress(AudioStoreError):  # the server lets it expire
                self._server.call("DELETE", f"{ROUTE}/{upload}", "upload", headers=_VERSION, repeatable=True)


def _read_offset(source: Source, answer: Answer) -> int:
    told = answer.headers.get("upload-offset", "")
    if not told.isdecimal() or int(told) > source.staged.size:
        raise Unavailable(f"{source.key}: an answer that can't be read")
    return int(told)


def _absolute(location: str) -> str:
    return location if "://" in location else f"http://server{location}"
