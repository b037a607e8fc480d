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


@cache
def shipped() -> Migrations:
    """Give the scripts that came with the package, ``sql/0001_….sql`` first."""
    folder = resources.files("audiostore.catalogs.sqlite") / "sql"
    scripts = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return tuple(script.read_text("utf-8") for script in scripts)


def upgrade(connection: sqlite3.Connection, name: str, migrations: Migrations) -> None:
    """Bring the file to the last of *migrations*, one transaction each; any number of processes may try at once.

    Raises:
        ConfigurationError: the file is newer than *migrations*, or not a catalog.
    """
    while (version := _version(connection, name, len(migrations))) < len(migrations):
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


def _version(connection: sqlite3.Connection, name: str, newest: int) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > newest:
        raise ConfigurationError(
            f"{name} has schema version {version}, this audiostore knows up to {newest}: upgrade audiostore"
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise ConfigurationError(f"{name} is a database of another program; a catalog needs a file of its own")
    return version


def _apply(connection: sqlite3.Connection, script: str, version: int) -> None:
    # Not executescript(): it would commit the transaction first.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"PRAGMA user_version = {version:d}")
