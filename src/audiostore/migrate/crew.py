"""The workers of one run: threads that share a journal, with one another and with those of other processes."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, TypeVar

from audiostore.errors import AudioStoreError, Unavailable
from audiostore.ids import new_id
from audiostore.migrate.carrying import Carrier, Halted
from audiostore.migrate.protocols import Copying, Item, Journal, References, Settled
from audiostore.migrate.rewriting import Rewritten, rewrite, settled
from audiostore.migrate.steps import FAILURES, MigrationEvent, MigrationReport

_T = TypeVar("_T")

_BATCH: Final = 8
"""Items a worker takes at a time: few enough that nobody is left with nothing, enough to spare calls."""
_PROJECTS: Final = 200
"""Copied items a worker takes at a time: those of a project come together."""
_AHEAD: Final = 1000
_TRIES: Final = 3
_ASKS: Final = 5
_PAUSE: Final = 0.01


@dataclass(kw_only=True)
class Crew:
    """Threads that work until nothing is left that this run could do."""

    job: str
    journal: Journal
    carrier: Carrier
    references: References | None
    report: MigrationReport
    workers: int
    lease: timedelta
    max_failures: int | None
    halt: threading.Event
    owner: str | None = None
    run: str = field(default_factory=new_id)

    def __post_init__(self) -> None:
        self._events: queue.Queue[MigrationEvent | None] = queue.Queue(_AHEAD)
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._failures = 0
        self._done = 0
        self._mistake: BaseException | None = None
        self._tries: Counter[str] = Counter()
        self._total = self._left()

    def events(self) -> Iterator[MigrationEvent]:
        """Work, and tell what happens. Whoever leaves off stops the work, and waits until it has stopped."""
        names = [f"{self.run}/{number}" for number in range(max(1, self.workers))]
        threads = [threading.Thread(target=self._work, args=(each,), name="migrate", daemon=True) for each in names]
        beat = threading.Thread(target=self._beat, args=(names,), name="migrate-beat", daemon=True)
        for each in (*threads, beat):
            each.start()
        working = len(threads)
        try:
            while working:
                event = self._events.get()
                if event is None:
                    working -= 1
                else:
                    yield event
        finally:
            if working:
                self.halt.set()
            self._stopping.set()
            while working:  # they may wait for room to tell something
                working -= self._events.get() is None
            for each in (*threads, beat):
                each.join()
        if self._mistake is not None:
            raise self._mistake

    def _work(self, worker: str) -> None:
        try:
            pause = _PAUSE
            while not self._stopping.is_set():
                if batch := self._claim(worker, "open", self._share()):
                    self._copy(batch)
                elif batch := self._claim(worker, "copied", _PROJECTS):
                    self._follow(batch)
                elif self._left() == 0:
                    return
                else:  # somebody else has what is left, and may leave some of it to us
                    self._stopping.wait(pause)
                    pause = min(1.0, 2 * pause)
                    continue
                pause = _PAUSE
        except Halted:
            return
        except AudioStoreError as error:
            self._stop(str(error), error)
        except BaseException as error:  # noqa: BLE001 - a mistake is told by the thread that waits, not lost with this one
            self._mistake = error
            self._stopping.set()
        finally:
            self._events.put(None)

    def _copy(self, batch: Sequence[Item]) -> None:
        waiting = list(batch)
        try:
            while waiting and not self._stopping.is_set():
                carried = self._tried(waiting[0])
                if carried.state == "copied" and self.carrier.source.switches:
                    self._switch(waiting.pop(0), carried)
                    continue
                for item in self._settle([carried]):
                    if item.state != "open":
                        self._tell_copied(item)
                waiting.pop(0)
        finally:
            if waiting:  # somebody else, or the next run, takes them
                self._give_back(waiting)

    def _tried(self, item: Item) -> Settled:
        """Try to bring *item*; if that may do better another time, it is open for that, under another id."""
        carried = self.carrier.carry(item)
        with self._guard:
            self._tries[item.id] += 1
            again = carried.again and self._tries[item.id] < _TRIES
        return replace(carried.settled, state="open", outcome="waiting") if again else carried.settled

    def _switch(self, item: Item, carried: Settled) -> None:
        """Its record has moved already: its references follow at once, and the old bytes go after that."""
        there = replace(item, file=carried.file, key=carried.key)
        for each in rewrite(self.references, [there], self.carrier.target.backend.name, "there"):
            if each.finished:
                self.carrier.let_go(carried)
            last = replace(carried, state="done", detail=each.detail) if each.finished else settled(each, "failed")
            for now in self._settle([last]):
                if each.finished:
                    self._tell_copied(now)
                self._tell(_followed(now, each))

    def _follow(self, batch: Sequence[Item]) -> None:
        ready: list[Item] = []
        told: list[Settled] = []
        for item in batch:
            if self.carrier.in_place or self.carrier.source.look(item, item.facts) != "changed":
                ready.append(item)
            else:  # the app wrote over the original: what was copied is not what the user has
                told.append(Settled(id=item.id, fence=item.fence, state="open", outcome="waiting"))
        backend = self.carrier.target.backend.name
        rewritten = {each.item.id: each for each in rewrite(self.references, ready, backend, "there")}
        told += [settled(each, each.item.outcome) for each in rewritten.values()]
        for now in self._settle(told):
            if now.id in rewritten:
                self._tell(_followed(now, rewritten[now.id]))

    def _settle(self, settled: Sequence[Settled]) -> Sequence[Item]:
        return self._patiently(lambda: self.journal.settle(self.job, settled))

    def _tell_copied(self, item: Item) -> None:
        with self._guard:
            self._done += 1
            done = self._done
        self._tell(_copied(item, done, self._total))

    def _tell(self, event: MigrationEvent) -> None:
        self._events.put(event)
        if event.outcome in FAILURES:
            with self._guard:
                self._failures += 1
            if self.max_failures is not None and self._failures >= self.max_failures:
                self._stop(f"{self._failures} failures, max_failures is {self.max_failures}")

    def _stop(self, why: str, error: AudioStoreError | None = None) -> None:
        with self._guard:
            if self.report.stopped is None:
                self.report.stopped, self.report.error = why, error
        self._stopping.set()

    def _give_back(self, items: Sequence[Item]) -> None:
        freed = [Settled(id=each.id, fence=each.fence, state=each.state, outcome=each.outcome) for each in items]
        try:
            self.journal.settle(self.job, freed)
        except AudioStoreError:
            return  # their leases will be over

    def _claim(self, worker: str, state: Copying, limit: int) -> Sequence[Item]:
        return self._patiently(
            lambda: self.journal.claim(self.job, worker, state=state, limit=limit, lease=self.lease, owner=self.owner)
        )

    def _share(self) -> int:
        """Give how many items to take: near the end, one at a time, so that all workers have some."""
        left = self._total - self._done
        return max(1, min(_BATCH, left // (2 * self.workers)))

    def _left(self) -> int:
        counts = self._patiently(lambda: self.journal.counts(self.job, owner=self.owner))
        return sum(each.items for each in counts if each.state in {"open", "copied"})

    def _beat(self, workers: Sequence[str]) -> None:
        while not self._stopping.wait(self.lease.total_seconds() / 3):
            for each in workers:
                try:
                    self.journal.beat(self.job, each, lease=self.lease)
                except AudioStoreError:
                    break  # the next beat is soon enough, or somebody else takes over

    def _patiently(self, call: Callable[[], _T]) -> _T:
        """Ask the journal; again after a while if it can't be reached, since all it does may be done twice."""
        for attempt in range(_ASKS - 1):
            try:
                return call()
            except Unavailable:
                self.halt.wait(0.05 * 4**attempt)
        return call()


def _copied(item: Item, done: int, total: int) -> MigrationEvent:
    was_copied = item.state in {"copied", "done"}
    return MigrationEvent(
        step="copy",
        outcome=item.outcome,
        path=str(item.facts.get("name", item.address)),
        owner=item.owner,
        size=item.size,
        file=item.file,
        key=item.key,
        detail=item.detail,
        checked=str(item.facts["checked"]) if was_copied else None,
        done=done,
        total=max(done, total),
    )


def _followed(item: Item, rewritten: Rewritten) -> MigrationEvent:
    return MigrationEvent(
        step="rewrite",
        outcome=item.outcome,
        path=str(item.facts.get("name", item.address)),
        owner=item.owner,
        size=item.size,
        file=item.file,
        key=item.key,
        project=item.references[0].project if item.references else None,
        detail=item.detail,
        error=rewritten.error,
        references=rewritten.outcomes,
    )
