"""A database for soaks: all of our SQL, real time, removals due at once, and a way to throw its clients out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from tests.postgres.databases import Database, shared_databases
from tests.postgres.server import SUPERUSER

_CUT = """
    select count(pg_terminate_backend(pid)) from (
        select pid from pg_stat_activity
        where application_name = 'audiostore' and datname = current_database() order by random() limit 2
    ) as victims
"""


@contextmanager
def postgres_arena() -> Generator[tuple[str, Callable[[], int]]]:
    """Give the DSN, and a function that ends two of the clients' sessions and tells how many it ended."""
    databases = shared_databases()
    with databases.made(databases.template("arena", _build, base=databases.applied(databases.supabase()))) as database:
        connection = database.connect(SUPERUSER)
        with connection:
            yield database.dsn, lambda: connection.execute(_CUT.encode()).fetchall()[0][0]


def _build(database: Database) -> None:
    database.run("update audiostore.settings set value = '\"0 seconds\"' where name = 'removal_delay'")
