"""An app's table of projects, in each of the places that it may be kept: what the app itself does with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from audiostore.migrate.projects import ProjectsTable
from audiostore.models import Limits
from audiostore.testing.supabase import FakeSupabase
from tests.postgres.databases import Database, shared_databases

UPDATED: Final = "2026-01-01T00:00:00+00:00"
_DDL: Final = "create table {name} (id {id}, user_id text, project_data {data}, updated_at {time})"


class App(Protocol):
    """``write`` is an edit of a user's, as the app saves it: whatever was there is overwritten."""

    table: ProjectsTable

    def again(self, **options: Any) -> ProjectsTable:
        """Open the table once more, with other options."""
        ...

    def add(self, rows: Sequence[tuple[Any, str | None, str | None]]) -> None: ...

    def write(self, id: Any, text: str) -> None: ...

    def texts(self) -> Mapping[str, str | None]: ...

    def stamps(self) -> Mapping[str, str]: ...


class Editable(App, Protocol):
    """An app that saves carefully: ``swap`` writes over nobody else's edit."""

    def swap(self, id: Any, old: str, new: str) -> bool: ...

    def text(self, id: Any) -> str | None: ...


class SqliteApp:
    def __init__(self, path: Path, *, id: str = "text primary key", new: bool = True) -> None:
        self.path = path
        with self._opened() as connection:
            connection.execute("pragma journal_mode = wal")
            if new:
                connection.execute(_DDL.format(name="projects", id=id, data="text", time="text"))
        self.table = self.again()

    def again(self, **options: Any) -> ProjectsTable:
        return ProjectsTable.sqlite(self.path, **options)

    def add(self, rows: Sequence[tuple[Any, Any, Any]]) -> None:
        with self._opened() as connection:
            connection.execute("begin")
            connection.executemany("insert into projects values (?, ?, ?, ?)", [(*each, UPDATED) for each in rows])
            connection.execute("commit")

    def write(self, id: Any, text: str) -> None:
        with self._opened() as connection:
            connection.execute("update projects set project_data = ? where id = ?", [text, id])

    def swap(self, id: Any, old: str, new: str) -> bool:
        update = "update projects set project_data = ? where id = ? and project_data = ?"
        with self._opened() as connection:
            return connection.execute(update, [new, id, old]).rowcount > 0

    def text(self, id: Any) -> str | None:
        with self._opened() as connection:
            found = connection.execute("select project_data from projects where id = ?", [id]).fetchone()
        return None if found is None else found[0]

    def texts(self) -> Mapping[str, str | None]:
        with self._opened() as connection:
            return {str(key): text for key, text in connection.execute("select id, project_data from projects")}

    def stamps(self) -> Mapping[str, str]:
        with self._opened() as connection:
            return {str(key): stamp for key, stamp in connection.execute("select id, updated_at from projects")}

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            yield connection


class PostgresApp:
    """The table is Postgres's own, reached directly, or over a REST API at ``rest``: its address and key."""

    def __init__(self, database: Database, rest: tuple[str, str] = ("", ""), *, data: str = "text") -> None:
        self.database = database
        self.rest = rest
        self.table = self.again()
        database.run(_DDL.format(name="public.projects", id="text primary key", data=data, time="timestamptz"))
        database.run("grant all on public.projects to service_role")

    def again(self, **options: Any) -> ProjectsTable:
        url, key = self.rest
        if url:
            return ProjectsTable.supabase(url=url, key=key, **options)
        return ProjectsTable.postgres(self.database.dsn, **options)

    def add(self, rows: Sequence[tuple[Any, Any, Any]]) -> None:
        with self.database.connect() as connection, connection.cursor() as cursor:
            cursor.executemany("insert into projects values (%s, %s, %s, %s)", [(*each, UPDATED) for each in rows])

    def write(self, id: Any, text: str) -> None:
        self.database.run("update projects set project_data = %s where id = %s", text, id)

    def swap(self, id: Any, old: str, new: str) -> bool:
        update = "update projects set project_data = %s where id = %s and project_data::text = %s returning 1"
        return bool(self.database.rows(update, new, id, old))

    def text(self, id: Any) -> str | None:
        found = self.database.rows("select project_data::text from projects where id = %s", id)
        return found[0][0] if found else None

    def texts(self) -> Mapping[str, str | None]:
        return dict(self.database.rows("select id::text, project_data::text from projects"))

    def stamps(self) -> Mapping[str, str]:
        return dict(self.database.rows("select id::text, to_json(updated_at) #>> '{}' from projects"))


