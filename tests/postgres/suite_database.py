"""The database of the catalog suite: all of our SQL, a clock that can be set, and no numbers of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from audiostore.testing import SettableClock
from tests.postgres.databases import Database, Databases


def suite_template(databases: Databases) -> str:
    """Give the template; the suite brings its limits along, so the database's plans must not tighten them."""
    return databases.template("suite", _build, base=databases.applied(databases.supabase()))


def set_clock(database: Database, moment: float) -> None:
    """From now on it is *moment* in the database, until it is set again."""
    database.run("update audiostore.test_clock set moment = %s", datetime.fromtimestamp(moment, UTC))


class DatabaseClock(SettableClock):
    """The database's clock is this one."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        set_clock(database, self())

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        set_clock(self._database, self())


def _build(database: Database) -> None:
    database.run("""
        create table audiostore.test_clock as select clock_timestamp() as moment;
        create or replace function audiostore.clock() returns timestamptz
        language plpgsql volatile set search_path = '' as $$
        begin return (select moment from audiostore.test_clock); end $$;
        create or replace function audiostore.plan_of(wanted text) returns text
        language plpgsql stable set search_path = '' as $$ begin return null; end $$;
    """)
