"""Databases of one test, each a copy of a template that is made once: a new one costs some ten milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from audiostore.catalogs.postgres import schema
from tests.postgres.server import SUPERUSER, Server, shared_server

HERE = Path(__file__).parent
SKELETON = HERE / "skeleton.sql"
APP = HERE / "seed" / "app.sql"
HAND_MADE = (HERE / "seed" / "09_add_storage_tracking.sql", HERE / "seed" / "10_supabase_storage_policies.sql")
ROWS = HERE / "seed" / "rows.sql"

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Build: TypeAlias = "Callable[[Database], object]"

_numbers = count(1)


class Database:
    """One database, and the ways into it: as ``postgres``, and as PostgREST does for its callers."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name

    @property
    def dsn(self) -> str:
        return self.dsn_of("postgres")

    def dsn_of(self, user: str) -> str:
        return self.server.dsn(self.name, user)

    def connect(self, user: str = "postgres") -> Connection:
        """Open a connection that commits each statement."""
        return psycopg.connect(self.dsn_of(user), autocommit=True)

    def run(self, query: str, *values: object, user: str = "postgres") -> None:
        with self.connect(user) as connection:
            connection.execute(query.encode(), values or None)

    def rows(self, query: str, *values: object, user: str = "postgres") -> list[tuple[Any, ...]]:
        with self.connect(user) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def value(self, query: str, *values: object, user: str = "postgres") -> Any:
        ((value,),) = self.rows(query, *values, user=user)
        return value

    @contextmanager
    def acting(self, role: str, sub: str | None = None) -> Generator[Connection]:
        """Be what PostgREST is for one request: its login, the caller's role and claims, one transaction."""
        claims = {"role": role} if sub is None else {"role": role, "sub": sub}
        with psycopg.connect(self.dsn_of("authenticator")) as connection:
            connection.execute(f"set local role {role}".encode())
            connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
            yield connection

    def psql(self, *files: Path, stop_at_errors: bool = True, user: str = "postgres") -> str:
        return self.server.psql(self.dsn_of(user), *files, stop_at_errors=stop_at_errors)

    def drop(self) -> None:
        _command(self.server, f'drop database "{self.name}" with (force)')

    def make_clock_settable(self) -> None:
        """From now on ``audiostore.clock()`` is the server's, and as much ahead as ``advance`` made it."""
        self.run("""
            create table audiostore.test_clock as select interval '0' as ahead;
            create or replace function audiostore.clock() returns timestamptz
            language plpgsql stable security definer set search_path = '' as $$
            begin
              return pg_catalog.now() + (select ahead from audiostore.test_clock);
            end $$;
        """)

    def advance(self, delta: timedelta) -> None:
        self.run("update audiostore.test_clock set ahead = ahead + %s", delta)


class Databases:
    """Makes databases out of templates, and templates when they are first asked for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._templates: dict[str, Database] = {}

    def template(self, name: str, build: Build, *, base: str = "template1") -> str:
        """Give the template *name*, which *build* makes out of *base*."""
        if name not in self._templates:
            made = self._create(f"template_{name}", base)
            build(made)
            self._templates[name] = made
        return self._templates[name].name

    def supabase(self) -> str:
        """Give the template of a new Supabase project."""
        return self.template("supabase", lambda database: database.psql(SKELETON, user=SUPERUSER))

    def applied(self, base: str) -> str:
        """Give the template with our schema on top of *base*."""
        return self.template(
            f"{base.removeprefix('template_')}_applied", lambda database: schema.apply(database.dsn), base=base
        )

    def with_credits(self) -> str:
        """Give the template of a project whose app has users, and credits for them."""
        return self.template("credits", lambda database: database.psql(APP), base=self.supabase())

    def hand_made(self) -> str:
        """Give the template of a project whose app tracks storage with SQL of its own."""
        return self.template("hand_made", lambda database: database.psql(*HAND_MADE), base=self.with_credits())

    def lived_in(self) -> str:
        """Give the template of such a project after a year."""
        return self.template("lived_in", lambda database: database.psql(ROWS), base=self.hand_made())

    def make(self, template: str) -> Database:
        return self._create(f"{template.removeprefix('template_')}_{next(_numbers)}", template)

    @contextmanager
    def made(self, template: str) -> Generator[Database]:
        database = self.make(template)
        try:
            yield database
        finally:
            database.drop()

    def _create(self, name: str, base: str) -> Database:
        # A database does not inherit its template's owner.
        owner = SUPERUSER if base == "template1" else "postgres"
        _command(self.server, f'create database "{name}" template "{base}" owner "{owner}"')
        return Database(self.server, name)


@cache
def shared_databases() -> Databases:
    """Give those of the one server of this process."""
    return Databases(shared_server())


def _command(server: Server, command: str) -> None:
    with psycopg.connect(server.dsn("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(command.encode())
