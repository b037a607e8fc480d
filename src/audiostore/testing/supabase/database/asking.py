"""What a query string asks for: columns, conditions, order, and how many rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import parse_qsl

from audiostore.testing.supabase.database import refusals
from audiostore.testing.supabase.database.types import unquoted

_COMPARING: Final = ("eq", "neq", "gt", "gte", "lt", "lte", "isdistinct")
_MATCHING: Final = ("like", "ilike", "match", "imatch")
_HOLDING: Final = ("cs", "cd", "ov")
_OPERATORS: Final = frozenset({*_COMPARING, *_MATCHING, *_HOLDING, "in", "is"})
_NOT_HERE: Final = frozenset({"fts", "plfts", "phfts", "wfts", "sl", "sr", "nxl", "nxr", "adj"})
_IS: Final = frozenset({"null", "not_null", "true", "false", "unknown"})
_RESERVED: Final = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict"})
_LOGIC: Final = frozenset({"and", "or", "not.and", "not.or"})
_EXPECTING: Final = 'expecting "not" or operator (eq, gt, ...)'
_STEP: Final = re.compile(r"(->>?)([^-]+|\"(?:[^\"\\]|\\.)*\")")
_QUANTIFIED: Final = re.compile(r"(\w+)\((any|all)\)")


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or what a path into its JSON leads to; ``as_text`` is ``->>`` at the end."""

    column: str
    path: tuple[str | int, ...] = ()
    as_text: bool = False

    @property
    def name(self) -> str:
        """What the result calls it."""
        names = [each for each in self.path if isinstance(each, str)]
        return names[-1] if names else self.column


@dataclass(frozen=True, slots=True)
class Condition:
    """``operands`` are several for ``in`` and for ``any`` and ``all``, else one."""

    field: Field
    operator: str
    operands: tuple[str, ...]
    quantifier: Literal["any", "all"] | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Logic:
    word: Literal["and", "or"]
    parts: tuple[Condition | Logic, ...]
    negated: bool = False


Test = Condition | Logic


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result; ``field`` None stands for all."""

    field: Field | None
    name: str = "*"
    cast: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    field: Field
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    columns: tuple[Column, ...] = (Column(None),)
    tests: tuple[Test, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


def query_of(text: str, *, arguments: frozenset[str] = frozenset()) -> Query:
    """Parse a query string; *arguments* are names in it that are none of the query's."""
    query = Query()
    for name, value in pairs_of(text):
        if name == "select":
            query = replace(query, columns=tuple(_columns(value)) or query.columns)
        elif name == "order":
            query = replace(query, order=tuple(_orders(value)))
        elif name == "limit":
            query = replace(query, limit=_number(value))
        elif name == "offset":
            query = replace(query, offset=_number(value))
        elif name not in _RESERVED and name not in arguments:
            query = replace(query, tests=(*query.tests, _test(name, value)))
    return query


