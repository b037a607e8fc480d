"""The database of a fake in memory: what the verbs do to the rows of its tables."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.database import refusals
from audiostore.testing.supabase.database.asking import Column, Field, Query
from audiostore.testing.supabase.database.functions import Functions
from audiostore.testing.supabase.database.matching import Reader
from audiostore.testing.supabase.database.surroundings import Surroundings
from audiostore.testing.supabase.database.tables import Constraint, Relation, Row, Table, View
from audiostore.testing.supabase.database.types import SqlType, sql_type
from audiostore.testing.supabase.database.verbs import Call, Called, Changed, Insertion, Read, Target


@dataclass(slots=True)
class MemoryDatabase:
    """The tables, views and functions of one project."""

    project: Surroundings
    relations: dict[Target, Relation] = field(default_factory=dict[Target, Relation])
    functions: Functions = field(default_factory=Functions)

    @contextmanager
    def begin(self, actor: Actor) -> Generator[MemorySession]:
        if actor.role not in {"anon", "authenticated", "service_role"}:
            raise refusals.no_role(actor.role)
        with self.project.lock:
            session = MemorySession(self, actor)
            try:
                yield session
            except BaseException:
                session.undo()
                raise

    def parameters(self, schema: str, name: str) -> frozenset[str]:
        return self.functions.parameters(name)

    def relation(self, target: Target) -> Relation:
        if target not in self.relations:
            raise refusals.no_table(*target)
        return self.relations[target]

    def show(self, *views: View) -> None:
        for each in views:
            self.relations[each.schema, each.name] = each

    def add(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put in a table, and rows as the service key would insert them; raises ``SqlError``."""
        target = (table.schema, table.name)
        with self.begin(Actor(role="service_role")) as session:
            self.relations[target] = table
            for row in rows:
                session.insert(target, Insertion(rows=[row], columns=list(row)), Query(), returning=False)


