"""The app's table of projects, as migrations need it: read in pages, changed only where nobody else did."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from audiostore import access
from audiostore.errors import ConfigurationError, Unavailable
from audiostore.migrate import documents
from audiostore.migrate.projects.changing import changed, text_of, unwrapped
from audiostore.migrate.projects.rows import Columns, Page, Rows
from audiostore.migrate.protocols import Change, ProjectRow, Reference, Rewriting, Unparsable
from audiostore.transport import Timeouts

_PAGE: Final = 4 * 1024 * 1024
"""Characters of project data to ask for at once, as far as the page before can tell."""

_FIRST_PAGE, _LARGEST_PAGE = 20, 250
_TRIES: Final = 100
"""How often a project is tried whose data changes all the time; the last waits are a second each."""


class ProjectsTable:
    """The projects of an app, ``projects(id, user_id, project_data, updated_at)``, where sections name their audio.

    ``project_data`` is JSON, as text, ``json`` or ``jsonb``: ``chapters[].sections[]``, each with ``id``,
    ``audioPath``, ``storageBackend`` and ``uploadId``. Other names of table and columns are told. Make one with
    ``sqlite``, ``postgres`` or ``supabase``; for anything else write a ``References``.

    What a change leaves alone keeps its bytes: the order of keys, unknown fields, ``1.10``, escapes and spaces, as far
    as the column keeps them (``jsonb`` sorts keys). No write of ours ever undoes one of the app's: a row is changed in
    one statement, which does nothing unless the data is what was read.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @classmethod
    def sqlite(
        cls,
        path: str | os.PathLike[str],
        *,
        table: str = "projects",
        id: str = "id",
        owner: str = "user_id",
        data: str = "project_data",
        updated: str | None = "updated_at",
    ) -> ProjectsTable:
        """Open the projects in a SQLite file; *updated* None for a table without such a column.

        Raises (at the first use):
            NotFound: no such file. ConfigurationError: no such table or column. Unavailable: the file stays locked.
        """
        from audiostore.migrate.projects.sqlite import SqliteRows

        columns = Columns(schema="main", table=table, id=id, owner=owner, data=data, updated=updated)
        return cls(SqliteRows(Path(path), columns))

    @classmethod
    def postgres(
        cls,
        dsn: str,
        *,
        schema: str = "public",
        table: str = "projects",
        id: str = "id",
        owner: str = "user_id",
        data: str = "project_data",
        updated: str | None = "updated_at",
        timeouts: Timeouts | None = None,
    ) -> ProjectsTable:
        """Open the projects in a Postgres, directly. Nothing of audiostore's need be in that database.

        Raises:
            ConfigurationError: psycopg is missing, *dsn* is malformed; at the first use: no such table or column.
        """
        from audiostore.migrate.projects.postgres import PostgresRows

        columns = Columns(schema=schema, table=table, id=id, owner=owner, data=data, updated=updated)
        return cls(PostgresRows(dsn, columns, timeouts=timeouts or Timeouts()))

    @classmethod
    def supabase(
        cls,
        client: Any = None,
        *,
        url: str | None = None,
        key: str | None = None,
        schema: str = "public",
        table: str = "projects",
        id: str = "id",
        owner: str = "user_id",
        data: str = "project_data",
        updated: str | None = "updated_at",
        timeouts: Timeouts | None = None,
    ) -> ProjectsTable:
        """Open the projects of a Supabase project over its REST API: a ``supabase.Client``, or *url* and service *key*.

        Changes go through a function of ``audiostore schema apply``, which compares the whole document in the database.

        Raises:
            ConfigurationError: both or neither of *client* and *url*, or a key that is not the server's; at the first
                use: no such table or column, or the schema was not applied.
        """
        from audiostore.migrate.projects.rest import RestRows

        if client is not None and url is None and key is None:
            accessing = access.with_client(client, api=access.REST)
        elif client is None and url is not None and key is not None:
            accessing = access.with_key(url, key, api=access.REST)
        else:
            raise ConfigurationError("ProjectsTable.supabase takes a client, or url= and key= together")
        columns = Columns(schema=schema, table=table, id=id, owner=owner, data=data, updated=updated)
        return cls(RestRows(accessing, columns, timeouts=timeouts or Timeouts()))

    def scan(self, *, owner: str | None = None) -> Iterator[ProjectRow]:
        """Give every project, or every one of *owner*, each once, in order of id; a page at a time is in memory.

        Raises Unavailable where the table can't be reached.
        """
        after, limit = None, _FIRST_PAGE
        while (page := self._page(after, owner, limit)).rows:
            yield from page.rows
            size = sum(len(each.data or "") for each in page.rows) // len(page.rows)
            after, limit = page.last, max(1, min(4 * limit, _LARGEST_PAGE, _PAGE // (size + 1)))

    def _page(self, after: Any, owner: str | None, limit: int) -> Page:
        """Ask for fewer where an answer was too large; of one project alone it is what it is."""
        while True:
            try:
                return self._rows.page(after, owner=owner, limit=limit)
            except Unavailable as error:
                if error.retryable or limit == 1:
                    raise
                limit = max(1, limit // 8)

    def find(self, row: ProjectRow) -> Sequence[Reference] | Unparsable:
        """Give the references in one project, in the order of the book, or why there is no telling."""
        if row.data is None:
            return ()
        if not isinstance(row.data, str):
            return Unparsable(project=row.id, owner=row.owner, reason="not text in UTF-8")
        try:
            sections = documents.sections_of(unwrapped(row.data))
        except documents.Unreadable as error:
            return Unparsable(project=row.id, owner=row.owner, reason=str(error))
        if sections and not row.owner:
            return Unparsable(project=row.id, owner="", reason="it has no owner")
        return [
            Reference(
                project=row.id,
                owner=row.owner,
                chapter=text_of(each.chapter),
                section=text_of(each.section),
                path=each.path,
                backend=each.backend,
                upload_id=each.upload,
            )
            for each in sections
        ]

    def rewrite(self, project: str, changes: Sequence[Change]) -> Sequence[Rewriting]:
        """Apply *changes* to one project in one write. See ``References.rewrite``."""
        for attempt in range(_TRIES):
            row = self._rows.one(project)
            if row is None or row.data is None:
                return _all("gone", changes)
            if not isinstance(row.data, str):
                return _all("unparsable", changes)
            try:
                text, outcomes = changed(row.data, changes)
            except documents.Unreadable:
                return _all("unparsable", changes)
            if text == row.data or self._rows.swap(row, text):
                return outcomes
            _wait(attempt)
        return _all("conflict", changes)

    def close(self) -> None:
        """Let go of connections; the next call makes new ones."""
        self._rows.close()


def _all(outcome: Rewriting, changes: Sequence[Change]) -> Sequence[Rewriting]:
    return [outcome for _ in changes]


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0, min(1.0, 0.002 * 2 ** min(attempt, 10))))  # noqa: S311 - spreads writers, hides nothing
