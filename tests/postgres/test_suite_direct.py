"""The accounting in Postgres, over a direct connection, keeps the contract of every catalog."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.protocols import Catalog
from audiostore.testing import CatalogSuite
from audiostore.testing.reservation_tests import Advance
from tests.postgres.databases import Database, Databases
from tests.postgres.suite_database import suite_template


class TestPostgresCatalog(CatalogSuite):
    @pytest.fixture
    def database(self, databases: Databases) -> Iterator[Database]:
        with databases.made(suite_template(databases)) as database:
            yield database

    @pytest.fixture
    def advance(self, database: Database) -> Advance:
        return database.advance

    @pytest.fixture
    def catalog(self, database: Database) -> Iterator[Catalog]:
        catalog = PostgresCatalog.connect(database.dsn)
        yield catalog
        catalog.close()
