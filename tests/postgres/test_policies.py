"""Uploads with a user's own token: the rows that Supabase's storage server writes, tried as it tries them.

It first tries an INSERT as the user, with what the request declares, and takes it back; then it takes the bytes; then
it writes the row as the service, with the size that came.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from audiostore.catalogs.postgres import schema
from tests.postgres.databases import Database, Databases
from tests.postgres.old import call

ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"
PATH = f"{ALICE}/book/take.wav"
INSERT = "insert into storage.objects (bucket_id, name, owner_id, version, metadata) values (%s, %s, %s, %s, %s)"
UPSERT = (
    f"{INSERT} on conflict (bucket_id, name) do update set metadata = excluded.metadata, version = excluded.version"
)
FRAME = 64 * 1024


class Server:
    """What the storage server does to its tables for one request."""

    def __init__(self, database: Database, bucket: str = "audio-files") -> None:
        self.database = database
        self.bucket = bucket

    def permits(self, user: str, path: str = PATH, **declared: object) -> bool:
        with self.database.acting("authenticated", user) as connection:
            try:
                connection.execute(INSERT, [self.bucket, path, user, "1", json.dumps(declared)])
            except psycopg.errors.InsufficientPrivilege:
                return False
            finally:
                connection.rollback()
        return True

    def stores(self, size: int, path: str = PATH) -> None:
        with self.database.acting("service_role") as connection:
            connection.execute(UPSERT, [self.bucket, path, ALICE, str(uuid.uuid4()), json.dumps({"size": size})])

    def removes(self, path: str = PATH) -> None:
        with self.database.acting("service_role") as connection:
            connection.execute("set local storage.allow_delete_query = 'true'")
            connection.execute("delete from storage.objects where name = %s", [path])

    def sizes(self) -> list[int]:
        return [size for (size,) in self.database.rows("select (metadata ->> 'size')::int from storage.objects")]


def reserve(database: Database, size: int, *, path: str = PATH, owner: str = ALICE, backend: str = "supabase") -> str:
    made = str(uuid.uuid4())
    asked: dict[str, object] = {
        "id": made, "owner": owner, "key": path, "backend": backend, "size": size, "filename": "take.wav",
        "content_type": "audio/wav", "metadata": {}, "ttl": 900, "hold": 60, "limits": None,
    }  # fmt: skip
    told = database.value("select public.audiostore_reserve(%s)", json.dumps({"request": asked}))
    assert told["status"] == "ok", told
    return made


def commit(database: Database, reservation: str, size: int) -> dict[str, object]:
    written = {"size": size, "sha256": "0" * 64, "content_type": "audio/wav", "duration": None}
    request = {"reservation": reservation, "written": written, "limits": None, "only_over": None}
    told: dict[str, object] = database.value("select public.audiostore_commit(%s)", json.dumps(request))
    return told


def used(database: Database) -> tuple[int, int]:
    return database.rows("select committed, reserved from audiostore.accounts where owner = %s", ALICE)[0][:2]


@pytest.fixture
def base(databases: Databases) -> Iterator[Database]:
    with databases.made(databases.applied(databases.hand_made())) as database:
        database.make_clock_settable()
        yield database


class TestPolicies:
    def test_nothing_is_uploaded_that_was_not_reserved(self, base: Database) -> None:
        assert not Server(base).permits(ALICE, contentLength=1)

    def test_what_was_reserved_is_let_in(self, base: Database) -> None:
        reserve(base, 1000)
        assert Server(base).permits(ALICE, mimetype="audio/wav", contentLength=1000)

    def test_only_at_the_path_that_was_reserved(self, base: Database) -> None:
        reserve(base, 1000)
        for path in (f"{PATH}.bak", PATH.upper(), f"{ALICE}/book/other.wav"):
            assert not Server(base).permits(ALICE, path, contentLength=1)

    def test_only_for_whom_it_was_reserved(self, base: Database) -> None:
        reserve(base, 1000)
        assert not Server(base).permits(BOB, contentLength=1)

    def test_only_in_our_bucket(self, base: Database) -> None:
        base.run("insert into storage.buckets (id, name) values ('other', 'other')")
        reserve(base, 1000)
        assert not Server(base, "other").permits(ALICE, contentLength=1)

    def test_what_declares_more_is_refused_before_it_is_sent(self, base: Database) -> None:
        reserve(base, 1000)
        assert Server(base).permits(ALICE, contentLength=1000 + FRAME), "the form around it has a size too"
        assert not Server(base).permits(ALICE, contentLength=1000 + FRAME + 1)
        assert not Server(base).permits(ALICE, contentLength=5 * 2**30)

    def test_what_declares_nothing_gets_past_the_policies(self, base: Database) -> None:
        reserve(base, 1000)
        assert Server(base).permits(ALICE)

    def test_a_reservation_of_another_backend_is_none_here(self, base: Database) -> None:
        reserve(base, 1000, backend="local")
        assert not Server(base).permits(ALICE, contentLength=1)

    def test_too_late_is_too_late(self, base: Database) -> None:
        reserve(base, 1000)
        base.advance(timedelta(minutes=16))
        assert not Server(base).permits(ALICE, contentLength=1)

    @pytest.mark.parametrize("end", ["release", "commit"])
    def test_once_it_is_finished_nothing_more_comes(self, base: Database, end: str) -> None:
        made = reserve(base, 1000)
        if end == "commit":
            assert commit(base, made, 1000)["status"] == "ok"
        else:
            base.run("select public.audiostore_release(%s)", json.dumps({"reservation": made, "erase": True}))
        assert not Server(base).permits(ALICE, contentLength=1)

    def test_users_neither_overwrite_nor_move_nor_delete(self, base: Database) -> None:
        Server(base).stores(10)
        for statement in (
            "update storage.objects set metadata = '{}'",
            f"update storage.objects set name = '{ALICE}/elsewhere.wav'",
        ):
            with base.acting("authenticated", ALICE) as connection:
                assert connection.execute(statement.encode()).rowcount == 0
        with base.acting("authenticated", ALICE) as connection:
            connection.execute("set local storage.allow_delete_query = 'true'")
            assert connection.execute("delete from storage.objects").rowcount == 0
        assert Server(base).sizes() == [10]

    def test_users_read_their_own_folder(self, base: Database) -> None:
        Server(base).stores(10)
        Server(base).stores(20, f"{BOB}/x.wav")
        with base.acting("authenticated", ALICE) as connection:
            assert connection.execute("select name from storage.objects").fetchall() == [(PATH,)]


class TestWatchedObjects:
    """With the trigger on storage.objects it is exact, inside the server's own transaction."""

    @pytest.fixture
    def watched(self, base: Database) -> Server:
        schema.watch_objects(base.dsn, wanted=True)
        return Server(base)

    def test_more_than_was_reserved_is_refused_whatever_was_declared(self, watched: Server) -> None:
        reserve(watched.database, 1000)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="1001 bytes are more than the 1000 reserved"):
            watched.stores(1001)
        assert watched.sizes() == []

    def test_what_was_reserved_is_taken_and_committed_later(self, watched: Server) -> None:
        made = reserve(watched.database, 1000)
        watched.stores(900)
        assert commit(watched.database, made, 900)["status"] == "ok"
        assert used(watched.database) == (900, 0)

    def test_a_file_is_not_overwritten_with_another_size(self, watched: Server) -> None:
        commit(watched.database, reserve(watched.database, 1000), 1000)
        watched.stores(1000)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            watched.stores(5 * 2**20)
        assert watched.sizes() == [1000]

    def test_an_object_that_is_deleted_frees_its_bytes(self, watched: Server) -> None:
        commit(watched.database, reserve(watched.database, 1000), 1000)
        watched.stores(1000)
        watched.removes()
        assert used(watched.database) == (0, 0)
        assert watched.database.rows("select id from audiostore.removals") == []

    def test_an_older_backend_uploads_first_and_records_afterwards(self, watched: Server) -> None:
        watched.stores(2 * 2**20)
        watched.database.run(
            "insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)"
            " values (%s, 'book', 'take.wav', 2, %s)",
            ALICE,
            PATH,
        )
        assert used(watched.database) == (2 * 2**20, 0)

    def test_other_buckets_are_none_of_our_business(self, watched: Server) -> None:
        watched.database.run("insert into storage.buckets (id, name) values ('other', 'other')")
        reserve(watched.database, 1)
        other = Server(watched.database, "other")
        other.stores(5 * 2**20)
        other.removes()
        assert used(watched.database) == (0, 1)

    def test_a_doctor_can_ask_whether_they_are_watched(self, watched: Server) -> None:
        told = {"version": schema.shipped()[-1].version, "bucket": "audio-files", "watches_objects": True}
        assert call(watched.database, "schema") == {"status": "ok", "result": told}
        schema.watch_objects(watched.database.dsn, wanted=False)
        assert call(watched.database, "schema")["result"]["watches_objects"] is False
