"""What every catalog must do, as tests to inherit.

```python
class TestMyCatalog(CatalogSuite):
    @pytest.fixture
    def catalog(self, clock: SettableClock) -> MyCatalog:
        return MyCatalog(..., clock=clock)
```

Each test has an owner of its own, so that the catalog need not be empty and may be shared. Nothing else may claim
or expire meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from audiostore.errors import FileTooLarge, InvalidKey, QuotaExceeded
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Limits, Override, Place
from audiostore.protocols import Catalog, Written
from audiostore.testing.customer import HOUR, Customer
from audiostore.testing.record_tests import ListingTests, RemovalTests, ReplacementTests
from audiostore.testing.reservation_tests import Advance, IdempotencyTests, ReservationTests


class SettableClock:
    """A clock that runs only when it is told to."""

    def __init__(self) -> None:
        self._now = time.time()

    def __call__(self) -> float:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by.total_seconds()


class CatalogSuite(ReservationTests, IdempotencyTests, ReplacementTests, RemovalTests, ListingTests):
    """Inherit it, give a fixture ``catalog``, and run pytest; a failing test's name says what is wrong.

    A test that needs time to pass asks for the fixture ``advance``, which moves ``clock``. Where the clock can't be set
    (a database has its own), override ``advance``: let it make rows older, or ``pytest.skip``.

    Every test ends with an audit of its owner, which must find nothing.
    """

    @pytest.fixture
    def clock(self) -> SettableClock:
        return SettableClock()

    @pytest.fixture
    def catalog(self, clock: SettableClock) -> Catalog:
        raise NotImplementedError("give your suite a fixture named `catalog`")

    @pytest.fixture
    def advance(self, clock: SettableClock) -> Advance:
        return clock.advance

    @pytest.fixture
    def alice(self, catalog: Catalog) -> Iterator[Customer]:
        alice = Customer(catalog)
        yield alice
        assert not catalog.audit(alice.name)
        catalog.close()

    # Never over

    def test_the_last_byte_fits_and_one_more_does_not(self, alice: Customer) -> None:
        alice.stores(60)
        with pytest.raises(QuotaExceeded) as refused:
            alice.reserves(41)
        told = refused.value
        assert (told.kind, told.limit, told.used, told.reserved, told.needed) == ("bytes", 100, 60, 0, 41)
        alice.reserves(40)
        with pytest.raises(QuotaExceeded):
            alice.reserves(1)

    def test_not_even_when_all_come_at_once(self, alice: Customer) -> None:
        start = Barrier(16)

        def attempt(number: int) -> bool:
            if number < 16:
                start.wait()
            try:
                alice.stores(20)
            except QuotaExceeded:
                return False
            return True

        with ThreadPoolExecutor(16) as threads:
            passed = list(threads.map(attempt, range(32)))
        assert sum(passed) == 5
        assert alice.counts() == (100, 0, 5)

    def test_files_are_counted_hidden_and_pending_ones_too(self, alice: Customer) -> None:
        limits = Limits(files=3)
        file = alice.stores(limits=limits)
        alice.deletes(alice.stores(limits=limits))
        alice.reserves(limits=limits)
        with pytest.raises(QuotaExceeded) as refused:
            alice.reserves(limits=limits)
        assert (refused.value.kind, refused.value.limit) == ("files", 3)
        alice.reserves(limits=limits, replaces=file.id)

    def test_one_file_has_a_limit_of_its_own(self, alice: Customer) -> None:
        limits = Limits(total=100, per_file=50)
        with pytest.raises(FileTooLarge) as refused:
            alice.reserves(51, limits=limits)
        assert (refused.value.limit, refused.value.size) == (50, 51)
        alice.reserves(50, limits=limits)

    def test_nothing_fits_into_nothing_and_everything_without_limits(self, alice: Customer) -> None:
        with pytest.raises(QuotaExceeded):
            alice.reserves(1, limits=Limits(total=0))
        with pytest.raises(QuotaExceeded):
            alice.reserves(1, limits=Limits(files=0))
        alice.stores(2**40, limits=Limits())
        assert alice.usage(Limits()).quota is None

    def test_every_owner_has_a_ledger_of_its_own(self, alice: Customer, catalog: Catalog) -> None:
        alice.stores(100)
        Customer(catalog).stores(100)
        assert alice.counts() == (100, 0, 1)

    # Whose numbers count

    def test_an_override_wins_over_the_policy_field_by_field(self, alice: Customer) -> None:
        policy = Limits(total=100, per_file=50, files=7)
        alice.catalog.set_override(alice.name, Override(total=200))
        assert alice.usage(policy).limits == Limits(total=200, per_file=50, files=7)
        alice.stores(50, limits=policy)
        alice.catalog.set_override(alice.name, Override(total=None, per_file=None, files=0))
        assert alice.usage(policy).limits == Limits(total=None, per_file=None, files=0)
        alice.catalog.set_override(alice.name, None)
        assert alice.usage(policy).limits == policy
        assert alice.catalog.override(alice.name) is None

    def test_an_override_holds_where_room_is_taken(self, alice: Customer) -> None:
        alice.catalog.set_override(alice.name, Override(total=200))
        alice.reserves(150)
        alice.catalog.set_override(alice.name, Override(total=20))
        with pytest.raises(QuotaExceeded):
            alice.reserves(1)

    def test_an_override_ends_when_it_is_meant_to(
        self, alice: Customer, clock: SettableClock, advance: Advance
    ) -> None:
        until = datetime.fromtimestamp(clock(), UTC).replace(microsecond=0) + 2 * HOUR
        override = Override(total=200, until=until)
        alice.catalog.set_override(alice.name, override)
        advance(HOUR)
        assert alice.catalog.override(alice.name) == override
        assert alice.usage().quota == 200
        advance(HOUR)
        assert alice.catalog.override(alice.name) is None
        assert alice.usage().quota == 100

    def test_a_quota_that_nobody_set_refuses(self, alice: Customer) -> None:
        self._needs_numbers(alice)
        for ask in (lambda: alice.usage(None), lambda: alice.reserves(1, limits=None)):
            with pytest.raises(QuotaExceeded) as refused:
                ask()
            assert refused.value.kind == "unset"
        alice.catalog.set_override(alice.name, Override(total=50))
        alice.reserves(50, limits=None)
        assert alice.usage(None).limits == Limits(total=50)

    def _needs_numbers(self, alice: Customer) -> None:
        """Skip here if the catalog has numbers for every owner."""

    def test_usage_tells_what_there_is_and_what_may_be(self, alice: Customer) -> None:
        alice.stores(30)
        alice.reserves(20)
        usage = alice.usage(Limits(total=200))
        assert (usage.used, usage.reserved, usage.files, usage.pending) == (30, 20, 1, 1)
        assert (usage.quota, usage.available, usage.percent) == (200, 150, 25.0)

    # Wrong use, and odd use

    @pytest.mark.parametrize(
        "wrong",
        [
            {"owner": ""},
            {"owner": "a\0b"},
            {"owner": "\ud800"},
            {"owner": 7},
            {"id": ""},
            {"filename": "\udcff.wav"},
            {"idempotency_key": ""},
            {"place": Place("")},
            {"size": -1},
            {"size": 1.5},
            {"size": True},
            {"size": 2**63},
            {"ttl": timedelta(seconds=-1)},
            {"key": "../up"},
            {"metadata": {"when": object()}},
            {"metadata": {"level": float("nan")}},
        ],
        ids=lambda wrong: "-".join(f"{name} {value!r:.12}" for name, value in wrong.items()),
    )
    def test_a_request_that_can_not_be_kept_is_refused(self, alice: Customer, wrong: dict[str, Any]) -> None:
        with pytest.raises((TypeError, ValueError)):
            alice.catalog.reserve(replace(alice.asks(limits=Limits()), **wrong))
        assert alice.counts() == (0, 0, 0)

    def test_metadata_without_end_are_refused(self, alice: Customer) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        round_in_circles: dict[str, Any] = {}
        round_in_circles["again"] = round_in_circles
        for metadata in ({"deep": deep}, round_in_circles):
            with pytest.raises(ValueError, match=r"deep|[Cc]ircular"):
                alice.reserves(metadata=metadata)

    def test_wrong_use_raises(self, alice: Customer) -> None:
        catalog, reservation = alice.catalog, alice.reserves()
        written = Written(size=1, sha256=None, content_type="audio/wav")
        for wrong in (
            lambda: catalog.commit(reservation.id, replace(written, size=-1), limits=None),
            lambda: catalog.commit(reservation.id, replace(written, duration=float("nan")), limits=None),
            lambda: catalog.usage("", Limits()),
            lambda: catalog.list(alice.name, limit=-1),
            lambda: catalog.expire(True),
            lambda: catalog.find("one id"),
            lambda: catalog.find([7]),  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
            lambda: catalog.set_override(alice.name, Override(total="1 GB")),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            lambda: catalog.set_override(alice.name, Override(total=-1)),
            lambda: catalog.set_override(alice.name, Override(until=datetime(2030, 1, 1))),  # noqa: DTZ001 - naive
            lambda: catalog.postpone([], timedelta(seconds=-1)),
            lambda: catalog.find_key("../up"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        ):
            with pytest.raises((TypeError, ValueError, InvalidKey)):
                wrong()

    def test_no_length_of_time_is_too_long(self, alice: Customer, advance: Advance) -> None:
        reservation = alice.reserves(ttl=timedelta.max, hold=timedelta.max)
        advance(timedelta(days=10_000))
        alice.catalog.expire(1000)
        assert alice.catalog.reservation(reservation.id).state == "pending"

    def test_ids_that_can_not_be_are_only_not_there(self, alice: Customer) -> None:
        alice.stores()
        odd = ["", "\0", "\ud800", "x" * 100_000, "' OR 1=1 --"]
        assert not alice.catalog.find(odd)
        assert not alice.catalog.hide(alice.name, odd)
        alice.catalog.forget(odd)
        alice.catalog.postpone(odd, HOUR)

    def test_odd_texts_come_back_as_they_were(self, alice: Customer, catalog: Catalog) -> None:
        for text in (
            "Ångström",
            "A\u030angstro\u0308m",
            "'; DROP TABLE records; --",
            "%_",
            "0",
            "9" * 50,
            "  ",
            "🎧\n",
        ):
            owner = Customer(catalog)
            owner.name = f"{text}-{new_id()}"
            place = Place.of(text, text, text)
            file = owner.stores(place=place, filename=text, idempotency_key=text, key=Key(f"odd/{new_id()}"))
            assert list(catalog.list(owner.name, place)) == [file]
            assert (file.owner, file.filename, file.place) == (owner.name, text, place)

    def test_a_clock_set_back_breaks_nothing(self, alice: Customer, advance: Advance) -> None:
        first = alice.reserves(10)
        advance(-2 * HOUR)
        second = alice.reserves(10)
        files = [alice.finishes(first)[0], alice.finishes(second)[0]]
        assert alice.sees() == [file.id for file in files]
        alice.deletes(*files)
        alice.catalog.expire(1000)
        assert alice.counts() == (20, 0, 2)
