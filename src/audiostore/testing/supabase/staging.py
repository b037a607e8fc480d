"""What a test says to the fake's database and auth server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from audiostore.models import UNSET, Limits, Unset
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.database.functions import ROLES, Function
from audiostore.testing.supabase.database.tables import Check, Rls, declared, written
from audiostore.testing.supabase.model import Project


class Staging:
    """The part of ``FakeSupabase`` that is about tables, functions and users."""

    _project: Project

    @property
    def max_rows(self) -> int | None:
        """How many rows one answer holds at most, as a project's settings say; None is all."""
        return self._project.max_rows

    @max_rows.setter
    def max_rows(self, most: int | None) -> None:
        self._project.max_rows = most

    def table(
        self,
        name: str,
        columns: Mapping[str, str] | None = None,
        *,
        primary_key: str | Sequence[str] | None = None,
        unique: Iterable[str | Sequence[str]] = (),
        checks: Mapping[str, Check] | None = None,
        rls: Rls = False,
        rows: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Create a table in ``public``; one of that name is replaced.

        Args:
            name: as ``client.table`` has it.
            columns: what SQL writes behind each name: ``"uuid primary key default gen_random_uuid()"``,
                ``"text not null default 'queued'"``. Defaults are values, ``now()``, ``gen_random_uuid()`` or
                ``auth.uid()``. Without them the table has an ``id``, and takes whatever columns rows bring.
            primary_key: its column or columns, if no column says so itself.
            unique: columns, or groups of them, that are unique.
            checks: predicates on a row, by the constraint's name.
            rls: row-level security. False: off, everyone sees and changes all. A column's name: a signed-in user has
                the rows with the own id in it. A predicate of actor and row, or one for each of ``select``,
                ``insert``, ``update`` and ``delete``. True: on, and nobody but the service key sees anything.
            rows: what is in it.

        Raises:
            ValueError: a column that is not declared as SQL does it, or a key of no column.
            SqlError: a row that the constraints refuse.
        """
        self._check_memory()
        made = declared(name, columns, primary_key=primary_key, unique=unique, checks=checks, rls=rls)
        self._project.tables.add(made, rows)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Give all rows of a table as JSON has them; raises ``KeyError`` if there is no such table."""
        relation = self._project.tables.relations["public", table]
        with self._project.lock:
            seen = relation.seen(Actor(role="service_role"))
            return [written(row, relation.types) for row in seen]

    def add_user(
        self,
        email: str,
        password: str | None = None,
        *,
        user_id: str | None = None,
        confirmed: bool = True,
        user_metadata: Mapping[str, Any] | None = None,
        app_metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Let a user be registered, and give the id; without a *password* there is no signing in with one.

        Raises:
            ValueError: the address or the id is taken.
        """
        with self._project.lock:
            users = self._project.users
            if users.with_email(email) or user_id in users.by_id:
                raise ValueError(f"there is such a user already: {email}")
            user = users.add(
                self._project.now,
                email=email,
                password=password,
                id=user_id,
                confirmed=confirmed,
                user_metadata=user_metadata,
                app_metadata=app_metadata,
            )
        return user.id

    def function(self, name: str, run: Callable[..., Any], *, roles: Iterable[str] = ROLES) -> None:
        """Let *run* answer ``client.rpc(name, …)``: it gets the arguments by name, and returns what JSON can hold.

        With a parameter ``actor`` it gets the caller's claims too. It refuses by raising ``SqlError``, and gives a
        ``RowSet`` for ``returns setof``. *roles* are those that may execute it.
        """
        self._check_memory()
        self._project.tables.functions.named[name] = Function.of(run, roles=roles)

    def apply_schema(self, *, limits: Limits | None | Unset = UNSET) -> None:
        """Do what ``audiostore schema apply`` does: functions for ``PostgresCatalog``, and its records to look at.

        The table ``file_uploads`` and the view ``audiostore_my_usage`` show what the functions recorded; they can't
        be written to. *limits* are the database's own numbers, the same for every owner: as in a new database, 500
        MiB and 50 MiB per file; None leaves them to the callers. Again changes nothing.

        Raises:
            ValueError: there is a table ``file_uploads`` already: the fake takes over no records.
        """
        self._check_memory()
        from audiostore.testing.supabase import accounting

        if any(name.startswith(accounting.PREFIX) for name in self._project.tables.functions.named):
            return
        if ("public", "file_uploads") in self._project.tables.relations:
            raise ValueError("the fake can't take over the records of a table file_uploads")
        numbers = accounting.NEW_OWNERS if isinstance(limits, Unset) else limits
        accounting.install(self._project, numbers, functools.partial(self.function, roles=("service_role",)))

    def _check_memory(self) -> None:
        if self._project.postgres is not None:
            raise ValueError("this fake's tables and functions are those of its database")
