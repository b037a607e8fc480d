"""Writes: small files in one request, large ones in chunks; verified after, and looked for when the outcome is unknown.

Each object carries, as metadata, the digest of its bytes and the id of the write that made it. So a lost answer is
resolved by looking whose object is there, never by guessing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audiostore.backends.supabase.server import Server, stat_of
from audiostore.backends.supabase.source import Source
from audiostore.backends.supabase.tus import Tus, upload_id
from audiostore.errors import AlreadyExists, AudioStoreError, ChecksumMismatch, Unavailable
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import ObjectStat, Staged
from audiostore.protocols import Progress
from audiostore.refusals import fields_of
from audiostore.transport import Body, Patience

CHUNK_SIZE = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Write:
    """One write: where, what, and how its object can be told from any other."""

    source: Source
    id: str
    resumed: bool

    @property
    def marks(self) -> Mapping[str, str]:
        return {"write": self.id, "sha256": self.source.staged.sha256}

    def made(self, told: Mapping[str, Any]) -> bool:
        marks = fields_of(told.get("metadata")) or {}
        # A write that goes on in another process has another id, but the same bytes under a key of its own.
        return marks.get("write") == self.id or (self.resumed and marks.get("sha256") == self.source.staged.sha256)


class Sending:
    """Writes to one bucket."""

    def __init__(self, server: Server, *, cache_control: str, chunk_size: int, tus_threshold: int) -> None:
        self.cache_control = cache_control
        self.chunk_size = chunk_size
        self._server = server
        self._threshold = tus_threshold
        self._tus = Tus(server, chunk_size, cache_control)

    def write(self, key: Key, staged: Staged, resume: str | None, progress: Progress | None) -> ObjectStat:
        source = Source(key, staged, progress)
        earlier = upload_id(resume)
        write = _Write(source, new_id(), resumed=earlier is not None)
        patience = self._server.transport.timeouts.patience(staged.size)
        try:
            if staged.size and (earlier is not None or staged.size > self._threshold):
                self._send_chunks(write, earlier, patience)
            else:
                self._send_whole(write, patience)
        except AlreadyExists:
            # A resumed write may have been finished by the try before it.
            if not write.resumed or self._find(write, patience) is None:
                raise
        if staged.proof == "read":  # all of it is looked at; whose it is makes no difference where the bytes are equal
            now = datetime.now(UTC)
            return ObjectStat(key=key, size=staged.size, modified_at=now, content_type=staged.content_type)
        return self._verified(write)

    def _send_whole(self, write: _Write, patience: Patience) -> None:
        if write.source.staged.size == 0:
            write.source.check_empty()
        doubt = False
        while True:
            try:
                self._post(write, patience)
            except AlreadyExists:
                if not doubt or self._find(write, patience) is None:
                    raise
            except Unavailable as error:
                if error is write.source.error:
                    raise
                doubt = True
                if self._find(write, patience) is None:
                    patience.pause(error)
                    continue
            return

    def _send_chunks(self, write: _Write, earlier: str | None, patience: Patience) -> None:
        def arrived() -> bool:
            return self._find(write, patience) is not None

        self._tus.send(write.source, write.marks, earlier, arrived, patience)

    def _post(self, write: _Write, patience: Patience) -> None:
        source = write.source
        self._server.call(
            "POST",
            self._server.path("/object", source.key),
            source.key,
            body=Body(length=source.staged.size, chunks=source.whole),
            headers={
                "Content-Type": source.staged.content_type,
                "Cache-Control": self.cache_control,
                "x-upsert": "false",
                "x-metadata": base64.b64encode(json.dumps(write.marks).encode()).decode(),
            },
            patience=patience,
        )

    def _find(self, write: _Write, patience: Patience) -> Mapping[str, Any] | None:
        """Look whether this write arrived. Raises AlreadyExists if the key holds what another one brought."""
        told = self._server.look(write.source.key, patience)
        if told is not None and not write.made(told):
            raise AlreadyExists(write.source.key)
        return told

    def _verified(self, write: _Write) -> ObjectStat:
        key, staged = write.source.key, write.source.staged
        told = self._server.look(key)
        if told is None:
            raise Unavailable(f"{key}: it was stored, and can't be seen")
        found = stat_of(key, told)
        if "write" in (fields_of(told.get("metadata")) or {}) and not write.made(told):
            raise AlreadyExists(key)  # two overlapped, and the other one came last
        if found.size != staged.size:
            self._take_back(key)
            raise ChecksumMismatch(key, expected=f"{staged.size} bytes", actual=f"{found.size} bytes")
        return found

    def _take_back(self, key: Key) -> None:
        try:
            self._server.call("DELETE", self._server.path("/object"), key, data={"prefixes": [key]}, repeatable=True)
        except AudioStoreError as error:
            raise Unavailable(f"{key}: a part of it was stored, and could not be taken back") from error
