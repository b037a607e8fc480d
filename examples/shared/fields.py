"""What a request says, field by field: parsed once, refused in words that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from examples.shared.problems import Refused

LONGEST = 255
"""Characters of an id or a filename."""


def mapping(body: object) -> Mapping[str, Any]:
    """Give a JSON body's object."""
    if not isinstance(body, Mapping):
        raise Refused(400, "The request's body must be a JSON object.")
    return cast("Mapping[str, Any]", body)


def text(fields: Mapping[str, Any], *names: str, longest: int = LONGEST) -> str | None:
    """Give the first of *names* that is there and not empty; an integer counts as text, as ids do."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise Refused(400, f"{name} must be text.")
        if len(value) > longest or "\0" in value or not _is_unicode(value):
            raise Refused(400, f"{name} is too long, or no text.")
        return value
    return None


def required(fields: Mapping[str, Any], *names: str, longest: int = LONGEST) -> str:
    """Give what ``text`` gives, and insist on it."""
    value = text(fields, *names, longest=longest)
    if value is None:
        raise Refused(400, f"{names[0]} is missing.")
    return value


def whole(fields: Mapping[str, Any], name: str, *, least: int = 0, most: int, default: int | None = None) -> int:
    """Give a whole number, also one that is written in text, as a query's are."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(most)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refused(400, f"{name} must be a whole number from {least} to {most}.")
    return value


def texts(fields: Mapping[str, Any], name: str, *, most: int, longest: int) -> list[str]:
    """Give a list of text, *most* of them."""
    given: object = fields.get(name)
    values = cast("list[object]", given) if isinstance(given, list) else []
    if not 1 <= len(values) <= most:
        raise Refused(400, f"{name} must be a list of 1 to {most}.")
    return [required({name: each}, name, longest=longest) for each in values]


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, which JSON can write and nothing can keep
        return False
    return True
