"""One store of each kind; whatever is said here of the facade holds on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore
from audiostore.quota import DEFAULT_QUOTA
from tests.crashes.cloud import BUCKET, shared_cloud
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.backends.local import LocalBackend
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog

SECRET = "a secret of the tests, long enough"


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = time.time()
        self.follow = None

    def __call__(self) -> float:
        return self.now

    def advance(self, delta: timedelta) -> None:
        self.now += delta.total_seconds()
        if self.follow: self.follow(datetime.fromtimestamp(self.now, UTC))


MakeStore = Callable[..., AudioStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "disk", "cloud"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> MakeStore:
    made = []
    def make_store(**options: Any) -> AudioStore:
        parts: tuple[Any, Any] = (MemoryBackend(), MemoryCatalog(clock=clock))
        if request.param == "cloud":
            cloud = shared_cloud()
            if not made: cloud.empty()
            clock.follow = cloud.set_clocks
            clock.advance(timedelta(0))
            made.append(1)
            parts = (SupabaseBackend(cloud.server.url, cloud.fake.service_key, BUCKET), PostgresCatalog.connect(cloud.database.dsn))
        if request.param == "disk":
            root = tmp_path / "uploads"
            parts = LocalBackend(root), SQLiteCatalog(tmp_path / "catalog.sqlite3", clock=clock)
        given: dict[str, Any] = {"secret": SECRET, "clock": clock, "quota": DEFAULT_QUOTA, **options}
        store = AudioStore(*parts, **given)
        request.addfinalizer(store.close)
        return store

    return make_store


@pytest.fixture
def store(make: MakeStore) -> AudioStore:
    return make()
