"""What may happen to a connection, and what the catalog makes of it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import AlreadyExists, ConfigurationError, PermissionDenied, Unavailable
from audiostore.keys import Key
from audiostore.models import Limits
from audiostore.testing.customer import Customer
from audiostore.transport import Timeouts
from tests.postgres.databases import Connection, Database
from tests.postgres.server import SUPERUSER

OURS = "application_name = 'audiostore' and datname = current_database()"
QUICK = Timeouts(pause=timedelta(milliseconds=1), tries=3, total=timedelta(seconds=20))


@pytest.fixture
def catalog(applied: Database) -> Iterator[PostgresCatalog]:
    catalog = PostgresCatalog.connect(applied.dsn)
    yield catalog
    catalog.close()


@pytest.fixture
def alice(catalog: PostgresCatalog) -> Customer:
    return Customer(catalog)


def cut(database: Database) -> int:
    """End every session of the catalog, as an administrator or a failover does."""
    ended: int = database.value(
        f"select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where {OURS}", user=SUPERUSER
    )
    return ended


def wait_until_locked(database: Database) -> None:
    deadline = time.monotonic() + 20
    while not database.value(f"select count(*) from pg_stat_activity where {OURS} and wait_event_type = 'Lock'"):
        assert time.monotonic() < deadline, "nothing waits for a lock"
        time.sleep(0.01)


def cut_while_it_waits(database: Database, owner: str, call: Callable[[], Any]) -> Future[Any]:
    """Begin *call*, which waits for the owner's turn, and cut it off there; then let the next one in."""
    with ThreadPoolExecutor(1) as threads, _held(database, owner) as connection:
        future = threads.submit(call)
        wait_until_locked(database)
        assert cut(database)
        connection.rollback()
    return future


def _held(database: Database, owner: str) -> Connection:
    connection = database.connect()
    connection.autocommit = False
    connection.execute("select from audiostore.accounts where owner = %s for update", [owner])
    return connection


def test_what_was_idle_when_it_was_cut_is_not_used_again(alice: Customer, applied: Database) -> None:
    file = alice.stores(60)
    assert cut(applied) == 1
    # Not even a call that may not be repeated notices.
    assert len(alice.deletes(file)) == 1


def test_a_call_that_is_cut_off_is_made_again_if_that_does_no_harm(alice: Customer, applied: Database) -> None:
    request = alice.asks(60)
    alice.stores(10)
    reserved = cut_while_it_waits(applied, alice.name, lambda: alice.catalog.reserve(request)).result()
    assert alice.counts() == (10, 60, 1)
    alice_commits = cut_while_it_waits(applied, alice.name, lambda: alice.finishes(reserved))
    assert alice_commits.result()[0].id == request.id
    assert alice.counts() == (70, 0, 2)


def test_a_call_that_must_not_be_repeated_tells_that_nobody_knows(alice: Customer, applied: Database) -> None:
    file = alice.stores(60)
    future = cut_while_it_waits(applied, alice.name, lambda: alice.deletes(file))
    with pytest.raises(Unavailable) as broken:
        future.result()
    assert not broken.value.retryable
    assert alice.sees() == [file.id]


def test_a_call_that_would_wait_too_long_was_not_made(applied: Database) -> None:
    applied.run("alter function public.audiostore_hide(jsonb) set lock_timeout = 20")
    catalog = PostgresCatalog.connect(applied.dsn, timeouts=QUICK)
    alice = Customer(catalog)
    file = alice.stores(60)
    with _held(applied, alice.name), pytest.raises(Unavailable) as busy:
        alice.deletes(file)
    assert busy.value.retryable
    assert alice.sees() == [file.id]
    catalog.close()


