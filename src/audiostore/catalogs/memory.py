"""A catalog in memory: for tests, and for whatever need not outlive the process."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from audiostore.catalogs.decided import DecidedCatalog
from audiostore.catalogs.rows import Account, Booking, Holder, Queued, Record, Tables
from audiostore.keys import Key
from audiostore.models import AudioFile, Override, Place


class MemoryCatalog(DecidedCatalog):
    """Keep the records in memory, under one lock. Made for tests: listing walks through all of them.

    >>> from audiostore.models import Limits
    >>> catalog = MemoryCatalog()
    >>> catalog.usage("alice", Limits(total=1000)).available
    1000
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        removal_delay: timedelta = timedelta(minutes=1),
        keep: timedelta = timedelta(days=7),
    ) -> None:
        super().__init__(clock=clock, removal_delay=removal_delay, keep=keep)
        self._lock = Lock()
        self._tables = MemoryTables()

    def close(self) -> None:
        """Do nothing: what is in memory stays as long as the catalog does."""

    @contextmanager
    def _writing(self, *, durable: bool) -> Generator[Tables]:
        with self._lock:
            try:
                yield self._tables
            except BaseException:
                self._tables.undo()
                raise
            self._tables.accept()

    @contextmanager
    def _reading(self) -> Generator[Tables]:
        with self._lock:
            yield self._tables


