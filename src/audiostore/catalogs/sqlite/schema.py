"""The versions of the tables, and the way from one to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TypeAlias

from audiostore.errors import ConfigurationError

Migrations: TypeAlias = Sequence[str]
"""SQL scripts; the first makes version 1, the second leads from 1 to 2, and so on."""

_OURS = 0x41756453
"""The ``application_id`` that the first script writes."""


@cache
def shipped() -> Migrations:
    """Give the scripts that came with the package, ``0001_….sql`` first."""
    folder = resources.files("audiostore.catalogs") / "sql" / "sqlite"
    scripts = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return tuple(script.read_text("utf-8") for script in scripts)


def upgrade(connection: sqlite3.Connection, name: str, migrations: Migrations) -> None:
    """Bring the file to the last of *migrations*, one transaction each; any number of processes may try at once.

    Raises:
        ConfigurationError: the file is newer than *migrations*, or not a catalog.
    """
    while (version := check(connection, name, migrations)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Somebody else may have been faster: what counts is the version under the lock.
            if _version(connection, name, len(migrations)) == version:
                _apply(connection, migrations[version], version + 1)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def check(connection: sqlite3.Connection, name: str, migrations: Migrations) -> int:
    """Give the version of the file, 0 for an empty one, without changing anything.

    Raises:
        ConfigurationError: the file is newer than *migrations*, or not a catalog.
    """
    connection.execute("BEGIN")
    try:
        return _version(connection, name, len(migrations))
    finally:
        connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection, name: str, newest: int) -> int:
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    if application != _OURS and (version or _number(connection, "SELECT count(*) FROM sqlite_master")):
        raise ConfigurationError(f"{name} is a database of another program; a catalog needs a file of its own")
    if version > newest:
        raise ConfigurationError(
            f"{name} has schema version {version}, this audiostore knows up to {newest}: upgrade audiostore"
        )
    return version


def _number(connection: sqlite3.Connection, query: str) -> int:
    number: int = connection.execute(query).fetchone()[0]
    return number


def _apply(connection: sqlite3.Connection, script: str, version: int) -> None:
    # Not executescript(): it would commit the transaction first.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"PRAGMA user_version = {version:d}")