def pairs_of(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def names_in(text: str) -> list[str]:
    """Give the names of a list: ``a,"b,c"``."""
    return [unquoted(each) for each in _split(text)]


def _number(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        raise refusals.unparsed("limit or offset", text, "expecting digit")
    if int(text) < 0:
        raise refusals.negative_limit()
    return int(text)


# --- columns and order ------------------------------------------------------------------------------------------------


def _columns(text: str) -> Iterator[Column]:
    for each in _split(text):
        if each == "*":
            yield Column(None)
            continue
        if "(" in each and not each.startswith('"'):
            raise refusals.not_in_the_fake("embedded tables and aggregates")
        alias, field_text = re.fullmatch(r"(?:(\"[^\"]+\"|[^:\"]+):(?!:))?(.*)", each, re.DOTALL).groups()  # type: ignore[union-attr]
        field_text, _, cast = field_text.partition("::")
        field = field_of(field_text)
        yield Column(field, unquoted(alias) if alias else field.name, cast or None)


def _orders(text: str) -> Iterator[Order]:
    for each in _split(text):
        name, *words = _outside_quotes(each, ".")
        if not set(words) <= {"asc", "desc", "nullsfirst", "nullslast"}:
            raise refusals.unparsed("order", text, "expecting asc, desc, nullsfirst or nullslast")
        descending = "desc" in words
        first = "nullsfirst" in words or (descending and "nullslast" not in words)
        yield Order(field_of(name), descending, first)


def field_of(text: str) -> Field:
    """Parse ``column``, or a path into JSON.

    >>> field_of("data->chapters->0->>title")
    Field(column='data', path=('chapters', 0, 'title'), as_text=True)
    """
    column, arrow, rest = text.partition("->")
    if not column:
        raise refusals.unparsed("field", text, "expecting field name (* or [a..z0..9_$])")
    steps = _STEP.findall(arrow + rest)
    path = tuple(int(key) if re.fullmatch(r"-?\d+", key) else unquoted(key) for _, key in steps)
    return Field(unquoted(column), path, bool(steps) and steps[-1][0] == "->>")


# --- conditions -------------------------------------------------------------------------------------------------------


def _test(name: str, value: str) -> Test:
    if name in _LOGIC:
        return _logic(name, value)
    if "." in name and not name.startswith('"'):
        raise refusals.not_in_the_fake("filters on embedded tables")
    return _condition(name, value)


def _logic(name: str, value: str) -> Logic:
    if not (value.startswith("(") and value.endswith(")")):
        raise refusals.unparsed("logic tree", value, 'expecting "("')
    negated, word = name.startswith("not."), name.removeprefix("not.")
    parts = tuple(_part(each) for each in _split(value[1:-1]))
    return Logic("or" if word == "or" else "and", parts, negated)


def _part(text: str) -> Test:
    nested = re.match(r"((?:not\.)?(?:and|or))(\(.*\))$", text, re.DOTALL)
    if nested:
        return _logic(nested[1], nested[2])
    name, *rest = _outside_quotes(text, ".")
    return _condition(name, ".".join(rest))


def _condition(name: str, value: str) -> Condition:
    negated, rest = value.startswith("not."), value.removeprefix("not.")
    operator, dot, operand = rest.partition(".")
    quantified = _QUANTIFIED.fullmatch(operator)
    quantifier: Literal["any", "all"] | None = None
    if quantified:
        operator, quantifier = quantified[1], "any" if quantified[2] == "any" else "all"
    if operator.partition("(")[0] in _NOT_HERE:
        raise refusals.not_in_the_fake(f"the operator {operator}")
    if not dot or operator not in _OPERATORS or (quantifier and operator not in {*_COMPARING[:6], *_MATCHING}):
        raise refusals.unparsed("filter", value, f'unexpected "{value[:1]}" {_EXPECTING}')
    return Condition(field_of(name), operator, _operands(operator, operand, quantifier), quantifier, negated)


def _operands(operator: str, text: str, quantifier: str | None) -> tuple[str, ...]:
    if operator == "in":
        if not (text.startswith("(") and text.endswith(")")):
            raise refusals.unparsed("filter", f"in.{text}", 'expecting "("')
        return tuple(unquoted(each) for each in _split(text[1:-1]))
    if operator == "is" and text.lower() not in _IS:
        raise refusals.unparsed("filter", f"is.{text}", "expecting null or trilean value (unknown, true, false)")
    if quantifier:
        return tuple(unquoted(each) for each in _split(text[1:-1]))
    return (unquoted(text),)


# --- words ------------------------------------------------------------------------------------------------------------


def _split(text: str) -> list[str]:
    """Take a list apart at its commas, those in quotes and brackets excepted."""
    return [each for each in _outside_quotes(text, ",", nesting=True) if each]


def _outside_quotes(text: str, separator: str, *, nesting: bool = False) -> Sequence[str]:
    parts: list[str] = []
    current, depth, quoted, escaped = "", 0, False, False
    for letter in text:
        if escaped or (quoted and letter == "\\"):
            escaped = not escaped
        elif letter == '"':
            quoted = not quoted
        elif nesting and not quoted and letter in "({[":
            depth += 1
        elif nesting and not quoted and letter in ")}]":
            depth -= 1
        if letter == separator and not quoted and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [*parts, current]
