"""What a database is asked to do, and what it answers: the seam between HTTP and the tables, in memory or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.database.asking import Query

Target = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """``columns`` are those that are written; what they lack in a row is NULL unless ``missing_is_default``."""

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[str]
    missing_is_default: bool = False
    resolution: Literal["merge", "ignore"] | None = None
    on_conflict: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """``rows`` are JSON, one text each; ``total`` is how many there were to see, if it was asked for."""

    rows: Sequence[str]
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """``rows`` are empty unless they were to be returned; ``inserted`` is how many of ``count`` are new."""

    rows: Sequence[str]
    count: int
    inserted: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function by name; the arguments are JSON values if they were ``posted``, else text."""

    name: str
    arguments: Mapping[str, Any]
    posted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What a function gave: one JSON text, any number for ``returns setof``, or None for ``returns void``."""

    rows: Sequence[str] | None
    is_set: bool = False
    total: int | None = None


class Session(Protocol):
    """One transaction, as one actor. All verbs raise ``SqlError``."""

    def read(self, target: Target, query: Query, *, counted: bool) -> Read: ...
    def insert(self, target: Target, asked: Insertion, query: Query, *, returning: bool) -> Changed: ...
    def update(self, target: Target, changes: Mapping[str, Any], query: Query, *, returning: bool) -> Changed: ...
    def delete(self, target: Target, query: Query, *, returning: bool) -> Changed: ...
    def call(self, schema: str, call: Call, query: Query) -> Called: ...


class Database(Protocol):
    """Whatever stands behind PostgREST."""

    def begin(self, actor: Actor) -> AbstractContextManager[Session]:
        """Open a transaction: committed at the end of the block, undone if that raises."""
        ...

    def parameters(self, schema: str, name: str) -> frozenset[str]:
        """The names of a function's parameters; none if there is no such function."""
        ...
