"""What a world on Supabase is made of: a served fake for the bytes, a real Postgres for the accounting.

One project serves all worlds of a process; each gets an empty bucket and empty tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

import httpx

from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.models import UploadGrant
from audiostore.testing import SettableClock
from audiostore.testing.supabase import FakeSupabase
from audiostore.transport import Timeouts
from tests.postgres.databases import shared_databases
from tests.postgres.server import SUPERUSER
from tests.postgres.suite_database import suite_template

BUCKET = "audio-files"
QUICK = Timeouts(
    connect=timedelta(seconds=5),
    read=timedelta(seconds=5),
    write=timedelta(seconds=5),
    total=timedelta(seconds=20),
    pause=timedelta(milliseconds=5),
)
_TABLES = (
    "public.file_uploads",
    *(f"audiostore.{each}" for each in ("reservations", "removals", "overrides", "accounts")),
)


class Cloud:
    """The project: what outlives every process that uses it."""

    def __init__(self) -> None:
        self.fake = FakeSupabase()
        self.server = self.fake.serve()
        databases = shared_databases()
        self.database = databases.make(suite_template(databases))
        self._plain = self.database.connect(SUPERUSER)
        # Tables are emptied without their triggers; and not truncated, which makes files and takes far longer.
        self._plain.execute("set session_replication_role = replica")
        # Neither knows anything between two calls, so a process that begins anew may have those of the one before.
        self.backend = SupabaseBackend(self.server.url, self.fake.service_key, BUCKET, name="main", timeouts=QUICK)
        self.catalog = PostgresCatalog.connect(self.database.dsn)
        self._browser = httpx.Client(timeout=20)

    def empty(self) -> SettableClock:
        """Take everything out, and give the clock of both halves."""
        for table in _TABLES:
            self._plain.execute(f"delete from {table}".encode())
        self.fake.reset()
        self.fake.create_bucket(BUCKET)
        return _Clock(self)

    def send(self, grant: UploadGrant, size: int, chunks: Iterable[bytes]) -> int:
        """Do what a browser does with a grant; gives the HTTP status."""
        headers = {**grant.headers, "Content-Length": str(size)}
        return self._browser.request(grant.method, grant.url, headers=headers, content=chunks).status_code

    def set_clocks(self, moment: datetime) -> None:
        self.fake.now = moment
        self._plain.execute("update audiostore.test_clock set moment = %s", [moment])


class _Clock(SettableClock):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self._cloud = cloud
        self.advance(timedelta(0))

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        self._cloud.set_clocks(datetime.fromtimestamp(self(), UTC))


@cache
def shared_cloud() -> Cloud:
    """Give the one of this process; it is made when it is first asked for."""
    return Cloud()
