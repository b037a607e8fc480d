"""Projects in a Supabase project, over PostgREST with the service key."""

from __future__ import annotations

import re
from typing import Any, Final

from audiostore.access import Accessing
from audiostore.catalogs.postgres.codec import SWAP_DOCUMENT
from audiostore.catalogs.postgres.rest import RestCalls
from audiostore.migrate.projects.refusals import Strange, explain
from audiostore.migrate.projects.rows import Columns, Page, as_row, stamp
from audiostore.migrate.protocols import ProjectRow
from audiostore.transport import Timeouts

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")


class RestRows:
    """Reads are requests to the table. A change is a call of a function of ours: PostgREST's own filters go into the
    address, where a whole document has no room, and no column of the app's is sure to change with each edit.
    """

    def __init__(self, accessing: Accessing, columns: Columns, *, timeouts: Timeouts) -> None:
        self._calls = RestCalls(accessing, timeouts=timeouts, part="ProjectsTable.supabase", explain=explain)
        self._columns = columns
        self._id, self._owner = _quoted(columns.id), _quoted(columns.owner)
        self._shown = f"id:{self._id}::text,owner:{self._owner}::text,data:{_quoted(columns.data)}::text"

    def page(self, after: Any, *, owner: str | None, limit: int) -> Page:
        query = {"select": self._shown, "order": f"{self._id}.asc", "limit": str(limit)}
        if after is not None:
            query[self._id] = f"gt.{after}"
        if owner is not None:
            query[self._owner] = f"eq.{owner}"
        try:
            rows = self._read(query)
        except Strange:
            if owner is None:
                raise
            rows = []  # nobody's
        return Page(rows, rows[-1].id if rows else None)

    def one(self, id: str) -> ProjectRow | None:
        try:
            rows = self._read({"select": self._shown, self._id: f"eq.{id}"})
        except Strange:
            return None
        return rows[0] if rows else None

    def swap(self, row: ProjectRow, data: str) -> bool:
        columns = self._columns
        answer = self._calls.call(
            SWAP_DOCUMENT,
            {
                "schema": columns.schema,
                "table": columns.table,
                "id_column": columns.id,
                "data_column": columns.data,
                "updated_column": columns.updated,
                "id": row.id,
                "seen": row.revision,
                "data": data,
                "updated": stamp(),
            },
        )
        return answer.get("result") is True

    def close(self) -> None:
        self._calls.close()

    def _read(self, query: dict[str, str]) -> list[ProjectRow]:
        found = self._calls.read(self._columns.table, query, schema=self._columns.schema)
        return [as_row(each["id"], each["owner"], each["data"]) for each in found]


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
