"""With a real Postgres behind it: what PostgREST was recorded to answer, and the contract of every catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from postgrest.exceptions import APIError

from audiostore import AudioStore
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.protocols import Catalog
from audiostore.testing import CatalogSuite, FakeSupabase, SettableClock
from tests.fake.normalising import EXCEPTIONS
from tests.fake.replay import WIRE, replay
from tests.fake.test_postgrest import FILTERS, ORDERS
from tests.postgres.databases import Database, Databases, shared_databases
from tests.postgres.suite_database import DatabaseClock, suite_template

BOOKS = """
    create table books (id int primary key, title text not null, pages int, data jsonb, read boolean);
    insert into books values
        (1, 'Emma', 474, '{"tags": ["love"], "by": {"name": "Austen"}}', true),
        (2, 'Dune', 612, '{"tags": ["sand", "love"], "by": {"name": "Herbert"}}', null),
        (3, 'Ulysses, 1922', null, '{"tags": [], "by": {"name": "J. \\"J\\" Joyce"}}', false),
        (4, '100%_sure', 90, '{}', false);
"""
FUNCTIONS = """
    create function nothing() returns void language sql as 'select';
    create function numbers(most int default 3) returns setof int language sql as 'select generate_series(1, most)';
    create function pairs() returns table (a int, b text) language sql as $$ values (1, 'x'), (2, null) $$;
    create function missing() returns jsonb language sql as 'select null::jsonb';
