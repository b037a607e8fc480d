"""Projects in a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiostore.errors import ConfigurationError, NotFound, PermissionDenied, StorageFull, Unavailable
from audiostore.migrate.projects.rows import Columns, Page, as_row, stamp
from audiostore.migrate.protocols import ProjectRow

_PATIENCE = 30
"""Seconds to wait for the app's own writes."""


class SqliteRows:
    """A connection for each question: the app may close, move or copy its file in between."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path = path
        self._columns = columns
        # Qualified: alone in its quotes, a column that is not there would be taken for a text.
        table = _quoted(columns.table)
        key, owner, data = (f"{table}.{_quoted(each)}" for each in (columns.id, columns.owner, columns.data))
        # As bytes: what is no text must be reported, and the driver would refuse the whole page.
        self._select = f"select {key}, {owner}, cast({data} as blob) from {table} where {key} is not null"  # noqa: S608
        self._id, self._owner = key, owner
        new = f"case typeof({data}) when 'blob' then cast(:new as blob) else :new end"
        stamped = "" if columns.updated is None else f", {_quoted(columns.updated)} = :now"
        self._update = (
            f"update {table} set {_quoted(columns.data)} = {new}{stamped}"  # noqa: S608 - names are quoted
            f" where {key} = :id and cast({data} as blob) = cast(:old as blob)"
        )

    def page(self, after: Any, *, owner: str | None, limit: int) -> Page:
        where, values = "", list[Any]()
        if after is not None:
            where, values = f" and {self._id} > ?", [after]
        if owner is not None:
            where, values = f"{where} and {self._owner} in (?, ?)", [*values, *_forms(owner)]
        query = f"{self._select}{where} order by {self._id} limit ?"
        with self._connected() as connection:
            found = connection.execute(query, [*values, limit]).fetchall()
        return Page([_row(*each) for each in found], found[-1][0] if found else None)

    def one(self, id: str) -> ProjectRow | None:
        with self._connected() as connection:
            found = connection.execute(f"{self._select} and {self._id} in (?, ?)", _forms(id)).fetchone()
        return None if found is None else _row(*found)

    def swap(self, row: ProjectRow, data: str) -> bool:
        values = {"new": data, "old": row.data, "now": stamp()}
        with self._connected() as connection:
            ran = (connection.execute(self._update, {**values, "id": each}) for each in _forms(row.id))
            return any(each.rowcount > 0 for each in ran)

    def close(self) -> None:
        """Nothing stays open."""

    @contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        if not self._path.is_file():
            raise NotFound(str(self._path))  # SQLite would make an empty one
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise _told(error, f"projects in {self._path}") from error


def _row(id: Any, owner: Any, data: bytes | None) -> ProjectRow:
    try:
        return as_row(id, owner, None if data is None else data.decode())
    except UnicodeDecodeError:
        return replace(as_row(id, owner, None), data=data)


def _forms(id: str) -> tuple[str, str | int]:
    """A column without a type tells 1 from ``'1'``."""
    return id, int(id) if id.isascii() and id.removeprefix("-").isdecimal() and len(id) < 19 else id  # noqa: PLR2004


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _told(error: sqlite3.Error, what: str) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_INTERRUPT}:
        return Unavailable(what, retryable=True)
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(what)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN}:
        return PermissionDenied(what)
    return ConfigurationError(f"{what}: {error}")
