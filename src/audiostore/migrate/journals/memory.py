"""A journal in memory, for tests and fakes: it ends with its process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from audiostore.ids import new_id
from audiostore.migrate.journals.rules import may_be_twin, merged, settle
from audiostore.migrate.journals.wire import order_of
from audiostore.migrate.protocols import Copying, Count, Item, Settled


@dataclass(slots=True)
class _Row:
    item: Item
    worker: str | None = None
    leased_until: float = 0.0


class MemoryJournal:
    """Keep what a migration has done as long as this object lives. *clock*: POSIX seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rows: dict[tuple[str, str, str], _Row] = {}
        self._guard = threading.RLock()

    def plan(self, job: str, items: Sequence[Item]) -> None:
        with self._guard:
            for item in items:
                if item.owner:
                    self._rows.pop((job, item.address, ""), None)
                row = self._rows.setdefault((job, item.address, item.owner), _Row(item))
                if row.item is not item:
                    row.item = merged(row.item, item)

    def claim(
        self,
        job: str,
        worker: str,
        *,
        state: Copying,
        limit: int,
        lease: timedelta,
        owner: str | None = None,
        only: str | None = None,
    ) -> Sequence[Item]:
        with self._guard:
            rows = [each for each in self._of(job) if each.item.state == state and only in {None, each.item.id}]
            if held := [each.item for each in rows if each.worker == worker]:
                return held[:limit]
            now = self._clock()
            free = [each for each in rows if each.worker is None or each.leased_until <= now]
            free = [each for each in free if owner in {None, each.item.owner}]
            free.sort(key=lambda each: (order_of(each.item), each.item.id))
            for row in free[:limit]:
                attempts = (*row.item.attempts, new_id()) if state == "open" else row.item.attempts
                row.item = replace(row.item, fence=row.item.fence + 1, attempts=attempts)
                row.worker, row.leased_until = worker, now + lease.total_seconds()
            return [each.item for each in free[:limit]]

    def beat(self, job: str, worker: str, *, lease: timedelta) -> None:
        with self._guard:
            for row in self._of(job):
                if row.worker == worker:
                    row.leased_until = self._clock() + lease.total_seconds()

    def settle(self, job: str, settled: Sequence[Settled]) -> Sequence[Item]:
        told: list[Item] = []
        with self._guard:
            rows = {row.item.id: row for row in self._of(job)}
            for each in settled:
                row = rows.get(each.id)
                if row is None or row.worker is None or row.item.fence != each.fence:
                    continue
                twin = may_be_twin(each) and any(_is_twin(other.item, row.item, each) for other in rows.values())
                row.item, row.worker = settle(row.item, each, twin=twin), None
                told.append(row.item)
        return told

    def items(self, job: str, *, after: str | None = None, limit: int = 500) -> Sequence[Item]:
        with self._guard:
            found = sorted((row.item for row in self._of(job)), key=lambda item: item.id)
        return [each for each in found if each.id > (after or "")][:limit]

    def find(self, job: str, address: str) -> Sequence[Item]:
        with self._guard:
            return [row.item for row in self._of(job) if row.item.address == address]

    def counts(self, job: str, *, owner: str | None = None) -> Sequence[Count]:
        counted: dict[tuple[str, str], Count] = {}
        with self._guard:
            for row in self._of(job):
                item = row.item
                if owner not in {None, item.owner}:
                    continue
                count = counted.get((item.state, item.outcome)) or Count(
                    state=item.state, outcome=item.outcome, items=0, bytes=0
                )
                counted[item.state, item.outcome] = replace(
                    count,
                    items=count.items + 1,
                    bytes=count.bytes + item.size,
                    leased=count.leased + (row.worker is not None),
                )
        return [counted[key] for key in sorted(counted)]

    def close(self) -> None:
        """Nothing is held open."""

    def _of(self, job: str) -> Iterator[_Row]:
        return (row for (of, _, _), row in self._rows.items() if of == job)


def _is_twin(other: Item, item: Item, settled: Settled) -> bool:
    return (
        other.id != item.id
        and (other.owner, other.sha256, other.outcome) == (item.owner, settled.sha256, "migrated")
        and other.state in {"copied", "done"}
    )