def test_more_threads_than_connections_take_turns(applied: Database) -> None:
    catalog = PostgresCatalog.connect(applied.dsn, connections=2)
    alice = Customer(catalog)
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(applied.value(f"select count(*) from pg_stat_activity where {OURS}"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(alice.stores, [1] * 60))
    done.set()
    watcher.join()
    assert max(seen) == 2
    assert alice.counts() == (60, 0, 60)
    catalog.close()
    assert alice.counts() == (60, 0, 60), "after a close, the next use opens again"
    catalog.close()


def test_an_interrupted_call_leaves_no_connection_in_the_middle_of_something(
    alice: Customer, catalog: PostgresCatalog, applied: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.stores(10)
    import psycopg

    real = psycopg.Connection.execute

    def interrupted(*args: Any, **options: Any) -> Any:
        real(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            alice.counts()
    assert alice.counts() == (10, 0, 1)


def test_a_fork_shares_no_connection(applied: Database) -> None:
    script = """
        import os, sys
        from audiostore.catalogs.postgres import PostgresCatalog
        from audiostore.models import Limits
        catalog = PostgresCatalog.connect(sys.argv[1])
        catalog.usage("alice", Limits())
        child = os.fork()
        for _ in range(200):
            assert catalog.usage("alice" if child else "bob", Limits()).used == 0
        if not child:
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert catalog.usage("alice", Limits()).used == 0
        catalog.close()
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    lines = "\n".join(line.removeprefix("        ") for line in script.splitlines())
    ran = subprocess.run(
        [sys.executable, "-c", lines, applied.dsn],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_catalog_that_nobody_closed_closes_at_the_end_of_its_life(applied: Database) -> None:
    catalog = PostgresCatalog.connect(applied.dsn)
    catalog.usage("alice", Limits())
    assert applied.value(f"select count(*) from pg_stat_activity where {OURS}") == 1
    del catalog
    gc.collect()
    deadline = time.monotonic() + 20
    while applied.value(f"select count(*) from pg_stat_activity where {OURS}"):
        assert time.monotonic() < deadline


def test_a_database_without_our_functions_says_what_to_do(project: Database) -> None:
    catalog = PostgresCatalog.connect(project.dsn)
    with pytest.raises(ConfigurationError, match="audiostore schema apply"):
        catalog.usage("alice", Limits())
    catalog.close()


def test_whoever_may_not_call_is_told_so(applied: Database) -> None:
    catalog = PostgresCatalog.connect(applied.dsn_of("app_user"))
    with pytest.raises(PermissionDenied):
        catalog.usage("alice", Limits())
    catalog.close()


def test_a_role_whose_transactions_see_the_past_is_refused(applied: Database) -> None:
    applied.run(f"alter database \"{applied.name}\" set default_transaction_isolation = 'repeatable read'")
    catalog = PostgresCatalog.connect(applied.dsn)
    with pytest.raises(ConfigurationError, match="read committed"):
        Customer(catalog).reserves(1)
    catalog.close()


@pytest.mark.parametrize("dsn", ["nonsense", "postgresql://a:secret@/b?nonsense=1"])
def test_an_address_that_is_none_is_refused_and_not_repeated(dsn: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        PostgresCatalog.connect(dsn)
    assert dsn not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_may_be_asked_again(tmp_path: Path) -> None:
    catalog = PostgresCatalog.connect(f"postgresql://u:secret@/x?host={tmp_path}", timeouts=QUICK)
    with pytest.raises(Unavailable) as missing:
        catalog.usage("alice", Limits())
    assert missing.value.retryable
    assert "secret" not in str(missing.value)


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> None:
        return None

    monkeypatch.setattr("audiostore.catalogs.postgres.connections.find_spec", find_nothing)
    with pytest.raises(ConfigurationError, match=r"audiostore\[postgres\]"):
        PostgresCatalog.connect("postgresql://localhost/x")


def test_texts_that_no_index_can_hold_are_misuse(alice: Customer) -> None:
    with pytest.raises(ValueError, match="index row"):
        alice.reserves(owner="".join(chr(0x4E00 + number * 7 % 20_000) for number in range(3000)))


def test_metadata_that_a_database_can_not_keep_are_misuse(alice: Customer) -> None:
    for metadata in ({"a": ["\0"]}, {"\0": 1}, {"a": {"b": "\ud800"}}):
        with pytest.raises(ValueError, match="metadata"):
            alice.reserves(metadata=metadata)
    assert alice.counts() == (0, 0, 0)


def test_a_key_that_an_older_writer_takes_while_it_is_uploaded_is_taken(alice: Customer, applied: Database) -> None:
    reservation = alice.reserves(key=Key("u/p/take.wav"), backend="supabase")
    applied.run(
        "insert into public.file_uploads (project_id, filename, file_size_mb, storage_path)"
        " values ('p', 'take.wav', 1, 'u/p/take.wav')"
    )
    with pytest.raises(AlreadyExists):
        alice.finishes(reservation)
    assert alice.counts() == (0, 10, 0)
