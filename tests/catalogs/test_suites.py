"""Our own catalogs keep the contract that ships for everybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.protocols import Catalog
from audiostore.testing import CatalogSuite, SettableClock


class TestMemoryCatalog(CatalogSuite):
    @pytest.fixture
    def catalog(self, clock: SettableClock) -> Catalog:
        return MemoryCatalog(clock=clock)


class TestSQLiteCatalog(CatalogSuite):
    @pytest.fixture
    def catalog(self, clock: SettableClock, tmp_path: Path) -> Catalog:
        return SQLiteCatalog(tmp_path / "catalog.db", clock=clock)
