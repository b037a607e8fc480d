"""The host app's own table, ``projects(id, user_id, project_data, updated_at)``: on SQLite, or on Supabase.

It is the table that ``audiostore.migrate`` reads. A row is changed only from the revision that the writer has read
(its ``updated_at``), so that two windows never overwrite each other's work unseen.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

from examples.shared.problems import Refused
from examples.shared.supabase import Supabase


@dataclass(frozen=True, kw_only=True)
class Project:
    """One row. ``revision`` is opaque: equal as long as nobody has changed the row."""

    id: str
    data: dict[str, Any]
    revision: str

    @property
    def title(self) -> str:
        return str(self.data.get("title") or self.data.get("name") or "Untitled")


class Projects(Protocol):
    """Every method acts for *owner*: rows of others are not there."""

    def list(self, owner: str) -> list[Project]:
        """Give all of *owner*'s, the newest change first."""
        ...

    def get(self, owner: str, id: str) -> Project:
        """Raises Refused: 404."""
        ...

    def put(self, owner: str, id: str, data: dict[str, Any], *, revision: str | None) -> Project:
        """Change the row from *revision*, or make it (None).

        Raises:
            Refused: 409, another revision is there; 404, the row is somebody else's.

        """
        ...

    def delete(self, owner: str, id: str) -> None:
        """Nothing to do if there is none."""
        ...


_TABLE = """
create table if not exists projects (
    id text primary key, user_id text not null, project_data text not null, updated_at text not null
)"""
_INDEX = "create index if not exists projects_of on projects (user_id, updated_at)"


class SQLiteProjects:
    """The table in a file, for a store on one machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with self._open() as table:
            table.execute(_TABLE)
            table.execute(_INDEX)

    def list(self, owner: str) -> list[Project]:
        query = "select id, project_data, updated_at from projects where user_id = ? order by updated_at desc, id"
        with self._open() as table:
            return [_project(*row) for row in table.execute(query, (owner,))]

    def get(self, owner: str, id: str) -> Project:
        query = "select id, project_data, updated_at from projects where user_id = ? and id = ?"
        with self._open() as table:
            row = table.execute(query, (owner, id)).fetchone()
        if row is None:
            raise _not_found()
        return _project(*row)

    def put(self, owner: str, id: str, data: dict[str, Any], *, revision: str | None) -> Project:
        content, now = json.dumps(data, ensure_ascii=False), _now()
        with self._open() as table:
            if revision is None:
                insert = "insert into projects values (?, ?, ?, ?) on conflict do nothing"
                count = table.execute(insert, (id, owner, content, now)).rowcount
            else:
                update = "update projects set project_data = ?, updated_at = ?"
                update += " where id = ? and user_id = ? and updated_at = ?"
                count = table.execute(update, (content, now, id, owner, revision)).rowcount
        if not count:
            raise _conflict(self.get(owner, id))
        return Project(id=id, data=data, revision=now)

    def delete(self, owner: str, id: str) -> None:
        with self._open() as table:
            table.execute("delete from projects where user_id = ? and id = ?", (owner, id))

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        # One connection per use: cheap here, and safe across threads and forks.
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            yield connection


class SupabaseProjects:
    """The table in the project's database, reached with the service key; the owner is in every filter."""

    def __init__(self, supabase: Supabase, table: str = "projects") -> None:
        self._supabase, self._table = supabase, table

    def list(self, owner: str) -> list[Project]:
        rows = self._rows("GET", owner, order="updated_at.desc,id")
        return [_project(str(row["id"]), row["project_data"], row["updated_at"]) for row in rows]

    def get(self, owner: str, id: str) -> Project:
        for row in self._rows("GET", owner, id=f"eq.{id}"):
            return _project(str(row["id"]), row["project_data"], row["updated_at"])
        raise _not_found()

    def put(self, owner: str, id: str, data: dict[str, Any], *, revision: str | None) -> Project:
        row = {"project_data": data, "updated_at": _now()}
        if revision is None:
            made = self._supabase.rows("POST", self._table, {}, {"id": id, "user_id": owner, **row})
        else:
            wanted = {"user_id": f"eq.{owner}", "id": f"eq.{id}", "updated_at": f"eq.{revision}"}
            made = self._supabase.rows("PATCH", self._table, wanted, row)
        if not made:
            raise _conflict(self.get(owner, id))
        return _project(id, made[0]["project_data"], made[0]["updated_at"])

    def delete(self, owner: str, id: str) -> None:
        self._rows("DELETE", owner, id=f"eq.{id}")

    def _rows(self, method: str, owner: str, **wanted: str) -> Sequence[dict[str, Any]]:
        # None: the database refuses the id itself, as a column of type uuid does; no such row can be there.
        rows = self._supabase.rows(method, self._table, {"user_id": f"eq.{owner}", **wanted})
        return cast("list[dict[str, Any]]", rows or [])


def _project(id: str, data: Any, revision: str) -> Project:
    # Apps keep the JSON as such, or as text in a text column.
    parsed: object = json.loads(data) if isinstance(data, str) else data
    return Project(id=id, data=cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}, revision=revision)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _not_found() -> Refused:
    return Refused(404, "There is no such project.")


def _conflict(there: Project) -> Refused:
    return Refused(409, "The project was changed elsewhere meanwhile. Please load it again.", revision=there.revision)
