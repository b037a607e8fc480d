"""One store of each kind; whatever is said here of the facade holds on all of them.

``cloud`` is Supabase, served by the fake, with the accounting in a real Postgres. A test that is marked ``own_links``
is about the links that an app serves itself, which Supabase leaves nobody to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore
from audiostore.backends.local import LocalBackend
from audiostore.backends.memory import MemoryBackend
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.quota import DEFAULT_QUOTA
from tests.crashes.cloud import BUCKET, shared_cloud

SECRET = "a secret of the tests, long enough"
KINDS = ["memory", "disk", "cloud"]


class Clock:
    """A clock that stands still until it is told otherwise, and tells those that go by it."""

    def __init__(self) -> None:
        self.now = time.time()
        self._followers: list[Callable[[datetime], None]] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, delta: timedelta) -> None:
        self.now += delta.total_seconds()
        for each in self._followers:
            each(datetime.fromtimestamp(self.now, UTC))

    def lead(self, follower: Callable[[datetime], None]) -> None:
        self._followers.append(follower)
        self.advance(timedelta(0))


MakeStore = Callable[..., AudioStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "make" in metafunc.fixturenames:
        own_links = metafunc.definition.get_closest_marker("own_links")
        metafunc.parametrize("make", [each for each in KINDS if not own_links or each != "cloud"], indirect=True)


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> MakeStore:
    if request.param == "cloud":
        shared_cloud().empty()
        clock.lead(shared_cloud().set_clocks)

    def parts() -> tuple[Any, Any]:
        if request.param == "memory":
            return MemoryBackend(), MemoryCatalog(clock=clock)
        if request.param == "disk":
            return LocalBackend(tmp_path / "uploads"), SQLiteCatalog(tmp_path / "catalog.sqlite3", clock=clock)
        cloud = shared_cloud()
        backend = SupabaseBackend(cloud.server.url, cloud.fake.service_key, BUCKET)
        return backend, PostgresCatalog.connect(cloud.database.dsn)

    def make_store(**options: Any) -> AudioStore:
        # The numbers of that Postgres are for other tests: its plans limit nobody.
        given: dict[str, Any] = {"secret": SECRET, "clock": clock, "quota": DEFAULT_QUOTA, **options}
        store = AudioStore(*parts(), **given)
        request.addfinalizer(store.close)
        return store

    return make_store


@pytest.fixture
def store(make: MakeStore) -> AudioStore:
    return make()
