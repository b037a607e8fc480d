"""The accounting in Postgres, over a direct connection, keeps the contract of every catalog."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.protocols import Catalog
from audiostore.testing import CatalogSuite, SettableClock
from tests.postgres.databases import Database, Databases
from tests.postgres.suite_database import DatabaseClock, suite_template


class TestPostgresCatalog(CatalogSuite):
    @pytest.fixture
    def database(self, databases: Databases) -> Iterator[Database]:
        with databases.made(suite_template(databases)) as database:
            yield database

    @pytest.fixture
    def clock(self, database: Database) -> SettableClock:
        return DatabaseClock(database)

    @pytest.fixture
    def catalog(self, database: Database, clock: SettableClock) -> Catalog:
        return PostgresCatalog.connect(database.dsn)
