"""The rows of an app's projects, whatever keeps them: three questions, and one way to change a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol

from audiostore.migrate.protocols import ProjectRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which table, and which of its columns say what; no ``updated``: the app keeps none."""

    schema: str
    table: str
    id: str
    owner: str
    data: str
    updated: str | None

    def __post_init__(self) -> None:
        for name in (self.schema, self.table, self.id, self.owner, self.data, self.updated):
            if name is not None and (not name or "\0" in name):
                raise ValueError("a table or column without a name")


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, in order of their ids, and the id to go on after, as the table has it."""

    rows: Sequence[ProjectRow]
    last: Any


class Rows(Protocol):
    """The rows of one table. Safe across threads; raises only errors of ``audiostore.errors``."""

    def page(self, after: Any, *, owner: str | None, limit: int) -> Page:
        """The next rows, at most *limit*; an empty page only at the end. ``after`` None begins."""
        ...

    def one(self, id: str) -> ProjectRow | None: ...

    def swap(self, row: ProjectRow, data: str) -> bool:
        """Put *data* into that row, if what stands there is what was read; tell whether it was.

        All in one decision of the database; twice is as good as once.
        """
        ...

    def close(self) -> None: ...


def as_row(id: Any, owner: Any, data: str | None) -> ProjectRow:
    """Take a row as it was read: the data as text, and its digest for the revision."""
    revision = "" if data is None else sha256(data.encode()).hexdigest()
    return ProjectRow(id=str(id), owner="" if owner is None else str(owner), data=data, revision=revision)


def stamp() -> str:
    """The time for ``updated_at``: in UTC, and saying so."""
    return datetime.now(UTC).isoformat()
