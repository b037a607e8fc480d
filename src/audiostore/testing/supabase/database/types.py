"""The types of columns: what Postgres takes for a value of each, and how it writes one as JSON."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, cast

from audiostore.testing.supabase.database import refusals

_SAME: Final = {
    "int": "integer",
    "int4": "integer",
    "serial": "integer",
    "int2": "smallint",
    "int8": "bigint",
    "bigserial": "bigint",
    "decimal": "numeric",
    "float8": "double precision",
    "float": "double precision",
    "float4": "real",
    "bool": "boolean",
    "varchar": "text",
    "character varying": "text",
    "citext": "text",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}
_LARGEST: Final = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_TRUE: Final = frozenset({"t", "true", "y", "yes", "on", "1"})
_FALSE: Final = frozenset({"f", "false", "n", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class SqlType:
    """``name`` as Postgres says it in refusals; ``read`` takes text, ``write`` gives JSON."""

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]

    def from_json(self, given: Any) -> Any:
        """Take a value of a JSON body, as ``json_populate_recordset`` does; null is NULL, whatever the type."""
        if given is None:
            return None
        if self.name in {"json", "jsonb"}:
            return _ordered(given) if self.name == "jsonb" else given
        if self.name.endswith("[]") and isinstance(given, list):
            return [_text_of(each) for each in cast("Sequence[Any]", given)]
        return self.read(_text_of(given))

    def text(self, value: Any) -> str:
        """Give *value* as Postgres casts it to text."""
        if self.name in {"json", "jsonb"}:
            return self.write(value)
        if isinstance(value, str):
            return value
        if isinstance(value, datetime):
            return self.write(value).strip('"').replace("T", " ").replace("+00:00", "+00")
        return self.write(value).strip('"')


def sql_type(name: str) -> SqlType:
    """Give the type of this name; raises ``ValueError`` for one that the fake does not know.

    >>> sql_type("int8").name
    'bigint'
    """
    plain = " ".join(name.lower().split())
    if plain.endswith("[]"):
        return SqlType(f"{sql_type(plain[:-2]).name}[]", _read_array, _quoted)
    base, _, sizes = plain.partition("(")
    base = _SAME.get(base.strip(), base.strip())
    if base == "numeric" and sizes:
        return SqlType("numeric", _numeric_to(sizes.rstrip(")")), _write_number)
    if base not in _TYPES:
        raise ValueError(f"the fake has no type {name!r}")
    return _TYPES[base]


def type_of(value: Any) -> SqlType:
    """Give the type for a value in a table whose columns nobody declared."""
    if isinstance(value, bool):
        return sql_type("boolean")
    if isinstance(value, int):
        return sql_type("bigint")
    if isinstance(value, float):
        return sql_type("double precision")
    return sql_type("jsonb" if isinstance(value, dict | list) else "text")


# --- text to value ----------------------------------------------------------------------------------------------------


def _read_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise refusals.bad_syntax("uuid", text) from None


def _whole(kind: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\s*[+-]?\d+\s*", text, re.ASCII):
            raise refusals.bad_syntax(kind, text)
        if not -_LARGEST[kind] - 1 <= int(text) <= _LARGEST[kind]:
            raise refusals.out_of_range(kind, text)
        return int(text)

    return read


def _read_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise refusals.bad_syntax("double precision", text) from None


def _read_numeric(text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise refusals.bad_syntax("numeric", text) from None


def _numeric_to(sizes: str) -> Callable[[str], Decimal]:
    precision, _, scale = sizes.partition(",")
    step, most = Decimal(1).scaleb(-int(scale or 0)), Decimal(10) ** (int(precision) - int(scale or 0))

    def read(text: str) -> Decimal:
        value = _read_numeric(text).quantize(step, rounding="ROUND_HALF_UP")
        if abs(value) >= most:
            raise refusals.SqlError("numeric field overflow", code="22003")
        return value

    return read


def _read_boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise refusals.bad_syntax("boolean", text)


def _read_json(text: str) -> Any:
    try:
        return _ordered(json.loads(text))
    except ValueError:
        raise refusals.SqlError(
            "invalid input syntax for type json", code="22P02", details=f'Token "{text}" is invalid.'
        ) from None


def _moment(kind: str, *, aware: bool) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise refusals.bad_syntax(kind, text, code="22007") from None
        if not aware:
            return moment.replace(tzinfo=None)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)

    return read


def _read_date(text: str) -> date:
    try:
        return datetime.fromisoformat(text.strip()).date()
    except ValueError:
        raise refusals.bad_syntax("date", text, code="22007") from None


def _read_array(text: str) -> list[str | None]:
    """Take ``{a,"b,c",NULL}``; one of one dimension."""
    if not (text.startswith("{") and text.endswith("}")):
        raise refusals.SqlError(f'malformed array literal: "{text}"', code="22P02")
    parts = re.findall(r'\s*("(?:[^"\\]|\\.)*"|[^,"]+)\s*(?:,|$)', text[1:-1])
    return [None if each.upper() == "NULL" else unquoted(each) for each in parts]


def unquoted(text: str) -> str:
    """Give what a word in double quotes stands for.

    >>> unquoted('"a,b"')
    'a,b'
    """
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


# --- value to JSON ----------------------------------------------------------------------------------------------------


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _jsonb(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write_number(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return re.sub(r"\.0$", "", repr(value))


def _write_boolean(value: Any) -> str:
    return "true" if value else "false"


def _write_time(value: date) -> str:
    text = value.isoformat()
    shortest = re.sub(r"(\.\d*?)0+(?=\+|$)", r"\1", text)
    return f'"{shortest}"'


def _ordered(value: Any) -> Any:
    """Put the keys of objects as jsonb keeps them: short ones first."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {name: _ordered(each) for name, each in sorted(items, key=lambda item: (len(item[0].encode()), item[0]))}
    if isinstance(value, list):
        return [_ordered(each) for each in cast("Sequence[Any]", value)]
    return value


def _text_of(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


_TYPES: Final = {
    each.name.replace("timestamp with time zone", "timestamptz").replace(" without time zone", ""): each
    for each in (
        SqlType("text", str, _quoted),
        SqlType("uuid", _read_uuid, _quoted),
        SqlType("smallint", _whole("smallint"), _write_number),
        SqlType("integer", _whole("integer"), _write_number),
        SqlType("bigint", _whole("bigint"), _write_number),
        SqlType("numeric", _read_numeric, _write_number),
        SqlType("real", _read_float, _write_number),
        SqlType("double precision", _read_float, _write_number),
        SqlType("boolean", _read_boolean, _write_boolean),
        SqlType("json", _read_json, _quoted),
        SqlType("jsonb", _read_json, _jsonb),
        SqlType("timestamp with time zone", _moment("timestamp with time zone", aware=True), _write_time),
        SqlType("timestamp without time zone", _moment("timestamp", aware=False), _write_time),
        SqlType("date", _read_date, _write_time),
    )
}