class MemorySession:
    """One transaction, under the project's lock; it keeps the rows there were, to put them back."""

    def __init__(self, database: MemoryDatabase, actor: Actor) -> None:
        self._database = database
        # As in Postgres, time stands still within a transaction.
        self._now, self._new_id = database.project.now, database.project.new_id
        self._actor = actor
        self._before: list[tuple[Table, list[Row]]] = []

    def undo(self) -> None:
        for table, rows in reversed(self._before):
            table.become(rows)

    # --- verbs --------------------------------------------------------------------------------------------------------

    def read(self, target: Target, query: Query, *, counted: bool) -> Read:
        relation = self._database.relation(target)
        reader = Reader(relation.name, relation.types)
        meets = reader.meets(query.tests)
        found = [row for row in relation.seen(self._actor) if meets(row)]
        last = None if query.limit is None else query.offset + query.limit
        page = reader.order(query.order, found)[query.offset : last]
        return Read(rows=_shown(relation.name, page, relation.types, query), total=len(found) if counted else None)

    def insert(self, target: Target, asked: Insertion, query: Query, *, returning: bool) -> Changed:
        table = self._writable(target, asked.columns, asked.rows)
        constraint = _named(table, asked.on_conflict) if asked.on_conflict else table.primary_key
        written = [self._insert_one(table, asked, constraint, each) for each in asked.rows]
        stored = [row for row, _ in written if row is not None]
        if len({id(row) for row in stored} & {id(row) for row in table.rows}) < len(stored):
            raise refusals.twice_in_one_statement()  # a row of this statement gave way to a later one
        inserted = sum(new for _, new in written)
        return self._changed(table, stored, query, returning=returning, inserted=inserted)

    def update(self, target: Target, changes: Mapping[str, Any], query: Query, *, returning: bool) -> Changed:
        table = self._writable(target, list(changes), [changes])
        values = {name: table.columns[name].type.from_json(value) for name, value in changes.items()}
        wanted = self._wanted(table, "update", query)
        changed: list[Row] = []
        for at, row in enumerate(list(table.rows)):
            if values and wanted(row):
                changed.append({**row, **values})
                self._replace(table, at, changed[-1])
        return self._changed(table, changed, query, returning=returning)

    def delete(self, target: Target, query: Query, *, returning: bool) -> Changed:
        table = self._writable(target, [], [])
        wanted = self._wanted(table, "delete", query)
        gone = [row for row in table.rows if wanted(row)]
        lost = {id(row) for row in gone}
        table.become([row for row in table.rows if id(row) not in lost])
        return self._changed(table, gone, query, returning=returning)

    def call(self, schema: str, call: Call, query: Query) -> Called:
        return self._database.functions.call(self._actor, schema, call, query)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _writable(self, target: Target, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
        """Give the table, ready to be written to, with its rows as they were kept."""
        relation = self._database.relation(target)
        if not isinstance(relation, Table):
            if self._actor.role == "service_role":
                raise refusals.not_in_the_fake(f"writing to {relation.schema}.{relation.name}")
            raise refusals.not_permitted("table", relation.name)
        if relation.open:
            relation.learn(rows)
        strange = next((each for each in columns if each not in relation.columns), None)
        if strange is not None:
            raise refusals.no_column_to_write(relation.name, strange)
        self._before.append((relation, list(relation.rows)))
        return relation

    def _wanted(self, table: Table, operation: Any, query: Query) -> Callable[[Row], bool]:
        meets, actor = Reader(table.name, table.types).meets(query.tests), self._actor
        return lambda row: table.may(actor, "select", row) and table.may(actor, operation, row) and meets(row)

    def _insert_one(
        self, table: Table, asked: Insertion, constraint: Constraint | None, given: Mapping[str, Any]
    ) -> tuple[Row | None, bool]:
        """Give the row as it is now, and whether it is new; none if there is one already and it is to be left."""
        row = self._completed(table, asked, given)
        at = table.at(constraint, row) if asked.resolution and constraint else None
        if at is not None and asked.resolution == "ignore":
            return None, False
        if not table.may(self._actor, "insert", row):
            raise refusals.row_refused(table.name)
        if at is None:
            self._check(table, row, but=None)
            table.append(row)
            return row, True
        old = table.rows[at]
        if not (table.may(self._actor, "select", old) and table.may(self._actor, "update", old)):
            raise refusals.row_refused(table.name, old=True)
        merged = {**old, **{name: row[name] for name in asked.columns}}
        self._replace(table, at, merged)
        return merged, False

    def _completed(self, table: Table, asked: Insertion, given: Mapping[str, Any]) -> Row:
        row: Row = {}
        for name, column in table.columns.items():
            is_null = name in asked.columns and not asked.missing_is_default
            if name in given or is_null:
                row[name] = column.type.from_json(given.get(name))
            else:
                row[name] = table.default(name, self._now, self._new_id, self._actor)
        return row

    def _replace(self, table: Table, at: int, row: Row) -> None:
        if not (table.may(self._actor, "update", row) and table.may(self._actor, "select", row)):
            raise refusals.row_refused(table.name)
        self._check(table, row, but=at)
        table.put(at, row)

    def _check(self, table: Table, row: Row, *, but: int | None) -> None:
        """Hold a row to the constraints, in the order in which Postgres does."""
        hidden = table.hides(self._actor)
        failing = None if hidden else f"Failing row contains ({_texts(row, table.types)})."
        for name, column in table.columns.items():
            if column.required and row.get(name) is None:
                raise refusals.null_refused(table.name, name, failing)
        for name, holds in sorted(table.checks.items()):
            if holds(row) is False:
                raise refusals.check_refused(table.name, name, failing)
        for constraint in table.constraints:
            if table.at(constraint, row) not in {None, but}:
                key = {each: table.types[each] for each in constraint.columns}
                details = f"Key ({', '.join(key)})=({_texts(row, key)}) already exists."
                raise refusals.duplicate(constraint.name, None if hidden else details)

    def _changed(
        self, table: Table, rows: list[Row], query: Query, *, returning: bool, inserted: int | None = None
    ) -> Changed:
        if not returning:
            return Changed(rows=(), count=len(rows), inserted=inserted)
        if any(not table.may(self._actor, "select", row) for row in rows):
            raise refusals.row_refused(table.name)
        return Changed(rows=_shown(table.name, rows, table.types, query), count=len(rows), inserted=inserted)


def _named(table: Table, columns: Sequence[str]) -> Constraint:
    found = next((each for each in table.constraints if set(each.columns) == set(columns)), None)
    if found is None:
        raise refusals.no_constraint()
    return found


def _texts(row: Mapping[str, Any], types: Mapping[str, SqlType]) -> str:
    return ", ".join("null" if row.get(name) is None else kind.text(row[name]) for name, kind in types.items())


# --- rows as JSON -----------------------------------------------------------------------------------------------------


def _shown(table: str, rows: Iterable[Mapping[str, Any]], types: Mapping[str, SqlType], query: Query) -> list[str]:
    """Give rows as Postgres writes them."""
    reader = Reader(table, types)
    pieces = [piece for column in query.columns for piece in _pieces(column, types, reader)]
    return ["{" + ",".join(f"{name}:{_json(get(row), kind)}" for name, get, kind in pieces) + "}" for row in rows]


_Piece = tuple[str, Callable[[Mapping[str, Any]], Any], SqlType]


def _pieces(column: Column, types: Mapping[str, SqlType], reader: Reader) -> list[_Piece]:
    quoted = sql_type("text").write
    if column.field is None:
        return [(quoted(name), reader.get(Field(name)), kind) for name, kind in types.items()]
    kind, get = reader.type(column.field), reader.get(column.field)
    if column.cast is None:
        return [(quoted(column.name), get, kind)]
    wanted = _cast(column.cast)
    return [(quoted(column.name), lambda row: _converted(get(row), kind, wanted), wanted)]


def _cast(name: str) -> SqlType:
    try:
        return sql_type(name)
    except ValueError:
        raise refusals.SqlError(f'type "{name}" does not exist', code="42704") from None


def _converted(value: Any, kind: SqlType, wanted: SqlType) -> Any:
    return None if value is None else wanted.read(kind.text(value))


def _json(value: Any, kind: SqlType) -> str:
    return "null" if value is None else kind.write(value)
