"""Any course of events, on both catalogs at once: they agree, the ledger is exact, and nobody is ever over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]
)

from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import AudioStoreError, QuotaExceeded
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Limits, Place
from audiostore.protocols import Catalog, Request, Written
from audiostore.testing import SettableClock

LIMITS = Limits(total=100, files=5)
OWNERS = st.sampled_from(["alice", "bob"])
SIZES = st.sampled_from([0, 1, 10, 40, 60, 90, 100])
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
MINUTES = st.integers(0, 30)


class Ledgers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = self.make_clock()
        self.other = self.make_other()
        self.memory = MemoryCatalog(clock=self.clock)
        self.sizes: dict[str, int] = {}
        self.files: dict[str, str] = {}

    def make_clock(self) -> SettableClock:
        return SettableClock()

    def make_other(self) -> Catalog:
        """Make the catalog that must say what the one in memory says."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.other.close()

    def both(self, decide: Callable[[Catalog], Any]) -> Any:
        """Let both decide; they must say the same (but for the ids of removals, which each makes itself)."""
        said: list[Any] = []
        for catalog in (self.memory, self.other):
            try:
                said.append(decide(catalog))
            except AudioStoreError as error:
                said.append(error)
        told = [(type(each), str(each)) if isinstance(each, AudioStoreError) else each for each in said]
        assert told[0] == told[1]
        return said[0]

    @rule(
        owner=OWNERS,
        size=SIZES,
        ttl=MINUTES,
        key=st.sampled_from([None, None, "k1", "k2"]),
        replaces=st.integers(0, 9),
        instead=st.integers(0, 9),
        hold=st.sampled_from([0, 2]),
    )
    def reserve(
        self, *, owner: str, size: int, ttl: int, key: str | None, replaces: int, instead: int, hold: int
    ) -> None:
        file, pending = new_id(), list(self.sizes)
        replaced = list(self.files)[replaces] if replaces < len(self.files) else None
        request = Request(
            id=file,
            owner=owner if replaced is None else self.files[replaced],
            place=Place("p"),
            filename="take.wav",
            key=Key(f"audio/{file}"),
            backend="disk",
            size=size,
            content_type="audio/wav",
            limits=LIMITS,
            ttl=timedelta(minutes=ttl),
            hold=timedelta(minutes=hold),
            metadata={"id": file},
            replaces=replaced,
            instead_of=pending[instead] if instead < len(pending) and replaced is None else None,
            idempotency_key=key,
        )
        reservation = self.both(lambda catalog: catalog.reserve(request))
        if not isinstance(reservation, AudioStoreError):
            self.sizes[reservation.id] = reservation.size

    @precondition(lambda self: self.sizes)
    @rule(number=st.integers(0, 99), size=SIZES)
    def commit(self, number: int, size: int) -> None:
        reservation = list(self.sizes)[number % len(self.sizes)]
        written = Written(size=size, sha256=None, content_type="audio/wav")

        def decide(catalog: Catalog) -> Any:
            file, removals = catalog.commit(reservation, written, limits=LIMITS)
            return file, [removal.key for removal in removals]

        said = self.both(decide)
        if size <= self.sizes[reservation]:
            assert not isinstance(said, QuotaExceeded), "what was reserved must fit"
        if not isinstance(said, AudioStoreError) and said[0].id not in self.files:
            self.files[said[0].id] = said[0].owner

    @precondition(lambda self: self.sizes)
    @rule(number=st.integers(0, 99), erase=st.booleans())
    def release(self, number: int, erase: bool) -> None:
        reservation = list(self.sizes)[number % len(self.sizes)]
        self.both(lambda catalog: [each.key for each in catalog.release(reservation, erase=erase)])

    @precondition(lambda self: self.sizes)
    @rule(number=st.integers(0, 99), ttl=MINUTES)
    def extend(self, number: int, ttl: int) -> None:
        reservation, late = list(self.sizes)[number % len(self.sizes)], timedelta(minutes=ttl)
        self.both(lambda catalog: catalog.extend(reservation, ttl=late, hold=timedelta(0)))

    @precondition(lambda self: self.files)
    @rule(owner=OWNERS, number=st.integers(0, 9))
    def hide(self, owner: str, number: int) -> None:
        file = list(self.files)[number % len(self.files)]
        self.both(lambda catalog: [each.key for each in catalog.hide(owner, [file])])

    @rule(forget=st.booleans())
    def collect(self, forget: bool) -> None:
        def decide(catalog: Catalog) -> Any:
            claimed = catalog.claim(100, timedelta(minutes=5))
            if forget:
                catalog.forget([each.id for each in claimed])
            return {(each.key, each.attempts) for each in claimed}

        self.both(decide)

    @rule(limit=st.integers(0, 3))
    def expire(self, limit: int) -> None:
        self.both(lambda catalog: catalog.expire(limit))

    @rule(minutes=st.integers(-5, 20))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(timedelta(minutes=minutes))

    @rule()
    def days_pass(self) -> None:
        self.clock.advance(timedelta(days=8))

    @invariant()
    def nobody_is_over_and_the_ledger_is_exact(self) -> None:
        for owner in ("alice", "bob"):
            usage = self.both(lambda catalog, owner=owner: catalog.usage(owner, LIMITS))  # type: ignore[misc]
            assert usage.used + usage.reserved <= 100
            assert usage.files + usage.pending <= 5
        assert self.both(lambda catalog: tuple(catalog.audit())) == ()

    @invariant()
    def both_list_the_same(self) -> None:
        self.both(lambda catalog: list(catalog.list(None)))


class SQLiteLedgers(Ledgers):
    def make_other(self) -> Catalog:
        self.folder = tempfile.TemporaryDirectory()
        return SQLiteCatalog(Path(self.folder.name) / "catalog.db", clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def run(machine: type[Ledgers], examples: int) -> None:
    course = settings(max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=SLOW)
    run_state_machine_as_test(machine, settings=course)


def test_no_course_of_events_breaks_the_ledger_or_parts_the_catalogs() -> None:
    run(SQLiteLedgers, 60)
