"""``PostgresCatalog`` over rpc keeps the contract of every catalog, with the fake for a database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.protocols import Catalog
from audiostore.testing import CatalogSuite, FakeSupabase, SettableClock


class FakesClock(SettableClock):
    """The fake's clock is this one."""

    def __init__(self, fake: FakeSupabase) -> None:
        super().__init__()
        self._fake = fake
        self.advance(timedelta(0))

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        self._fake.now = datetime.fromtimestamp(self(), UTC)


class TestThroughTheFake(CatalogSuite):
    @pytest.fixture
    def fake(self) -> Iterator[FakeSupabase]:
        with FakeSupabase() as fake:
            fake.apply_schema(limits=None)  # the suite brings its own
            yield fake

    @pytest.fixture
    def clock(self, fake: FakeSupabase) -> SettableClock:
        return FakesClock(fake)

    @pytest.fixture
    def catalog(self, fake: FakeSupabase, clock: SettableClock) -> Iterator[Catalog]:
        # Some tests go on for longer than the service key lasts.
        key = fake.user_token("the server", role="service_role", expires_in=timedelta(days=2_000_000))
        catalog = PostgresCatalog.from_supabase(fake.url, key)
        yield catalog
        catalog.close()