"""


@pytest.fixture(scope="module")
def databases() -> Databases:
    return shared_databases()


@pytest.fixture
def project(databases: Databases) -> Iterator[Database]:
    with databases.made(databases.supabase()) as database:
        yield database


@pytest.fixture
def applied(databases: Databases) -> Iterator[Database]:
    with databases.made(databases.applied(databases.supabase())) as database:
        yield database


@pytest.fixture(scope="module")
def books(databases: Databases) -> Iterator[FakeSupabase]:
    with databases.made(databases.supabase()) as database:
        database.run(BOOKS)
        with fake_of(database) as fake:
            yield fake


def fake_of(database: Database) -> FakeSupabase:
    return FakeSupabase(database=database.dsn_of("authenticator"))


def client_of(fake: FakeSupabase, key: str = "") -> Any:
    from postgrest import SyncPostgrestClient

    return SyncPostgrestClient(f"{fake.url}/rest/v1", headers={"authorization": f"Bearer {key or fake.service_key}"})


@pytest.mark.slow
def test_the_recorded_exchanges_agree_with_a_real_postgres_too(project: Database, tmp_path: Path) -> None:
    project.run((WIRE / "driver" / "rest.sql").read_text())
    pairs = replay(fake_of(project), ["t12"], tmp_path, tables=False)
    different = {pair.name: pair.differences for pair in pairs if pair.differences}
    assert {name: what for name, what in different.items() if name not in EXCEPTIONS} == {}
    assert len(pairs) == 28


@pytest.mark.parametrize("kind", FILTERS)
def test_a_filter_finds_there_what_it_finds_in_memory(books: FakeSupabase, kind: str) -> None:
    narrow, wanted = FILTERS[kind]
    with client_of(books) as client:
        found = narrow(client.table("books").select("id")).order("id").execute().data
    assert [each["id"] for each in found] == wanted


@pytest.mark.parametrize("kind", ORDERS)
def test_rows_come_in_the_same_order(books: FakeSupabase, kind: str) -> None:
    narrow, wanted = ORDERS[kind]
    with client_of(books) as client:
        found = narrow(client.table("books").select("id")).execute().data
    assert [each["id"] for each in found] == wanted


def test_what_is_refused_after_the_change_did_not_happen(project: Database) -> None:
    project.run(BOOKS)
    with fake_of(project) as fake, client_of(fake) as client:
        with pytest.raises(APIError, match="PGRST124"):
            client.table("books").delete().gt("id", 0).max_affected(1).execute()
        changed = client.table("books").update({"pages": 1}, count="exact").lt("id", 3).execute()
        assert (changed.count, [each["pages"] for each in changed.data]) == (2, [1, 1])
        made = client.table("books").upsert([{"id": 4, "title": "x"}, {"id": 5, "title": "y"}]).execute()
        assert [(each["id"], each["read"]) for each in made.data] == [(4, False), (5, None)]
        assert client.table("books").upsert({"id": 5, "title": "z"}, ignore_duplicates=True).execute().data == []
    assert project.value("select count(*) from books") == 5


def test_functions_give_one_many_or_nothing(project: Database) -> None:
    project.run(FUNCTIONS)
    with fake_of(project) as fake, client_of(fake) as client:
        assert client.rpc("numbers", {"most": 2}).execute().data == [1, 2]
        assert client.rpc("numbers", {}, get=True).limit(1).execute().data == [1]
        assert client.rpc("pairs", {}).execute().data == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
        assert client.rpc("missing", {}).execute().data is None
        headers = {"authorization": f"Bearer {fake.service_key}"}
        assert httpx.post(f"{fake.url}/rest/v1/rpc/nothing", json={}, headers=headers).status_code == 204


def test_a_database_that_is_away_is_an_outage() -> None:
    with FakeSupabase(database="postgresql://nobody@127.0.0.1:1/none") as fake:
        headers = {"authorization": f"Bearer {fake.service_key}"}
        answer = httpx.get(f"{fake.url}/rest/v1/books", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "PGRST000")


def test_its_tables_are_not_staged() -> None:
    fake = FakeSupabase(database="postgresql://nobody@127.0.0.1:1/none")
    stages: tuple[Callable[[], None], ...] = (
        lambda: fake.table("books"),
        lambda: fake.function("f", int),
        fake.apply_schema,
    )
    for stage in stages:
        with pytest.raises(ValueError, match="those of its database"):
            stage()


def test_owners_read_their_records_and_write_none(applied: Database) -> None:
    alice = str(uuid4())
    with fake_of(applied) as fake:
        catalog = PostgresCatalog.from_supabase(fake.url, fake.service_key)
        store = AudioStore(MemoryBackend(), catalog)
        take = store.put(b"RIFFabcdWAVE", owner=alice, project="p1", chapter=1, section=2)
        with client_of(fake, fake.user_token(alice)) as client:
            (row,) = client.table("file_uploads").select("id, owner, chapter_id, size").execute().data
            assert row == {"id": take.id, "owner": alice, "chapter_id": 1, "size": 12}
            (usage,) = client.table("audiostore_my_usage").select("used, quota").execute().data
            assert usage == {"used": 12, "quota": 500 * 1024 * 1024}
            for write in (
                client.table("file_uploads").insert({"filename": "x"}),
                client.table("file_uploads").update({"size": 0}),
                client.table("file_uploads").delete(),
                client.rpc("audiostore_usage", {"request": {}}),
            ):
                with pytest.raises(APIError) as refused:
                    write.execute()
                assert refused.value.code == "42501"
        with client_of(fake, fake.user_token(str(uuid4()))) as client:
            assert client.table("file_uploads").select("*").execute().data == []
        catalog.close()


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[Database]:
    """One for the whole suite: each of its tests has an owner of its own."""
    with databases.made(suite_template(databases)) as database:
        yield database


class TestThroughTheFake(CatalogSuite):
    @pytest.fixture
    def clock(self, database: Database) -> SettableClock:
        return DatabaseClock(database)

    @pytest.fixture
    def catalog(self, database: Database, clock: SettableClock) -> Iterator[Catalog]:
        with fake_of(database) as fake:
            key = fake.user_token("the server", role="service_role", expires_in=timedelta(days=3650))
            catalog = PostgresCatalog.from_supabase(fake.url, key)
            yield catalog
            catalog.close()
