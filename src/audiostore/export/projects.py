"""A project as apps keep it, JSON that any browser may have sent, parsed once: lenient in form, strict in types."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from audiostore.errors import InvalidBook
from audiostore.export.sections import BookChapter, BookSection

MAX_JSON = 32 * 1024 * 1024
"""Bytes of a project as text."""
MAX_CHAPTERS = 10_000
MAX_SECTIONS = 100_000
"""Of all chapters together."""
MAX_NAME = 1_000
MAX_PATH = 4_096
MAX_TEXT = 2_000_000
"""Characters of names, of paths and ids, and of the text of one section."""


def parse_project(project: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    """Give the facts of a book as ``Book`` takes them; *project* is JSON text, or what it was parsed to.

    A row of a projects table is understood as well: its ``project_data`` is the project.

    Raises:
        InvalidBook: not JSON, not of this form, or too large.

    """
    given = _mapping(_parsed(project) if isinstance(project, str | bytes) else project, "")
    data = given
    if "chapters" not in given and given.get("project_data") is not None:
        inner = given["project_data"]
        data = _mapping(_parsed(inner) if isinstance(inner, str | bytes) else inner, "project_data")
    return {
        "project": _id(data, "", "projectId", "project_id") or _id(given, "", "id"),
        "title": _text(data, "", MAX_NAME, "title", "name", "projectName"),
        "author": _text(data, "", MAX_NAME, "author"),
        "narrator": _text(data, "", MAX_NAME, "narrator"),
        "language": _text(data, "", MAX_NAME, "language"),
        "chapters": tuple(_chapters(data)),
    }


def _parsed(text: str | bytes) -> Any:
    if len(text) > MAX_JSON:
        raise InvalidBook("", f"more than {MAX_JSON} bytes of JSON")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidBook("", "not JSON") from error


def _chapters(data: Mapping[str, Any]) -> Iterator[BookChapter]:
    room = MAX_SECTIONS
    for number, chapter in enumerate(_list(data, "", "chapters", MAX_CHAPTERS)):
        where = f"chapters[{number}]"
        given = _mapping(chapter, where)
        sections = _list(given, where, "sections", room)
        room -= len(sections)
        yield BookChapter(
            id=_id(given, where, "id"),
            name=_text(given, where, MAX_NAME, "name", "title"),
            sections=tuple(_section(each, f"{where}.sections[{index}]") for index, each in enumerate(sections)),
        )


def _section(section: object, where: str) -> BookSection:
    given = _mapping(section, where)
    return BookSection(
        id=_id(given, where, "id"),
        name=_text(given, where, MAX_NAME, "name", "title"),
        text=_text(given, where, MAX_TEXT, "text"),
        path=_text(given, where, MAX_PATH, "audioPath") or None,
        backend=_text(given, where, MAX_NAME, "storageBackend").lower() or None,
        upload_id=_id(given, where, "uploadId"),
        status=_text(given, where, MAX_NAME, "status") or None,
    )


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidBook(where, f"an object is wanted, not {_kind(value)}")
    return cast("Mapping[str, Any]", value)


def _list(given: Mapping[str, Any], where: str, name: str, most: int) -> Sequence[object]:
    value = given.get(name)
    if value is None:
        return ()
    place = f"{where}.{name}".lstrip(".")
    if not isinstance(value, list | tuple):
        raise InvalidBook(place, f"a list is wanted, not {_kind(value)}")
    if len(cast("Sequence[object]", value)) > most:
        raise InvalidBook(place, "too many")
    return cast("Sequence[object]", value)


def _text(given: Mapping[str, Any], where: str, most: int, *names: str) -> str:
    """Give the first of *names* that is there. Numbers are understood, for people call chapters ``1``."""
    for name in names:
        value = given.get(name)
        if value is None or value == "":
            continue
        place = f"{where}.{name}".lstrip(".")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidBook(place, f"text is wanted, not {_kind(value)}")
        text = value if isinstance(value, str) else _written(value, place)
        if len(text) > most:
            raise InvalidBook(place, f"longer than {most} characters")
        # JSON can hold halves of characters, and files can't.
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return ""


def _id(given: Mapping[str, Any], where: str, *names: str) -> str | None:
    return _text(given, where, MAX_PATH, *names) or None


def _written(number: float, place: str) -> str:
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidBook(place, "not a number")
    try:
        return json.dumps(number)
    except ValueError as error:  # thousands of digits
        raise InvalidBook(place, "too long a number") from error


def _kind(value: object) -> str:
    names = {"dict": "an object", "list": "a list", "str": "text", "bool": "true or false", "NoneType": "null"}
    return names.get(type(value).__name__, "a number" if isinstance(value, int | float) else type(value).__name__)
