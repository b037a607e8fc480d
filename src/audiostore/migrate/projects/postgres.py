"""Projects in a Postgres, over a direct connection; nothing of ours need be in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiostore.catalogs.postgres.connections import Connections
from audiostore.migrate.projects.refusals import Strange, explain
from audiostore.migrate.projects.rows import Columns, Page, as_row, stamp
from audiostore.migrate.protocols import ProjectRow
from audiostore.transport import Timeouts


class PostgresRows:
    """Each question is one statement, on one of a few connections."""

    def __init__(self, dsn: str, columns: Columns, *, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._connections = Connections(dsn, connections=8, part="ProjectsTable.postgres", explain=explain)
        table = f"{_quoted(columns.schema)}.{_quoted(columns.table)}"
        key, owner, data = (_quoted(each) for each in (columns.id, columns.owner, columns.data))
        self._what = columns.table
        self._select = f"select {key}::text, {owner}::text, {data}::text from {table} where true"  # noqa: S608
        self._id, self._owner = key, owner
        stamped = "" if columns.updated is None else f", {_quoted(columns.updated)} = %(now)s"
        self._update = (
            f"update {table} set {data} = %(new)s{stamped} where {key} = %(id)s"  # noqa: S608
            f" and encode(sha256(convert_to({data}::text, 'UTF8')), 'hex') = %(seen)s"
        )

    def page(self, after: Any, *, owner: str | None, limit: int) -> Page:
        where, values = "", list[Any]()
        if after is not None:
            where, values = f" and {self._id} > %s", [after]
        if owner is not None:
            where, values = f"{where} and {self._owner} = %s", [*values, owner]
        query = f"{self._select}{where} order by {self._id} limit {limit:d}"
        try:
            rows = [as_row(*each) for each in self._ask(query, values)]
        except Strange:
            if owner is None:
                raise
            rows = []  # nobody's
        return Page(rows, rows[-1].id if rows else None)

    def one(self, id: str) -> ProjectRow | None:
        try:
            rows = self._ask(f"{self._select} and {self._id} = %s", [id])
        except Strange:
            return None
        return as_row(*rows[0]) if rows else None

    def swap(self, row: ProjectRow, data: str) -> bool:
        values = {"new": data, "now": stamp(), "id": row.id, "seen": row.revision}
        return bool(self._ask(f"{self._update} returning 1", values))

    def close(self) -> None:
        self._connections.close()

    def _ask(self, query: str, values: Any) -> Sequence[Any]:
        patience = self._timeouts.patience()

        def once() -> Sequence[Any]:
            with self._connections.connected(self._what, patience, repeatable=True) as opened:
                connection: Any = opened
                rows: Sequence[Any] = connection.execute(query.encode(), values).fetchall()
                return rows

        return patience.repeat(once)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'
