"""One item on its way: reserve, copy, read back, record. The references come after that, and the original last."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from audiostore.errors import (
    AudioStoreError,
    ChecksumMismatch,
    FileTooLarge,
    InvalidKey,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Unavailable,
    UnsupportedAudio,
)
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.migrate.protocols import Item, Outcome, Settled
from audiostore.migrate.sources.folder import FolderSource
from audiostore.migrate.sources.protocol import Incoming, MigrationSource
from audiostore.models import AudioFile, ObjectStat, Place, Removal, Reservation, Staged
from audiostore.protocols import Backend, Progress
from audiostore.staging import staging_area
from audiostore.store import AudioStore
from audiostore.store.arriving import take_over
from audiostore.store.writing import Wanted

Checking: TypeAlias = Literal["read", "etag"]
"""How bytes are verified: ``read`` back, with size and sha256; or by size and the target's own ``etag`` where that is
the md5 of the bytes (they are read back where it is not)."""

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_HOUR: Final = timedelta(hours=1)
_MD5_DIGITS: Final = 32


class Trouble(Exception):
    """Why an item can't come, where the error alone would not tell."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome: Outcome = outcome


class Halted(Exception):
    """Somebody stopped the run: what is under way is undone, and taken up by the next one."""


class Throttle:
    """At most so many bytes a second for all workers of this process; stopping ends every wait."""

    def __init__(self, bandwidth: int | None, halt: threading.Event) -> None:
        self._bandwidth = bandwidth
        self._halt = halt
        self._guard = threading.Lock()
        self._free_at = time.monotonic()

    def progress(self) -> Progress:
        """Make what a backend calls while it sends one file."""
        sent = 0

        def told(done: int, resume: str | None) -> None:
            nonlocal sent
            more, sent = done - sent, max(done, sent)
            if self._bandwidth and more > 0:
                self._wait(more / self._bandwidth)
            if self._halt.is_set():
                raise Halted

        return told

    def _wait(self, seconds: float) -> None:
        with self._guard:
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + seconds
        self._halt.wait(max(0.0, begin + seconds - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of one try; ``again``: another one, under another id, may do."""

    settled: Settled
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """Brings items of *source* to *target*. What it raises is only ``Halted``: all else is an outcome."""

    job: str
    source: MigrationSource
    target: AudioStore
    throttle: Throttle
    check: Checking = "read"
    in_place: bool = False
    erases: bool = False

    def carry(self, item: Item) -> Carried:
        """Bring one item over, or tell why not. Whatever an earlier try has recorded is found, and not made twice."""
        try:
            return Carried(self._carry(item))
        except Trouble as trouble:
            return Carried(left(item, trouble.outcome, str(trouble)))
        except AudioStoreError as error:
            # Where waiting helps, the transport has waited.
            again = isinstance(error, Unavailable | ChecksumMismatch)
            return Carried(left(item, outcome_of(error), str(error)), again=again)

    def let_go(self, settled: Settled) -> None:
        """Erase the bytes that a record had before it moved, where that is asked for: its references have followed."""
        for each in settled.facts.get("removals", ()):
            self.target.backends[each["backend"]].delete([Key(each["key"])])
            self.target.catalog.forget([each["id"]])

    def _carry(self, item: Item) -> Settled:
        record = self._recorded(item)
        if record is not None and self.source.switches:
            return self._proven(item, record)
        with ExitStack() as stack:
            try:
                bringing = self.source.bring(item, self._staging(), md5=self.check == "etag")
                incoming = stack.enter_context(bringing)
            except NotFound as error:
                if record is not None:
                    return self._proven(item, record)
                raise Trouble("vanished", "it is not there any more") from error
            except PermissionDenied as error:
                raise Trouble("unreadable", str(error)) from error
            if record is not None:
                if record.sha256 == incoming.staged.sha256:
                    return self._proven(item, record, incoming.facts)
                self.target.delete(record)  # it became another file since
            try:
                return self._place(item, incoming)
            except ChecksumMismatch as error:
                if self.source.look(item, incoming.facts) != "same":
                    raise Trouble("changed", "it changed while it was copied") from error
                raise

    def _place(self, item: Item, incoming: Incoming) -> Settled:
        kind = incoming.staged.content_type
        if incoming.staged.size == 0:
            return left(item, "not_audio", "it is empty")
        if kind.startswith(("text/", "image/")) or kind == "application/pdf":
            return left(item, "not_audio", f"it is {kind}")
        checked: list[str] = []
        removals: list[Removal] = []
        file = self._adopt(item, incoming) if self.in_place else None
        adopted = file is not None
        if file is None:
            with self._linked(item, incoming) as staged:
                file = self._put(item, replace(incoming, staged=staged), checked, removals)
        if incoming.replaces is None and self.source.look(item, incoming.facts) == "changed":
            if not adopted:
                self.target.delete(file)
            raise Trouble("changed", "it changed while it was copied")
        how = checked[0] if checked else "read"  # by the try that wrote it
        facts = {**incoming.facts, "checked": how, "adopted": adopted}
        if removals:
            facts["removals"] = [{"id": each.id, "backend": each.backend, "key": each.key} for each in removals]
        return copied(item, file, facts)

    @contextmanager
    def _linked(self, item: Item, incoming: Incoming) -> Generator[Staged]:
        """Give what is to be put. Within one disk that is the same bytes under a second name: nothing is copied."""
        if not self.in_place:
            yield incoming.staged
            return
        assert isinstance(self.source, FolderSource)
        with staging_area(self._staging()) as area:
            yield area.take(self.source.root / item.address, filename=incoming.staged.filename, move=True)

    def _put(self, item: Item, incoming: Incoming, checked: list[str], removals: list[Removal]) -> AudioFile:
        by_etag = self.check == "etag" and incoming.md5 is not None
        store, staged = self.target, replace(incoming.staged, proof="etag" if by_etag else "read")

        def check(reservation: Reservation, stored: ObjectStat | None, progress: Progress) -> None:
            checked[:] = [self._verify(reservation, incoming, stored, progress)]

        def superseded(old: Sequence[Removal]) -> None:
            if self.erases and old:  # but only when the references have followed
                store.catalog.postpone([each.id for each in old], _HOUR)
                removals.extend(old)
            elif old:
                store.catalog.forget([each.id for each in old])

        place = incoming.place or (item.references[0].place if item.references else Place())
        wanted = Wanted(
            owner=item.owner,
            place=place,
            metadata=incoming.metadata,
            # The same for every try at these bytes, whoever makes it: none of them is stored or charged twice.
            idempotency_key=f"migrate:{self.job}:{item.id}:{staged.sha256[:16]}",
            replaces=incoming.replaces,
            only_over=incoming.replaces.key if incoming.replaces else None,
            progress=self.throttle.progress(),
            id=item.attempts[-1] if item.attempts else new_id(),
            hold=timedelta(0),  # the lease of the item is what keeps others away
            check=check,
            supersede=superseded,
        )
        return take_over(store, staged, wanted)

    def _verify(
        self, reservation: Reservation, incoming: Incoming, stored: ObjectStat | None, progress: Progress
    ) -> str:
        """Look at what the target holds now; tell how."""
        backend, staged = self.target.backend, incoming.staged
        if self.check == "etag" and incoming.md5 is not None:
            seen = stored or backend.stat(reservation.key)
            etag = (seen.etag or "").strip('"').lower()
            if len(etag) == _MD5_DIGITS and seen.size == staged.size:
                if etag != incoming.md5:
                    raise ChecksumMismatch(reservation.key, expected=incoming.md5, actual=etag)
                return "etag"
        try:
            size, digest = read_back(backend, reservation.key, progress)
        except NotFound as error:
            raise Unavailable(f"{reservation.key}: it was stored, and can't be seen") from error
        if (size, digest) != (staged.size, staged.sha256):
            raise ChecksumMismatch(reservation.key, expected=staged.sha256, actual=digest)
        return "read"

    def _recorded(self, item: Item) -> AudioFile | None:
        """Find what an earlier try recorded; at the first try there is none."""
        if len(item.attempts) == 1 and not self.source.switches:
            return None
        found = self.target.catalog.find([item.address] if self.source.switches else item.attempts)
        mine = [each for each in found if each.owner == item.owner]
        if self.source.switches:
            mine = [each for each in mine if each.backend == self.target.backend.name]
        return mine[0] if mine else None

    def _proven(self, item: Item, record: AudioFile, facts: Mapping[str, Any] = NOTHING) -> Settled:
        """Read back what an earlier try recorded, like what is new."""
        size, digest = read_back(self.target.backends[record.backend], record.key, self.throttle.progress())
        if size != record.size or record.sha256 not in {None, digest}:
            raise ChecksumMismatch(record.key, expected=str(record.sha256), actual=digest)
        return copied(item, record, {**facts, "checked": "read"})

    def _adopt(self, item: Item, incoming: Incoming) -> AudioFile | None:
        """Record the file where it lies; None if it can't be the only file under that key."""
        assert isinstance(self.source, FolderSource)
        try:
            key = Key(item.address)
        except InvalidKey:
            return None  # it gets a second name that every backend can hold
        place = item.references[0].place if item.references else Place()
        file = AudioFile(
            id=item.attempts[-1],
            owner=item.owner,
            project=place.project,
            chapter=place.chapter,
            section=place.section,
            filename=incoming.staged.filename,
            key=key,
            backend=self.target.backend.name,
            size=incoming.staged.size,
            sha256=incoming.staged.sha256,
            content_type=incoming.staged.content_type,
            duration=incoming.staged.duration,
            created_at=self.source.modified_at(incoming),
        )
        if file.id in self.target.catalog.adopt([file]):
            return self.target.find(file.id)
        try:
            record = self.target.catalog.find_key(key, backend=file.backend)
        except NotFound:
            return None
        return record if record.owner == item.owner else None

    def _staging(self) -> Path | None:
        return self.target.backend.capabilities.staging


def read_back(backend: Backend, key: Key, progress: Progress) -> tuple[int, str]:
    """Read everything under *key*; give its size and sha256."""
    size, digest = 0, hashlib.sha256()
    with backend.read(key) as stream:
        for chunk in stream:
            size += len(chunk)
            digest.update(chunk)
            progress(size, None)
    return size, digest.hexdigest()


def copied(item: Item, file: AudioFile, facts: Mapping[str, Any]) -> Settled:
    """Say that *item* is recorded as *file*, verified."""
    return Settled(
        id=item.id,
        fence=item.fence,
        state="copied",
        outcome="migrated",
        size=file.size,
        file=file.id,
        key=file.key,
        sha256=file.sha256,
        facts=dict(facts),
    )


def left(item: Item, outcome: Outcome, detail: str | None = None) -> Settled:
    """Say that *item* can't come now; the next run tries again."""
    return Settled(id=item.id, fence=item.fence, state="left", outcome=outcome, detail=detail)


_OUTCOMES: Final[tuple[tuple[type[AudioStoreError], Outcome], ...]] = (
    (QuotaExceeded, "quota"),
    (FileTooLarge, "refused"),
    (UnsupportedAudio, "refused"),
    (InvalidKey, "refused"),
    (ChecksumMismatch, "mismatch"),
)


def outcome_of(error: AudioStoreError) -> Outcome:
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    return "failed"
