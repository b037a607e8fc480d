"""Schema versions: made by many at once, upgraded in place, never downgraded, never put into a foreign file."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from pathlib import Path

import pytest

from audiostore.catalogs.sqlite import SQLiteCatalog, schema
from audiostore.catalogs.sqlite.connections import Connections
from audiostore.errors import ConfigurationError, Unavailable
from audiostore.testing.customer import Customer
from tests.catalogs.opener import open_and_write

NEXT = """
-- What a version after the last one might do; its comments hold a semicolon; and it has a trigger.
ALTER TABLE records ADD COLUMN transcript TEXT NOT NULL DEFAULT 'none; yet';
CREATE TABLE transcripts (id TEXT);
CREATE TRIGGER keep AFTER INSERT ON transcripts BEGIN
    UPDATE records SET transcript = 'there' WHERE id = NEW.id;
    DELETE FROM transcripts;
END;
"""


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return version


def open_with(path: Path, migrations: schema.Migrations) -> Connections:
    connections = Connections(path, 10.0, migrations)
    with connections.writing(durable=True):
        pass
    return connections


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


def test_a_new_file_has_the_newest_version(path: Path) -> None:
    catalog = SQLiteCatalog(path)
    catalog.usage("alice", Customer(catalog).asks().limits)
    catalog.close()
    assert version_of(path) == len(schema.shipped()) >= 1


@pytest.mark.slow
def test_many_processes_may_open_the_same_new_file_at_once(tmp_path: Path) -> None:
    names = [f"process-{number}" for number in range(8)]
    with multiprocessing.get_context("spawn").Pool(len(names)) as processes:
        for number in range(20):
            path = str(tmp_path / f"{number}.db")
            jobs = [(path, time.time() + 0.05, name) for name in names]
            assert processes.starmap(open_and_write, jobs, chunksize=1) == ["done"] * len(names)
            catalog = SQLiteCatalog(path)
            assert all(catalog.override(name) for name in names)
            catalog.close()
        processes.close()
        processes.join()


def test_an_old_file_is_upgraded_in_place_and_keeps_its_records(path: Path) -> None:
    catalog = SQLiteCatalog(path)
    file = Customer(catalog).stores()
    catalog.close()
    connections = open_with(path, (*schema.shipped(), NEXT))
    with connections.writing(durable=True) as connection:
        assert connection.execute("SELECT id, transcript FROM records").fetchall() == [(file.id, "none; yet")]
        connection.execute("INSERT INTO transcripts VALUES (?)", (file.id,))
        assert connection.execute("SELECT transcript FROM records").fetchall() == [("there",)]
    connections.close()
    assert version_of(path) == len(schema.shipped()) + 1


def test_an_upgrade_that_fails_midway_changes_nothing(path: Path) -> None:
    catalog = SQLiteCatalog(path)
    alice = Customer(catalog)
    alice.stores()
    catalog.close()
    broken = NEXT + "INSERT INTO nowhere VALUES (1);\n"
    with pytest.raises(Unavailable, match="nowhere"):
        open_with(path, (*schema.shipped(), broken))
    assert version_of(path) == len(schema.shipped())
    alice.stores()
    assert alice.counts() == (20, 0, 2)
    catalog.close()
    open_with(path, (*schema.shipped(), NEXT)).close()


def test_a_file_from_a_newer_audiostore_is_refused_by_both_versions_names(path: Path) -> None:
    ours = len(schema.shipped())
    open_with(path, (*schema.shipped(), *([NEXT.replace("ALTER", "-- ALTER")] * 1))).close()
    catalog = SQLiteCatalog(path)
    with pytest.raises(ConfigurationError, match=rf"version {ours + 1}\b.*up to {ours}\b"):
        catalog.find(["x"])
    with pytest.raises(ConfigurationError):
        Customer(catalog).stores()


@pytest.mark.parametrize("version", [0, 1])
def test_the_database_of_another_program_is_left_alone(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users (id TEXT)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another program"):
        Customer(SQLiteCatalog(path)).stores()
    # That it is read in WAL mode now would be a change too.
    assert path.read_bytes() == before
