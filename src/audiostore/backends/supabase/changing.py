"""Delete, copy, move: changes that the server makes. A lost answer is resolved by looking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from audiostore.backends.supabase.server import Server, rows, stat_of
from audiostore.errors import AlreadyExists, AudioStoreError, NotFound, Unavailable
from audiostore.keys import Key
from audiostore.models import ObjectStat

BATCH = 1000
"""Keys per request: the server's limit where limits are on."""
BATCH_BYTES = 512 * 1024
"""Bytes of keys per request; the server's parser stops at one MB."""


class Changes:
    """Changes to the objects of one bucket."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        removed: set[Key] = set()
        for batch in _batches(list(dict.fromkeys(keys))):
            try:
                removed |= self._delete(batch)
            except Unavailable:
                raise
            except AudioStoreError as error:
                if not removed:
                    raise
                raise Unavailable(f"{len(removed)} objects are removed, not the rest", retryable=True) from error
        return frozenset(removed)

    def delete_all(self, keys: Iterable[Key]) -> int:
        """Delete as the keys come, a batch at a time, and count what went."""
        removed, rest = 0, iter(keys)
        while batch := list(islice(rest, BATCH)):
            removed += len(self.delete(batch))
        return removed

    def copy(self, source: Key, target: Key) -> ObjectStat:
        patience = self._server.transport.timeouts.patience()
        doubt = False
        while True:
            try:
                self._ask("copy", source, target)
                return self._changed(target)
            except AlreadyExists:
                if not doubt or not self._is_copy(source, target):
                    raise
                return self._changed(target)
            except Unavailable as error:
                doubt = True
                if self._is_copy(source, target):
                    return self._changed(target)
                patience.pause(error)

    def move(self, source: Key, target: Key) -> ObjectStat:
        patience = self._server.transport.timeouts.patience()
        if source == target:
            self._server.stat(source)
            raise AlreadyExists(target)  # to the server it is no change, and no error
        doubt = False
        while True:
            try:
                self._ask("move", source, target)
                return self._changed(target)
            except NotFound:
                if not doubt or (moved := self._seen(target)) is None:
                    raise
                return moved
            except Unavailable as error:
                doubt = True
                if self._seen(source) is None and (moved := self._seen(target)) is not None:
                    return moved
                patience.pause(error)

    def _ask(self, change: str, source: Key, target: Key) -> None:
        asked = {"bucketId": self._server.bucket, "sourceKey": source, "destinationKey": target}
        self._server.call("POST", f"/object/{change}", target if change == "copy" else source, data=asked)

    def _delete(self, batch: Sequence[Key]) -> set[Key]:
        what = batch[0] if len(batch) == 1 else f"{len(batch)} objects"
        path = self._server.path("/object")
        try:
            answer = self._server.call("DELETE", path, what, data={"prefixes": batch})
            told = rows(answer, answer.json())
        except Unavailable as error:
            # Deleting again does no harm; but what the first time removed, nobody can tell any more.
            error.retryable = True
            raise
        names = {str(row.get("name")) for row in told}
        return {key for key in batch if key in names}

    def _is_copy(self, source: Key, target: Key) -> bool:
        """Tell whether the target holds the source's bytes. Raises AlreadyExists if it holds others."""
        copied, original = self._seen(target), self._seen(source)
        if copied is None:
            return False
        if original is None or (copied.size, copied.etag) != (original.size, original.etag):
            raise AlreadyExists(target)
        return True

    def _seen(self, key: Key) -> ObjectStat | None:
        told = self._server.look(key)
        return None if told is None else stat_of(key, told)

    def _changed(self, target: Key) -> ObjectStat:
        found = self._seen(target)
        if found is None:
            raise Unavailable(f"{target}: it was made, and can't be seen")
        return found


def _batches(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    batch: list[Key] = []
    size = 0
    for key in keys:
        if len(batch) == BATCH or size + len(key) > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(key)
        size += len(key)
    if batch:
        yield batch
