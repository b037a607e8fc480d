"""A Postgres that has nothing of Supabase: no roles, no users, no storage. The accounting is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from audiostore import AudioStore, QuotaExceeded
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.postgres import PostgresCatalog, schema
from audiostore.quota import CatalogQuota
from tests.postgres.databases import Database
from tests.postgres.server import SUPERUSER, Server


@pytest.fixture(scope="module")
def plain() -> Iterator[Database]:
    """A cluster of its own: roles belong to the whole of one."""
    server = Server(os.environ.get("TEST_POSTGRES", "16"))
    admin = Database(server, "postgres")
    admin.run("create role app login", user=SUPERUSER)
    admin.run("create database app owner app", user=SUPERUSER)
    yield Plain(server, "app")
    server.stop()


class Plain(Database):
    @property
    def dsn(self) -> str:
        return self.dsn_of("app")


def test_the_schema_needs_no_role_and_no_table_of_supabases(plain: Database) -> None:
    assert plain.rows("select rolname from pg_roles where rolname = 'service_role'", user="app") == []
    schema.apply(plain.dsn)
    schema.apply(plain.dsn, again=True)
    assert {each.state for each in schema.check(plain.dsn)} == {"applied"}


def test_owners_need_not_be_users(plain: Database) -> None:
    schema.apply(plain.dsn)
    plain.run("update audiostore.plans set total = 10 where name = 'free'", user="app")
    catalog = PostgresCatalog.connect(plain.dsn)
    store = AudioStore(MemoryBackend(), catalog, quota=CatalogQuota())
    take = store.put(b"12345678", owner="test-user-default", filename="take.wav", chapter="prologue", section=2)
    assert (take.owner, take.chapter, take.section) == ("test-user-default", "prologue", "2")
    with pytest.raises(QuotaExceeded):
        store.put(b"123", owner="test-user-default")
    assert plain.rows("select owner, user_id, chapter_id, section_id from public.file_uploads", user="app") == [
        ("test-user-default", None, None, 2)
    ]
    store.delete(take)
    assert store.usage("test-user-default").used == 0
    store.close()
