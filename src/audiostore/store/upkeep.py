"""Chapter six: what was interrupted is finished or undone, and the books are compared with the shelves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from audiostore.cancelling import check_cancelled
from audiostore.errors import NotFound, Unavailable
from audiostore.keys import Key
from audiostore.models import AudioFile, ObjectStat, parse_text
from audiostore.protocols import Backend
from audiostore.reports import AuditReport, Drift, SweepReport
from audiostore.staging import sweep_staging
from audiostore.store.parts import StoreParts
from audiostore.store.reading import PAGE

_log = logging.getLogger("audiostore")

DAY = timedelta(days=1)


class Upkeep(StoreParts):
    """``sweep`` and ``audit``. Run a sweep every few minutes, from cron or a background thread; any number at once."""

    def sweep(self, *, orphans: bool = False, grace: timedelta = DAY) -> SweepReport:
        """Finish or undo what was interrupted: expired reservations, deletions cut short, what dead processes left.

        With *orphans*, also look through every object for those that no record knows, and queue the ones older than
        *grace* for removal, after *grace* again: a second look a day later, before anything is erased. That pass
        reads the whole listing.

        Raises:
            Unavailable: the catalog can't be reached. (A backend that can't is not an error: its removals wait.)

        """
        with self.events.operation("sweep") as operation:
            expired = 0
            while count := self.catalog.expire(PAGE):
                check_cancelled()
                expired += count
            queued = sum(self._queue_orphans(each, grace) for each in self.backends.values()) if orphans else 0
            erased = postponed = 0
            while batch := self.catalog.claim(PAGE, self.ttl):
                left = self._erase(batch)
                if left:
                    self.catalog.postpone([each.id for each in left], self.ttl)
                erased, postponed = erased + len(batch) - len(left), postponed + len(left)
                check_cancelled()
            places = {self._staging_of(each) for each in self.backends.values()}
            staging = sum(sweep_staging(place, self.ttl) for place in places)
            operation.learn(facts={"expired": expired, "erased": erased, "postponed": postponed, "orphans": queued})
        return SweepReport(expired=expired, erased=erased, postponed=postponed, staging=staging, orphans=queued)

    def audit(self, owner: str | None = None, *, repair: bool = False) -> AuditReport:
        """Compare ledger, records and bytes, of one owner or of all; what does not agree is in ``.drift``.

        What is under way is not drift: a live reservation and its bytes, a deletion that waits for its sweep. What
        looks wrong is looked at twice, so that a file that comes or goes meanwhile is not reported.

        It changes nothing, unless *repair* is asked for: that counts the ledger anew from the records, and queues
        objects that no record knows for removal, a day later. What it did is in ``.repaired``. Bytes that are missing
        or of another size it can't bring back: they stay in ``.drift``, for you to restore or to ``delete``.

        Raises:
            Unavailable: the catalog or a backend can't be read; nothing can be said then.

        """
        if owner is not None:
            parse_text("owner", owner)
        with self.events.operation("audit", owner=owner) as operation:
            repaired = list(self.catalog.recount(owner)) if repair else []
            drift = list(self.catalog.audit(owner))
            objects = {name: self._sizes(each) for name, each in self.backends.items()} if owner is None else None
            files = 0
            for file in self._records(owner):
                check_cancelled()
                files += 1
                size = objects.get(file.backend, {}).get(file.key) if objects is not None else None
                if size != file.size and (finding := self._compare(file)) is not None:
                    drift.append(finding)
            for name, sizes in (objects or {}).items():
                strays = list(self._unrecorded(self._backend(name), sizes))
                if repair:
                    self.catalog.discard(name, [each.key for each in strays if each.key is not None], DAY)
                (repaired if repair else drift).extend(strays)
            operation.learn(facts={"files": files, "drift": len(drift), "repaired": len(repaired)})
        count = sum(len(sizes) for sizes in objects.values()) if objects is not None else files
        return AuditReport(drift=tuple(drift), files=files, objects=count, repaired=tuple(repaired))

    def _records(self, owner: str | None) -> Iterator[AudioFile]:
        after = None
        while page := self.catalog.list(owner, after=after, limit=PAGE):
            yield from page
            after = page[-1].id

    def _sizes(self, backend: Backend) -> dict[Key, int]:
        return {each.key: each.size for each in backend.list()}

    def _compare(self, file: AudioFile) -> Drift | None:
        found = self.catalog.find([file.id])
        if not found:
            return None  # deleted since it was listed
        record = found[0]
        try:
            size = self._backend(record.backend).stat(record.key).size
        except NotFound:
            if self.catalog.find([file.id]) != found:
                return None  # replaced or deleted just now
            return Drift(
                kind="object_missing", owner=record.owner, backend=record.backend, key=record.key, ledger=record.size
            )
        if size == record.size:
            return None
        return Drift(
            kind="size_differs",
            owner=record.owner,
            backend=record.backend,
            key=record.key,
            ledger=record.size,
            truth=size,
        )

    def _unrecorded(self, backend: Backend, sizes: dict[Key, int]) -> Iterator[Drift]:
        keys = iter(sizes)
        while page := list(islice(keys, PAGE)):
            for key in sorted(set(page) - self.catalog.known(backend.name, page)):
                try:
                    size = backend.stat(key).size
                except NotFound:
                    continue  # erased since it was listed
                yield Drift(kind="object_unrecorded", backend=backend.name, key=key, truth=size)

    def _queue_orphans(self, backend: Backend, grace: timedelta) -> int:
        before = datetime.now(UTC) - grace
        return sum(self._queue_page(backend, page, before, grace) for page in _pages_of(backend))

    def _queue_page(self, backend: Backend, page: list[ObjectStat], before: datetime, grace: timedelta) -> int:
        old = [each.key for each in page if each.modified_at <= before]
        orphans = sorted(set(old) - self.catalog.known(backend.name, old))
        if orphans:
            self.catalog.discard(backend.name, orphans, grace)
        return len(orphans)


def _pages_of(backend: Backend) -> Iterator[list[ObjectStat]]:
    try:
        objects = backend.list()
        while page := list(islice(objects, PAGE)):
            check_cancelled()
            yield page
    except Unavailable as error:
        _log.warning("the orphans of %s are left for a later sweep: %s", backend.name, error)