class MemoryTables:
    """Dicts, and a list of what to put back should the decision fail."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._bookings: dict[str, Booking] = {}
        self._pending: dict[str, str] = {}
        self._asked: dict[tuple[str, str], str] = {}
        self._records: dict[str, Record] = {}
        self._queue: dict[str, Queued] = {}
        self._overrides: dict[str, Override] = {}
        self._keys: dict[tuple[str, Key], frozenset[Holder]] = {}
        self._order: list[str] | None = None
        self._before: list[tuple[dict[Any, Any], Any, Any]] = []

    def accept(self) -> None:
        self._before.clear()

    def undo(self) -> None:
        while self._before:
            table, key, value = self._before.pop()
            _put(table, key, value)
        self._order = None

    def account(self, owner: str) -> Account:
        return self._accounts.get(owner, Account(owner=owner))

    def charge(self, owner: str, *, committed: int = 0, reserved: int = 0, files: int = 0, pending: int = 0) -> None:
        old = self.account(owner)
        new = Account(
            owner=owner,
            committed=old.committed + committed,
            reserved=old.reserved + reserved,
            files=old.files + files,
            pending=old.pending + pending,
        )
        self._set(self._accounts, owner, new)

    def booking(self, id: str) -> Booking | None:
        booking = self._bookings.get(id)
        return None if booking is None else booking.but(metadata=deepcopy(booking.reservation.metadata))

    def booking_of(self, owner: str, idempotency_key: str) -> Booking | None:
        found = self._asked.get((owner, idempotency_key))
        return None if found is None else self.booking(found)

    def add_booking(self, booking: Booking) -> None:
        made = booking.reservation
        self._set(self._bookings, made.id, booking.but(metadata=deepcopy(made.metadata)))
        self._set(self._pending, made.id, made.owner)
        self._hold(made.backend, made.key, "pending")
        if booking.idempotency_key is not None:
            self._set(self._asked, (made.owner, booking.idempotency_key), made.id)

    def change_booking(self, booking: Booking) -> None:
        made, old = booking.reservation, self._bookings[booking.reservation.id]
        self._set(self._bookings, made.id, booking)
        if made.state != "pending" and made.id in self._pending:
            self._set(self._pending, made.id, None)
            self._let_go(made.backend, made.key, "pending")
        if booking.idempotency_key is None and old.idempotency_key is not None:
            self._set(self._asked, (made.owner, old.idempotency_key), None)

    def pending(self, owner: str) -> Sequence[Booking]:
        return self._pending_ones(lambda booking: booking.reservation.owner == owner)

    def replacing(self, file: str) -> Sequence[Booking]:
        found = self._pending_ones(lambda booking: booking.reservation.replaces == file)
        return sorted(found, key=lambda each: (-each.reservation.size, each.reservation.id))

    def overdue(self, now: datetime, *, owner: str | None = None, limit: int | None = None) -> Sequence[Booking]:
        found = self._pending_ones(
            lambda each: each.reservation.expires_at <= now and owner in {None, each.reservation.owner}
        )
        return sorted(found, key=lambda each: each.reservation.expires_at)[:limit]

    def drop_finished(self, before: datetime, limit: int) -> None:
        done = [(each.finished_at, each) for each in self._bookings.values() if each.finished_at]
        late = sorted((pair for pair in done if pair[0] <= before), key=lambda pair: pair[0])
        for _, booking in late[:limit]:
            if booking.idempotency_key is not None:
                self._set(self._asked, (booking.reservation.owner, booking.idempotency_key), None)
            self._set(self._bookings, booking.reservation.id, None)

    def record(self, id: str) -> Record | None:
        record = self._records.get(id)
        return None if record is None else _own(record)

    def record_at(self, key: Key, backend: str | None) -> Record | None:
        at_key = [
            each
            for each in self._records.values()
            if each.file.key == key and backend in {None, each.file.backend} and not each.hidden
        ]
        return max(map(_own, at_key), key=lambda each: each.file.id, default=None)

    def add_record(self, record: Record) -> None:
        self._set(self._records, record.file.id, _own(record))
        self._hold(record.file.backend, record.file.key, "record")
        self._order = None

    def change_record(self, record: Record) -> None:
        old = self._records[record.file.id]
        self._let_go(old.file.backend, old.file.key, "hidden" if old.hidden else "record")
        self._hold(record.file.backend, record.file.key, "hidden" if record.hidden else "record")
        self._set(self._records, record.file.id, _own(record))

    def drop_record(self, id: str) -> None:
        record = self._records[id]
        self._let_go(record.file.backend, record.file.key, "hidden" if record.hidden else "record")
        self._set(self._records, id, None)
        self._order = None

    def page(self, owner: str | None, place: Place, after: str, limit: int) -> Sequence[AudioFile]:
        if self._order is None:
            self._order = sorted(self._records)
        found: list[AudioFile] = []
        for each in self._order[bisect_right(self._order, after) :]:
            if len(found) == limit:
                break
            record = self._records[each]
            if not record.hidden and owner in {None, record.file.owner} and _is_in(place, record.file.place):
                found.append(_own(record).file)
        return found

    def queued(self, id: str) -> Queued | None:
        return self._queue.get(id)

    def add_queued(self, queued: Queued) -> None:
        self._set(self._queue, queued.removal.id, queued)
        self._hold(queued.removal.backend, queued.removal.key, "removal")

    def change_queued(self, queued: Queued) -> None:
        self._set(self._queue, queued.removal.id, queued)

    def drop_queued(self, id: str) -> None:
        removal = self._queue[id].removal
        self._set(self._queue, id, None)
        self._let_go(removal.backend, removal.key, "removal")

    def due(self, now: datetime, limit: int) -> Sequence[Queued]:
        return sorted((each for each in self._queue.values() if each.due <= now), key=lambda each: each.due)[:limit]

    def holders(self, backend: str, key: Key) -> frozenset[Holder]:
        return self._keys.get((backend, key), frozenset())

    def override(self, owner: str) -> Override | None:
        return self._overrides.get(owner)

    def put_override(self, owner: str, override: Override | None) -> None:
        self._set(self._overrides, owner, override)

    def unequal(self, owner: str | None) -> Sequence[tuple[Account, Account]]:
        truth: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for record in self._records.values():
            sums = truth[record.file.owner]
            sums[0] += record.file.size
            sums[2] += 1
        for booking in self._pending_ones(lambda _: True):
            sums = truth[booking.reservation.owner]
            sums[1] += booking.reservation.charged
            sums[3] += booking.is_new_file
        owners: Iterable[str] = {*truth, *self._accounts} if owner is None else {owner}
        pairs = [(self.account(each), _account(each, truth[each])) for each in sorted(owners)]
        return [(ledger, found) for ledger, found in pairs if ledger != found]

    def _pending_ones(self, wanted: Callable[[Booking], bool]) -> list[Booking]:
        return [booking for each in self._pending if (booking := self.booking(each)) is not None and wanted(booking)]

    def _hold(self, backend: str, key: Key, holder: Holder) -> None:
        self._set(self._keys, (backend, key), self.holders(backend, key) | {holder})

    def _let_go(self, backend: str, key: Key, holder: Holder) -> None:
        self._set(self._keys, (backend, key), (self.holders(backend, key) - {holder}) or None)

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._before.append((table, key, table.get(key)))
        _put(table, key, value)


def _put(table: dict[Any, Any], key: Any, value: Any) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _account(owner: str, sums: list[int]) -> Account:
    committed, reserved, files, pending = sums
    return Account(owner=owner, committed=committed, reserved=reserved, files=files, pending=pending)


def _own(record: Record) -> Record:
    # Nobody outside may hold the dict that is kept: whoever writes into it would change the record.
    return replace(record, file=replace(record.file, metadata=deepcopy(record.file.metadata)))


def _is_in(wanted: Place, place: Place) -> bool:
    return all(
        want in {None, have}
        for want, have in (
            (wanted.project, place.project),
            (wanted.chapter, place.chapter),
            (wanted.section, place.section),
        )
    )
