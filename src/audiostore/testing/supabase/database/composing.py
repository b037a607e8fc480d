"""SQL for what a query string asks, as PostgREST writes it: names quoted, values apart."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from audiostore.testing.supabase.database import refusals
from audiostore.testing.supabase.database.asking import Column, Condition, Field, Order, Query, Test

_OPERATORS: Final = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "isdistinct": "is distinct from",
}
_TYPE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]*(\(\d+(,\d+)?\))?(\[\])?")


class Composer:
    """Writes pieces of one statement about *table*; ``values`` fill its placeholders, in their order."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self._sql: Any = importlib.import_module("psycopg.sql")
        self._table = table
        self._columns = columns
        self.values: list[Any] = []

    def text(self, written: str, **pieces: Any) -> Any:
        return self._sql.SQL(written).format(**pieces)

    def name(self, *parts: str) -> Any:
        return self._sql.Identifier(*parts)

    @property
    def table(self) -> Any:
        return self.name(self._table)

    def names(self, names: Sequence[str], *, of: str | None = None) -> Any:
        return self.joined([self.name(each) if of is None else self.name(of, each) for each in names])

    def joined(self, pieces: Sequence[Any]) -> Any:
        return self._sql.SQL(", ").join(pieces)

    def column(self, name: str) -> Any:
        return self.name(self._table, name)

    def value(self, value: Any) -> Any:
        """Keep a value, and give what stands for it: text without a type, which the database finds by itself."""
        self.values.append(value)
        return self._sql.Placeholder()

    # --- pieces of a query --------------------------------------------------------------------------------------------

    def shown(self, columns: Sequence[Column]) -> Any:
        pieces: list[Any] = []
        for each in columns:
            if each.field is None:
                pieces += [self._as(self.column(one), one) for one in self._columns]
            else:
                field = self._field(each.field)
                if each.cast is not None:
                    field = self.text("cast({field} as {kind})", field=field, kind=self._kind(each.cast))
                pieces.append(self._as(field, each.name))
        return self._sql.SQL(", ").join(pieces)

    def where(self, tests: Sequence[Test]) -> Any:
        if not tests:
            return self.text("")
        return self.text(" where {tests}", tests=self._sql.SQL(" and ").join([self._test(each) for each in tests]))

    def order(self, order: Sequence[Order]) -> Any:
        if not order:
            return self.text("")
        pieces = [
            self.text(
                "{field}"
                + (" desc" if each.descending else " asc")
                + (" nulls first" if each.nulls_first else " nulls last"),
                field=self._field(each.field),
            )
            for each in order
        ]
        return self.text(" order by {order}", order=self._sql.SQL(", ").join(pieces))

    def page(self, query: Query) -> Any:
        limit = "all" if query.limit is None else str(query.limit)
        return self._sql.SQL(f" limit {limit} offset {query.offset}")

    def record(self, source: str, columns: Mapping[str, str], body: str) -> Any:
        """Give rows out of a JSON *body*; the columns' types are the database's own words."""
        typed = [
            self.text("{name} {kind}", name=self.name(name), kind=self._sql.SQL(kind)) for name, kind in columns.items()
        ]
        listed = self._sql.SQL(", ").join(typed)
        return self.text(source + "({body}::json) as given({listed})", body=self.value(body), listed=listed)

    # --- pieces of those ----------------------------------------------------------------------------------------------

    def _as(self, piece: Any, name: str) -> Any:
        return self.text("{piece} as {name}", piece=piece, name=self.name(name))

    def _field(self, field: Field) -> Any:
        if not field.path:
            return self.column(field.column)
        piece = self.text("to_jsonb({column})", column=self.column(field.column))
        for at, step in enumerate(field.path):
            arrow = "->>" if field.as_text and at == len(field.path) - 1 else "->"
            key = self._sql.SQL(str(step)) if isinstance(step, int) else self._sql.Literal(step.replace("%", "%%"))
            piece = self.text("{piece}" + arrow + "{key}", piece=piece, key=key)
        return piece

    def _kind(self, name: str) -> Any:
        if not _TYPE.fullmatch(name):
            raise refusals.unparsed("select parameter", name, "unexpected cast")
        return self._sql.SQL(name)

    def _test(self, test: Test) -> Any:
        if isinstance(test, Condition):
            piece = self._condition(test)
        else:
            parts = [self._test(each) for each in test.parts]
            piece = self.text("({parts})", parts=self._sql.SQL(f" {test.word} ").join(parts))
        return self.text("not ({piece})", piece=piece) if test.negated else piece

    def _condition(self, test: Condition) -> Any:
        field = self._field(test.field)
        if test.operator == "is":
            word = test.operands[0].lower().replace("_", " ")
            return self.text("{field} is " + word, field=field)
        operands = [each.replace("*", "%") if test.operator.endswith("like") else each for each in test.operands]
        if test.operator == "in":
            return self.text("{field} = any({values})", field=field, values=self.value(_array(operands)))
        operator = _OPERATORS[test.operator]
        if test.quantifier is not None:
            many = self.value(_array(operands))
            return self.text(f"{{field}} {operator} {test.quantifier}({{values}})", field=field, values=many)
        return self.text(f"{{field}} {operator} {{value}}", field=field, value=self.value(operands[0]))


def _array(values: Sequence[str]) -> str:
    quoted = ['"' + each.replace("\\", "\\\\").replace('"', '\\"') + '"' for each in values]
    return "{" + ",".join(quoted) + "}"
