"""Where the kill loop's store lives: on a disk, or in a Supabase project that is served by a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import httpx

from audiostore import AudioStore, FixedQuota, serve
from audiostore.backends.local import LocalBackend
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.models import UploadGrant
from audiostore.protocols import Backend, Catalog
from tests.postgres.databases import shared_databases

QUOTA = 150_000
TTL = timedelta(milliseconds=500)
HOLD = timedelta(milliseconds=100)
BUCKET = "audio-files"


class Site(Protocol):
    """A store that outlives the processes that use it. It forgets its dead soon, so that nobody waits long for it."""

    def open(self, process: str) -> AudioStore: ...

    def send(self, store: AudioStore, grant: UploadGrant, content: bytes) -> int:
        """Send the bytes of a direct upload; gives the HTTP status."""
        ...

    def objects(self) -> set[str]: ...

    def staging(self) -> Iterable[Path]: ...

    def bury(self, process: str) -> None:
        """Wait until nothing is done any more for a process that was killed."""
        ...

    def pass_time(self) -> None:
        """Everybody is dead: let go by whatever nobody wants to wait for."""
        ...

    def close(self) -> None: ...


class Disk:
    def __init__(self, folder: Path) -> None:
        self._root = folder / "audio"

    def open(self, process: str) -> AudioStore:
        catalog = SQLiteCatalog(self._root / ".audiostore" / "catalog.sqlite3", removal_delay=HOLD)
        return _store(LocalBackend(self._root), catalog, TTL)

    def send(self, store: AudioStore, grant: UploadGrant, content: bytes) -> int:
        answer = serve(store, grant.url.rpartition("/")[2], "PUT", body=content)
        b"".join(answer.body)
        return answer.status

    def objects(self) -> set[str]:
        files = [each for each in self._root.rglob("*") if each.is_file()]
        ours = self._root / ".audiostore"
        return {str(each.relative_to(self._root)) for each in files if not each.is_relative_to(ours)}

    def staging(self) -> Iterable[Path]:
        return (self._root / ".audiostore" / "staging").rglob("*")

    def bury(self, process: str) -> None:
        """Nothing is done for the dead: all was done by them."""

    def pass_time(self) -> None:
        """Nothing here takes long."""

    def close(self) -> None:
        """Nothing is open."""


class Cloud:
    def __init__(self, folder: Path) -> None:
        self._staging = folder
        self._fake = subprocess.Popen(
            [sys.executable, "-m", "audiostore", "fake", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
        )
        assert self._fake.stdout is not None
        told = json.loads(self._fake.stdout.readline())
        self._url, self._key = told["url"], told["service_key"]
        databases = shared_databases()
        self._database = databases.make(databases.applied(databases.supabase()))
        self._database.make_clock_settable()
        with self._backend() as backend:
            backend.ensure_bucket()
        tempfile.tempdir = str(folder)  # for everybody's staging

    def open(self, process: str) -> AudioStore:
        dsn = f"{self._database.dsn}&application_name={process}"
        return _store(self._backend(), PostgresCatalog.connect(dsn), 4 * TTL)

    def send(self, store: AudioStore, grant: UploadGrant, content: bytes) -> int:
        return httpx.put(grant.url, headers=grant.headers, content=content, timeout=30).status_code

    def objects(self) -> set[str]:
        with self._backend() as backend:
            return {each.key for each in backend.list()}

    def staging(self) -> Iterable[Path]:
        return self._staging.glob("audiostore-staging-*/*")

    def bury(self, process: str) -> None:
        # What it asked for last is done, or not, without it.
        while self._database.value("select count(*) from pg_stat_activity where application_name = %s", process):
            time.sleep(0.005)

    def pass_time(self) -> None:
        self._database.advance(timedelta(hours=3))  # as long as there are links to upload that nobody finished

    def close(self) -> None:
        self._fake.terminate()
        self._fake.communicate()
        self._database.drop()

    def _backend(self) -> SupabaseBackend:
        return SupabaseBackend(self._url, self._key, BUCKET)


def _store(backend: Backend, catalog: Catalog, ttl: timedelta) -> AudioStore:
    quota = FixedQuota(total=QUOTA)
    return AudioStore(backend, catalog, quota=quota, secret="a secret of the kill loop", ttl=ttl, hold=HOLD)


SITES: Mapping[str, Callable[[Path], Site]] = {"disk": Disk, "cloud": Cloud}
