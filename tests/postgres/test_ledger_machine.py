"""Any course of events, in Postgres and in memory at once: the SQL decides what the Python decides, to the word."""

from __future__ import annotations

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.protocols import Catalog
from audiostore.testing import SettableClock
from tests.catalogs.test_ledger_machine import Ledgers, run
from tests.postgres.databases import Databases
from tests.postgres.suite_database import DatabaseClock, suite_template
from tests.shares import amount

pytestmark = pytest.mark.slow


def test_no_course_of_events_parts_postgres_and_memory(databases: Databases) -> None:
    with databases.made(suite_template(databases)) as database:

        class PostgresLedgers(Ledgers):
            def make_clock(self) -> SettableClock:
                return DatabaseClock(database)

            def make_other(self) -> Catalog:
                database.run(
                    "truncate public.file_uploads, audiostore.accounts, audiostore.reservations, audiostore.removals"
                )
                return PostgresCatalog.connect(database.dsn)

        run(PostgresLedgers, amount(20, 500))
