"""No decision reads a whole table, however it is put: the plans of every statement that a busy day runs."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import NotFound, QuotaExceeded
from audiostore.models import Limits, Override, Place
from audiostore.testing import SettableClock
from audiostore.testing.customer import FULL, HOUR, Customer

SCAN = re.compile(r"SCAN (TABLE )?(records|reservations|removals|accounts|overrides)\b")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that SQLite runs, with its values in place."""
    seen: list[str] = []
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect_and_listen(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(seen.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_and_listen)
    return seen


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def alice(tmp_path: Path, clock: SettableClock) -> Iterator[Customer]:
    catalog = SQLiteCatalog(tmp_path / "catalog.db", clock=clock)
    yield Customer(catalog)
    catalog.close()


def a_busy_day(alice: Customer, clock: SettableClock) -> None:
    catalog = alice.catalog
    catalog.set_override(alice.name, Override(total=100))
    first = alice.stores(10, idempotency_key="k")
    alice.reserves(10, idempotency_key="k")
    alice.finishes(alice.reserves(20, replaces=first.id))
    taken = alice.reserves(5)
    alice.reserves(6, instead_of=taken.id)
    overdue = alice.reserves(50, ttl=timedelta(0))
    catalog.extend(overdue.id, ttl=timedelta(0), hold=timedelta(0))
    with pytest.raises(QuotaExceeded):
        alice.reserves(1000)
    catalog.release(alice.reserves(5).id)
    catalog.pending(alice.name)
    catalog.reservation(overdue.id)
    catalog.expire(100)
    catalog.move(alice.name, first.id, Place("p2"))
    for place in (Place(), Place("p1"), Place("p1", "1"), Place("p1", "1", "2")):
        catalog.list(alice.name, place, after=first.id)
    catalog.list(None)
    catalog.find_key(catalog.find([first.id])[0].key)
    with pytest.raises(NotFound):
        catalog.find_key(first.key, backend=alice.backend)
    catalog.known(alice.backend, [first.key])
    catalog.discard(alice.backend, [first.key], HOUR)
    removals = alice.deletes(first)
    catalog.postpone([removals[0].id], timedelta(0))
    clock.advance(HOUR)
    assert alice.due()
    catalog.forget([removals[0].id])
    catalog.usage(alice.name, FULL)
    catalog.audit(alice.name)


def plans(path: Path, statements: list[str]) -> dict[str, list[str]]:
    connection = sqlite3.connect(path)
    asked = {each for each in statements if re.match(r"\s*(SELECT|WITH|UPDATE|DELETE|INSERT)", each)}
    found = {each: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {each}")] for each in asked}
    connection.close()
    return found


def shape(statement: str) -> str:
    return re.sub(r"'[^']*'|\b\d+\b", "?", statement)


@pytest.mark.parametrize("analyzed", [False, True], ids=["as made", "after ANALYZE"])
def test_no_statement_reads_a_whole_table(
    alice: Customer, clock: SettableClock, statements: list[str], tmp_path: Path, analyzed: bool
) -> None:
    a_busy_day(alice, clock)
    asked, path = list(statements), tmp_path / "catalog.db"
    if analyzed:
        seed(path)
    found = plans(path, asked)
    scans = {each: step for each, steps in found.items() for step in steps if SCAN.match(step)}
    assert not scans
    # Sorted is only what few rows can be: the records of one key in several backends. (An audit groups by owner.)
    sorted_by_hand = [each for each, steps in found.items() if "USE TEMP B-TREE FOR ORDER BY" in steps]
    assert all("key = " in each or "WITH parts" in each for each in sorted_by_hand), sorted_by_hand
    assert len({shape(each) for each in found}) > 30


def seed(path: Path) -> None:
    """Add what a planner with statistics would be tempted by: one owner who has nearly everything."""
    connection = sqlite3.connect(path)
    owner = connection.execute("SELECT owner FROM accounts").fetchone()[0]
    with connection:
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO records"
            " (id, owner, project, chapter, section, filename, key, backend, size, content_type, created_at, metadata)"
            " SELECT 'x' || i, ?, 'p1', '1', '2', 'a', 'k' || i, 'disk', 0, 'audio/wav', 0, '{}' FROM n",
            (owner,),
        )
        connection.execute(
            "INSERT INTO reservations"
            " SELECT 'r' || id, owner, project, chapter, section, filename, 'r' || key, backend,"
            " 0, 0, iif(rowid % 2, 'pending', 'committed'), id, NULL, NULL, content_type, '{}', NULL, 0, 0, 0, id,"
            " iif(rowid % 2, NULL, 0) FROM records"
        )
        connection.execute("INSERT INTO removals SELECT 'm' || id, backend, 'm' || key, owner, NULL, 0, 0 FROM records")
        connection.execute("ANALYZE")
    connection.close()


def test_a_removal_of_a_key_that_is_in_use_is_dropped_and_never_handed_out(alice: Customer, tmp_path: Path) -> None:
    # No decision makes such a row; a restored backup or a hand in the database may.
    file, pending = alice.stores(), alice.reserves()
    connection = sqlite3.connect(tmp_path / "catalog.db")
    with connection:
        for number, held in enumerate((file.key, pending.key)):
            values = (f"m{number}", alice.backend, held)
            connection.execute("INSERT INTO removals (id, backend, key, due) VALUES (?, ?, ?, 0)", values)
    connection.close()
    assert not alice.due()
    assert alice.catalog.find_key(file.key) == file
    assert not alice.catalog.audit()


@pytest.mark.parametrize(
    ("column", "kind", "truth"),
    [
        ("committed", "committed_bytes", 30),
        ("reserved", "reserved_bytes", 7),
        ("files", "file_count", 2),
        ("pending", "pending_count", 1),
    ],
)
def test_an_audit_names_what_a_ledger_has_wrong(
    alice: Customer, tmp_path: Path, column: str, kind: str, truth: int
) -> None:
    alice.stores(10, limits=Limits())
    alice.deletes(alice.stores(20, limits=Limits()))
    alice.reserves(7)
    connection = sqlite3.connect(tmp_path / "catalog.db")
    with connection:
        connection.execute(f"UPDATE accounts SET {column} = 1000")
    connection.close()
    (drift,) = alice.catalog.audit()
    assert (drift.kind, drift.owner, drift.ledger, drift.truth) == (kind, alice.name, 1000, truth)
    assert list(alice.catalog.audit(alice.name)) == [drift]
    assert not alice.catalog.audit("somebody else")


def test_an_audit_misses_no_owner_without_a_ledger(alice: Customer, tmp_path: Path) -> None:
    alice.stores(10)
    connection = sqlite3.connect(tmp_path / "catalog.db")
    with connection:
        connection.execute("DELETE FROM accounts")
    connection.close()
    kinds = {(drift.kind, drift.ledger, drift.truth) for drift in alice.catalog.audit()}
    assert kinds == {("committed_bytes", 0, 10), ("file_count", 0, 1)}


def test_the_very_same_call_again_gives_the_same_reservation(alice: Customer) -> None:
    # A client that lost the answer on the way repeats its request, id and all.
    request = alice.asks(60)
    first = alice.catalog.reserve(request)
    assert alice.catalog.reserve(request) == first
    assert alice.counts() == (0, 60, 0)
    with pytest.raises(FileExistsError):
        alice.catalog.reserve(replace(request, size=61))