class FakeApp:
    """The table is the fake's own, in memory; the app speaks to it over the REST API, as supabase-py does."""

    def __init__(self, fake: FakeSupabase, url: str, *, data: str = "text") -> None:
        columns = {"id": "text", "user_id": "text", "project_data": data, "updated_at": "timestamptz"}
        fake.table("projects", columns, primary_key="id")
        fake.apply_schema(limits=Limits())
        self._fake = fake
        self._is_json = data == "jsonb"
        self._client = httpx.Client(
            base_url=f"{url}/rest/v1",
            headers={"apikey": fake.service_key, "Authorization": f"Bearer {fake.service_key}"},
            trust_env=False,
        )
        self._url = url
        self.table = self.again()

    def again(self, **options: Any) -> ProjectsTable:
        return ProjectsTable.supabase(url=self._url, key=self._fake.service_key, **options)

    def add(self, rows: Sequence[tuple[Any, Any, Any]]) -> None:
        body = [
            {"id": key, "user_id": owner, "project_data": self._sent(text), "updated_at": UPDATED}
            for key, owner, text in rows
        ]
        self._client.post("/projects", json=body).raise_for_status()

    def write(self, id: Any, text: str) -> None:
        answer = self._client.patch("/projects", params={"id": f"eq.{id}"}, json={"project_data": self._sent(text)})
        answer.raise_for_status()

    def texts(self) -> Mapping[str, str | None]:
        return {str(row["id"]): self._kept(row["project_data"]) for row in self._fake.rows("projects")}

    def stamps(self) -> Mapping[str, str]:
        return {str(row["id"]): row["updated_at"] for row in self._fake.rows("projects")}

    def close(self) -> None:
        self.table.close()
        self._client.close()

    def _sent(self, text: str | None) -> Any:
        return json.loads(text) if self._is_json and text is not None else text

    def _kept(self, value: Any) -> str | None:
        return json.dumps(value, ensure_ascii=False) if self._is_json and value is not None else value


KINDS: Final = (
    "sqlite",
    "sqlite-integer",
    "postgres-text",
    "postgres-jsonb",
    "rest-text",
    "rest-jsonb",
    "rest-postgres-text",
    "rest-postgres-jsonb",
)


@contextmanager
def app_of(kind: str, folder: Path, *, max_rows: int | None = 1000) -> Generator[App]:
    """Have an empty table of one kind, behind a served fake where it is reached over REST."""
    how, _, data = kind.rpartition("-")
    with ExitStack() as stack:
        if kind.startswith("sqlite"):
            yield SqliteApp(folder / "app.sqlite3", id=f"{'integer' if data == 'integer' else 'text'} primary key")
            return
        if how == "rest":
            fake = FakeSupabase()
            fake.max_rows = max_rows
            yield stack.enter_context(closing(FakeApp(fake, _served(fake, stack), data=data)))
            return
        databases = shared_databases()
        base = databases.supabase()
        database = stack.enter_context(databases.made(databases.applied(base) if how.startswith("rest") else base))
        rest = ("", "")
        if how != "postgres":
            fake = FakeSupabase(database=database.dsn_of("authenticator"))
            fake.max_rows = max_rows
            rest = _served(fake, stack), fake.service_key
        app = PostgresApp(database, rest, data=data)
        stack.callback(app.table.close)
        yield app


def _served(fake: FakeSupabase, stack: ExitStack) -> str:
    server = fake.serve()
    stack.callback(server.stop)
    return server.url
