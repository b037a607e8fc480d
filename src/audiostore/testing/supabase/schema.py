"""Checks of JSON bodies, with the words of the validator that stands before the real routes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, cast

from audiostore.testing.supabase import refusals
from audiostore.testing.supabase.wire import Request

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([gG][bB]|[mM][bB]|[kK][bB]|[bB])")
_UNITS: Final = {"gb": 10**9, "mb": 10**6, "kb": 10**3, "b": 1}
_BAD_SIZE: Final = (
    "body/file_size_limit must be integer, "
    'body/file_size_limit must pass "finite" keyword validation, '
    "body/file_size_limit must match pattern "
    '"^[0-9]+(?:\\.[0-9]+)?(?:[gG][bB]|[mM][bB]|[kK][bB]|[bB])$", '
    "body/file_size_limit must match a schema in anyOf"
)


def json_body(request: Request) -> dict[str, Any]:
    try:
        content: object = json.loads(request.body.read() or b"{}")
    except ValueError:
        raise refusals.invalid("Body is not valid JSON but content-type is set to 'application/json'") from None
    if not isinstance(content, dict):
        raise refusals.invalid("body must be object")
    return cast("dict[str, Any]", content)


def require(body: dict[str, Any], *names: str) -> None:
    for name in names:
        if name not in body:
            raise refusals.missing("body", name)


def text(body: dict[str, Any], name: str, default: str = "") -> str:
    given = body.get(name)
    return default if given is None else str(given)


def integer(body: dict[str, Any], name: str, *, default: int, least: int) -> int:
    """Take a number, or a number's spelling: the validator turns the one into the other."""
    given: object = body.get(name, default)
    try:
        number = float(given) if isinstance(given, str | int | float) else None
    except ValueError:
        number = None
    if number is None or number != int(number):
        raise refusals.invalid(f"body/{name} must be integer")
    if number < least:
        raise refusals.invalid(f"body/{name} must be >= {least}")
    return int(number)


def texts(body: dict[str, Any], name: str) -> list[str]:
    """Take a list of at least one; a single word is taken for a list of it."""
    require(body, name)
    given: object = body[name]
    listed = cast("Sequence[Any]", given) if isinstance(given, list) else [given]
    if not listed:
        raise refusals.invalid(f"body/{name} must NOT have fewer than 1 items")
    return [str(each) for each in listed]


def one_of(body: dict[str, Any], where: str, name: str, allowed: Sequence[str], default: str) -> str:
    given = str(body.get(name) or default)
    if given not in allowed:
        raise refusals.invalid(f"body/{where}/{name} must be equal to one of the allowed values")
    return given


def size(given: object) -> int | None:
    """Take bytes, "20MB" (decimal) or None."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    match = _SIZE.fullmatch(str(given))
    if match:
        return int(float(match[1]) * _UNITS[match[2].lower()])
    if str(given).isdecimal():
        return int(str(given))
    raise refusals.invalid(_BAD_SIZE)
