"""Which rows meet a condition, and in which order they come: SQL's three truths, over rows in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from audiostore.testing.supabase.database import refusals
from audiostore.testing.supabase.database.asking import Condition, Field, Logic, Order, Test
from audiostore.testing.supabase.database.types import SqlType, sql_type

Row = Mapping[str, Any]
Truth = Callable[[Row], bool | None]
"""True, False, or None where SQL says NULL."""

_COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda one, other: one == other,
    "neq": lambda one, other: one != other,
    "gt": lambda one, other: one > other,
    "gte": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "lte": lambda one, other: one <= other,
}


class Reader:
    """Reads fields of one table's rows; raises ``SqlError`` for a column that it has not."""

    def __init__(self, table: str, columns: Mapping[str, SqlType]) -> None:
        self._table = table
        self._columns = columns

    def type(self, field: Field) -> SqlType:
        if field.column not in self._columns:
            raise refusals.no_column(self._table, field.column)
        if field.path:
            return sql_type("text" if field.as_text else "jsonb")
        return self._columns[field.column]

    def get(self, field: Field) -> Callable[[Row], Any]:
        self.type(field)
        if not field.path:
            return lambda row: row.get(field.column)
        return lambda row: _inside(row.get(field.column), field)

    def order(self, wanted: Sequence[Order], rows: list[Row]) -> list[Row]:
        for each in reversed(wanted):
            get = self.get(each.field)
            rows = sorted(rows, key=_sorting(get), reverse=each.descending)
            nulls, others = [row for row in rows if get(row) is None], [row for row in rows if get(row) is not None]
            rows = [*nulls, *others] if each.nulls_first else [*others, *nulls]
        return rows

    def meets(self, tests: Sequence[Test]) -> Callable[[Row], bool]:
        """Give what tells whether a row meets all of *tests*."""
        truths = [self._truth(each) for each in tests]
        return lambda row: all(truth(row) is True for truth in truths)

    def _truth(self, test: Test) -> Truth:
        truth = self._condition(test) if isinstance(test, Condition) else self._logic(test)
        return _not(truth) if test.negated else truth

    def _logic(self, test: Logic) -> Truth:
        parts = [self._truth(each) for each in test.parts]
        joined = _any if test.word == "or" else _all
        return lambda row: joined([part(row) for part in parts])

    def _condition(self, test: Condition) -> Truth:
        kind, get = self.type(test.field), self.get(test.field)
        if test.operator == "is":
            return _is(get, test.operands[0].lower())
        if test.operator in {"cs", "cd", "ov"}:
            return _holding(kind, get, test)
        if test.operator in {"like", "ilike", "match", "imatch"}:
            checks = [_pattern(kind, get, test.operator, each) for each in test.operands]
        elif test.operator == "isdistinct":
            wanted = kind.read(test.operands[0])
            return lambda row: get(row) != wanted
        else:
            compare = _COMPARED["eq" if test.operator == "in" else test.operator]
            checks = [_compared(get, compare, kind.read(each)) for each in test.operands]
        joined = _all if test.quantifier == "all" else _any
        return lambda row: joined([check(row) for check in checks])


def _compared(get: Callable[[Row], Any], compare: Callable[[Any, Any], bool], wanted: Any) -> Truth:
    def truth(row: Row) -> bool | None:
        value = get(row)
        return None if value is None else compare(value, wanted)

    return truth


def _pattern(kind: SqlType, get: Callable[[Row], Any], operator: str, text: str) -> Truth:
    if kind.name not in {"text", "json"}:
        message = f"operator does not exist: {kind.name} ~~ unknown"
        hint = "No operator matches the given name and argument types. You might need to add explicit type casts."
        raise refusals.SqlError(message, code="42883", hint=hint)
    # A star may stand for a percent sign, which would have to be escaped in an address.
    wanted = _like(text.replace("*", "%")) if operator.endswith("like") else text
    flags = re.DOTALL | (re.IGNORECASE if operator.startswith("i") else 0)
    match = re.compile(wanted, flags).fullmatch if operator.endswith("like") else re.compile(wanted, flags).search

    def truth(row: Row) -> bool | None:
        value = get(row)
        return None if value is None else match(kind.text(value)) is not None

    return truth


def _like(pattern: str) -> str:
    r"""Give the regular expression of a LIKE pattern.

    >>> _like(r"a_%\%")
    'a..*%'
    """
    found = re.findall(r"\\.|.", pattern, re.DOTALL)
    return "".join({"%": ".*", "_": "."}.get(each) or re.escape(each[-1]) for each in found)


def _is(get: Callable[[Row], Any], word: str) -> Truth:
    if word == "not_null":
        return lambda row: get(row) is not None
    wanted = {"true": True, "false": False}.get(word)
    return lambda row: get(row) is wanted


def _holding(kind: SqlType, get: Callable[[Row], Any], test: Condition) -> Truth:
    if kind.name != "jsonb" and not kind.name.endswith("[]"):
        raise refusals.not_in_the_fake(f"{test.operator} on a column of type {kind.name}")
    wanted = kind.read(test.operands[0])

    def truth(row: Row) -> bool | None:
        value = get(row)
        if value is None:
            return None
        if test.operator == "cs":
            return _holds(value, wanted)
        if test.operator == "cd":
            return _holds(wanted, value)
        return any(each in value for each in wanted)

    return truth


def _holds(value: Any, part: Any) -> bool:
    """Tell whether JSON *value* contains *part*, by jsonb's rules."""
    if isinstance(part, dict):
        items = cast("dict[str, Any]", part).items()
        return isinstance(value, dict) and all(name in value and _holds(value[name], each) for name, each in items)
    if isinstance(part, list):
        parts = cast("Sequence[Any]", part)
        return isinstance(value, list) and all(
            any(_holds(have, each) for have in cast("Sequence[Any]", value)) for each in parts
        )
    if isinstance(value, list):
        return part in value
    return type(value) is type(part) and value == part


def _inside(value: Any, field: Field) -> Any:
    for step in field.path:
        if isinstance(value, dict) and isinstance(step, str):
            value = cast("dict[str, Any]", value).get(step)
        elif isinstance(value, list) and isinstance(step, int):
            found = cast("Sequence[Any]", value)
            value = found[step] if -len(found) <= step < len(found) else None
        else:
            return None
    if value is None or not field.as_text or isinstance(value, str):
        return value
    return sql_type("jsonb").write(value)


def _sorting(get: Callable[[Row], Any]) -> Callable[[Row], Any]:
    def key(row: Row) -> tuple[bool, Any]:
        value = get(row)
        if isinstance(value, dict | list):
            value = sql_type("jsonb").write(cast("Any", value))
        return (value is None, 0 if value is None else value)

    return key


# --- SQL's three truths -----------------------------------------------------------------------------------------------


def _not(truth: Truth) -> Truth:
    def negated(row: Row) -> bool | None:
        value = truth(row)
        return None if value is None else not value

    return negated


def _all(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def _any(values: list[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False
