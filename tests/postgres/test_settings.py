"""The environment chooses: where new bytes go is one thing, which catalog knows them all is another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from audiostore import AudioStore, NotFound, QuotaExceeded, Unavailable, serve
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.models import Limits
from audiostore.quota import FixedQuota
from tests.postgres.databases import Database
from tests.supabase.project import Served, served

MB = 2**20


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as project:
        yield project


@pytest.fixture
def env(applied: Database, cloud: Served, tmp_path: Path) -> dict[str, str]:
    return {
        "STORAGE_BACKEND": "local",
        "UPLOAD_FOLDER": str(tmp_path / "uploads"),
        "DATABASE_URL": applied.dsn,
        "SUPABASE_URL": cloud.url,
        "SUPABASE_SERVICE_KEY": cloud.fake.service_key,
        "AUDIOSTORE_SECRET": "a secret of the tests which is long enough",
    }


def plays(store: AudioStore, file: str, owner: str) -> bytes:
    """Follow the link as a browser does."""
    link = store.url(file, owner=owner)
    if link.startswith("http"):
        return httpx.get(link).content
    with serve(store, link.rpartition("/")[2]) as reply:
        return b"".join(reply.body)


def test_a_switch_of_the_backend_there_and_back_loses_no_file(env: dict[str, str]) -> None:
    files: dict[str, bytes] = {}
    for n, backend in enumerate(("local", "supabase", "local", "supabase")):
        with AudioStore.from_env(env | {"STORAGE_BACKEND": backend}) as store:
            data = b"take %d" % n
            new = store.put(data, owner="alice", section=n)
            assert new.backend == backend
            files[new.id] = data
            assert [file.id for file in store.list(owner="alice")] == list(files)
            assert {file: plays(store, file, "alice") for file in files} == files
            assert store.usage("alice").used == sum(map(len, files.values()))
    with AudioStore.from_env(env) as store:
        for file in files:
            store.delete(file, owner="alice")
        assert store.usage("alice").used == 0
        assert store.audit().objects == 0


def test_what_an_earlier_embedded_catalog_holds_stays_reachable(env: dict[str, str]) -> None:
    alone = {name: value for name, value in env.items() if name in {"UPLOAD_FOLDER", "AUDIOSTORE_SECRET"}}
    with AudioStore.from_env(alone) as store:
        old = store.put(b"old take", owner="alice", project="p1", filename="Stück.wav")
        store.set_quota("alice", 100)
    with AudioStore.from_env(env | {"STORAGE_BACKEND": "supabase"}) as store:
        assert list(store.list(owner="alice", project="p1")) == [old]
        assert plays(store, old.id, "alice") == b"old take"
        assert (store.usage("alice").used, store.usage("alice").quota) == (8, 100)
        with pytest.raises(QuotaExceeded):
            store.put(bytes(93), owner="alice")
        (moved,) = store.promote_all()
        assert (moved.file.id, moved.file.backend, moved.error) == (old.id, "supabase", None)
        store.delete(old)
        assert store.usage("alice").used == 0
        with pytest.raises(NotFound):
            store.get(old.id, owner="alice")


def test_a_fallback_is_only_there_when_it_is_asked_for(env: dict[str, str]) -> None:
    env["STORAGE_BACKEND"] = "supabase"
    away = env | {"SUPABASE_URL": "http://127.0.0.1:9"}
    with AudioStore.from_env(away) as store, pytest.raises(Unavailable):
        store.put(b"take", owner="alice")
    with AudioStore.from_env(away | {"STORAGE_FALLBACK": "local"}) as store:
        file = store.put(b"take", owner="alice")
        assert file.backend == "local"
        assert plays(store, file.id, "alice") == b"take"
    with AudioStore.from_env(env) as store:
        assert store.sweep().postponed == 0
        (moved,) = store.promote_all()
        assert (moved.file.id, moved.file.backend) == (file.id, "supabase")
        assert plays(store, file.id, "alice") == b"take"
        assert store.usage("alice").used == 4
        assert store.audit().ok


def unlimited(owner: str) -> Limits:
    return Limits()


def test_the_database_says_how_much_and_a_policy_can_only_tighten_it(env: dict[str, str], applied: Database) -> None:
    applied.run("update audiostore.plans set total = %s where name = 'free'", 10 * MB)
    with AudioStore.from_env(env | {"FREE_USER_QUOTA_MB": "400"}) as store:
        assert store.usage("alice").quota == 10 * MB
        backend = store.backend
    catalog = PostgresCatalog.connect(applied.dsn)
    for policy, quota in ((FixedQuota(5 * MB), 5 * MB), (FixedQuota(50 * MB), 10 * MB), (unlimited, 10 * MB)):
        with AudioStore(backend, catalog, quota=policy) as store:
            assert store.usage("alice").quota == quota
    with AudioStore(backend, catalog) as store:
        assert store.usage("alice").quota == 10 * MB, "without a policy the database's own number counts"
