"""Older writers change rows as they always did, while the catalog decides about the same files."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable

import psycopg
import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import NotFound
from audiostore.models import Limits
from audiostore.testing.customer import Customer
from tests.postgres.databases import Connection, Database
from tests.shares import amount

pytestmark = pytest.mark.slow
SECONDS = amount(3, 60)
INSERT = (
    "insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)"
    " values (%s, 'p', 'f', 0.01, %s), (%s, 'p', 'f', 0.02, %s)"
)


def old_writer(connection: Connection, owner: str, seed: int, failures: list[str]) -> Callable[[], None]:
    """Insert, change, and delete, any of the owner's rows, often several at once."""
    chance = random.Random(seed)
    any_of_them = "(select id from public.file_uploads where owner = %s order by random() limit 3)"

    def turn() -> None:
        statements: list[tuple[str, list[object]]] = [
            (
                INSERT,
                [owner, f"{owner}/{uuid.uuid4()}", owner, f"{owner}/{uuid.uuid4()}"],
            ),
            (f"update public.file_uploads set file_size_mb = file_size_mb + 0.01 where id in {any_of_them}", [owner]),
            (f"update public.file_uploads set upload_status = 'failed' where id in {any_of_them}", [owner]),
            (f"delete from public.file_uploads where id in {any_of_them}", [owner]),
        ]
        query, values = chance.choice(statements)
        try:
            connection.execute(query.encode(), values)
        except psycopg.errors.DeadlockDetected:
            pass  # it locks rows before accounts, and always may have to try again
        except psycopg.Error as error:
            failures.append(repr(error))

    return turn


def client(alice: Customer, seed: int, failures: list[str]) -> Callable[[], None]:
    chance = random.Random(seed)

    def turn() -> None:
        try:
            page = alice.catalog.list(alice.name, limit=20)
            file = chance.choice(page) if page and chance.random() < 0.6 else None
            if file is not None and chance.random() < 0.4:
                alice.catalog.forget([each.id for each in alice.deletes(file)])
            else:
                alice.stores(10, limits=Limits(), replaces=None if file is None else file.id)
        except NotFound:
            pass  # an older writer was faster
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(repr(error))

    return turn


def test_the_ledger_stays_true_whoever_writes_at_the_same_time(applied: Database) -> None:
    user, failures = str(uuid.uuid4()), list[str]()
    applied.run("insert into auth.users (id) values (%s)", user)
    catalog = PostgresCatalog.connect(applied.dsn)
    alice = Customer(catalog)
    alice.name = user
    turns = [client(alice, seed, failures) for seed in range(6)]
    connections = [applied.connect() for _ in range(6)]
    turns += [old_writer(each, user, seed, failures) for seed, each in enumerate(connections)]
    end, drift = time.monotonic() + SECONDS, list[object]()

    def repeat(turn: Callable[[], None]) -> None:
        while time.monotonic() < end:
            turn()

    threads = [threading.Thread(target=repeat, args=(turn,)) for turn in turns]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        drift += catalog.audit(user)
    for each in connections:
        each.close()
    assert (failures, drift) == ([], [])
    applied.run("delete from auth.users where id = %s", user)
    catalog.expire(1000)
    assert (alice.counts()[0], alice.counts()[2]) == (0, 0)
    assert not catalog.audit()
    catalog.close()


def test_a_file_that_an_older_writer_brought_back_is_not_forgotten(applied: Database) -> None:
    alice = Customer(PostgresCatalog.connect(applied.dsn))
    file = alice.stores(10)
    (removal,) = alice.deletes(file)
    applied.run("update public.file_uploads set upload_status = 'completed' where id = %s", file.id)
    alice.catalog.forget([removal.id])
    assert alice.sees() == [file.id]
    assert alice.counts() == (10, 0, 1)
    alice.catalog.close()
