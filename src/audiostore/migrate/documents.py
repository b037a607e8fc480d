"""The JSON of a project, ``chapters[].sections[]``: which sections name audio, and how to change what they say.

The text is edited, not parsed and written again: whatever is not one of the three fields keeps its bytes, with its
order, its spaces, its escapes, its ``1.10``. What was inserted can be taken out again, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

PATH: Final = "audioPath"
BACKEND: Final = "storageBackend"
UPLOAD: Final = "uploadId"
LOCAL: Final = "local"
"""What a section means that has no ``storageBackend``."""

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()
_NO_LIST: Final = "chapters is not a list"


class Unreadable(Exception):
    """Not the JSON of a project; its text says why. Stays within ``migrate``: the caller reports the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The fields of a section that tell where its audio is; ``None``: not there, null, or no text."""

    path: str
    backend: str | None = None
    upload: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Fields):
    """A section that names audio, with the ids by which the book knows it (``None``: it has none)."""

    chapter: str | int | None
    section: str | int | None


def sections_of(text: str) -> Sequence[Section]:
    """Give the sections that name audio, in their order.

    Raises:
        Unreadable: not the JSON of a project.
    """
    with _told():
        book: object = _DECODER.decode(text)
        if not isinstance(book, dict):
            raise ValueError("not an object")  # noqa: TRY004 - about what is in a text
        return list(_sections(cast("_Object", book)))


def edited(text: str, wanted: Mapping[int, Fields]) -> str:
    """Give *text* with other fields in some sections, by their number among ``sections_of``, and all else as it was.

    Raises as above.
    """
    changes: list[tuple[int, int, str]] = []
    for number, (section, members) in enumerate(_walk(text)):
        if number in wanted:
            changes += _changes(text, section, members, wanted[number])
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


# --- reading ----------------------------------------------------------------------------------------------------------

_Object: TypeAlias = dict[str, Any]


def _sections(book: _Object) -> Iterator[Section]:
    chapters: Any = book.get("chapters")
    if chapters is not None and not isinstance(chapters, list):
        raise ValueError(_NO_LIST)
    for chapter in _objects(chapters):
        number = _id(chapter.get("id"))
        for each in _objects(chapter.get("sections")):
            if (section := _section(number, each.get)) is not None:
                yield section


def _objects(values: Any) -> Iterator[_Object]:
    for each in values if isinstance(values, list) else ():  # pyright: ignore[reportUnknownVariableType]
        if isinstance(each, dict):
            yield cast("_Object", each)


def _section(chapter: str | int | None, get: Callable[[str], Any]) -> Section | None:
    path = _text(get(PATH))
    if path is None:
        return None
    return Section(
        chapter=chapter, section=_id(get("id")), path=path, backend=_text(get(BACKEND)), upload=_text(get(UPLOAD))
    )


def _id(value: Any) -> str | int | None:
    return value if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise Unreadable(reason.lower()) from None


# --- walking, for the places of what is to be changed -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Member:
    """One ``"key": value`` and where it stands; ``before`` is the end of the member in front, ``after`` the next."""

    key: int
    colon: int
    start: int
    end: int
    value: Any
    before: int | None


@dataclass(frozen=True, slots=True)
class _Members:
    by_name: Mapping[str, _Member]
    in_order: Sequence[_Member]

    def value(self, name: str) -> Any:
        return self.by_name[name].value if name in self.by_name else None


_Values = Callable[[int], tuple[Any, int]]


def _walk(text: str) -> Iterator[tuple[Section, _Members]]:
    with _told():
        chapters = _Reader(text).chapters()
    for chapter, members in chapters:
        if (section := _section(chapter, members.value)) is not None:
            yield section, members


class _Reader:
    """Goes down to the sections by hand, as positions matter there, and lets the parser skip everything else."""

    def __init__(self, text: str) -> None:
        self._text = text

    def chapters(self) -> Sequence[tuple[str | int | None, _Members]]:
        """Give each section with the id of its chapter."""
        start = self._blank(0)
        if self._text[start : start + 1] != "{":
            json.loads(self._text)  # says what is wrong with it, if it is no JSON at all
            raise ValueError("not an object")
        project, end = self._object(start, {"chapters": self._list_of(self._chapter)})
        if self._blank(end) != len(self._text):
            raise ValueError("extra data")
        chapters = project.value("chapters")
        if chapters is not None and not isinstance(chapters, _Items):
            raise ValueError(_NO_LIST)
        return [each for chapter in chapters or () for each in chapter]

    def _chapter(self, at: int) -> tuple[Any, int]:
        members, end = self._object(at, {"sections": self._list_of(lambda start: self._object(start, {}))})
        sections = members.value("sections")
        number = _id(members.value("id"))
        return [(number, each) for each in sections] if isinstance(sections, _Items) else [], end

    def _list_of(self, item: _Values) -> _Values:
        """Read a list whose objects are read by *item*, and whose other values do not count; or any other value."""

        def read(at: int) -> tuple[Any, int]:
            if self._text[at] != "[":
                return _DECODER.raw_decode(self._text, at)
            items, at = _Items(), self._blank(at + 1)
            while self._text[at : at + 1] != "]":
                if self._text[at : at + 1] == "{":
                    value, at = item(at)
                    items.append(value)
                else:
                    _, at = _DECODER.raw_decode(self._text, at)
                at = self._next(at, "]")
            return items, at + 1

        return read

    def _object(self, at: int, inner: Mapping[str, _Values]) -> tuple[_Members, int]:
        text, by_name, in_order, before = self._text, dict[str, _Member](), list[_Member](), None
        at = self._blank(at + 1)
        while text[at : at + 1] != "}":
            if text[at : at + 1] != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
            name, key_end = _DECODER.raw_decode(text, at)
            colon = self._blank(key_end)
            if text[colon : colon + 1] != ":":
                raise json.JSONDecodeError("Expecting ':' delimiter", text, colon)
            start = self._blank(colon + 1)
            value, end = (inner[name] if name in inner and start < len(text) else self._any)(start)
            # Of two members with one name, the last one counts, as everywhere.
            by_name[name] = member = _Member(at, key_end, start, end, value, before)
            in_order.append(member)
            before, at = end, self._next(end, "}")
        return _Members(by_name, in_order), at + 1

    def _any(self, at: int) -> tuple[Any, int]:
        return _DECODER.raw_decode(self._text, at)

    def _next(self, at: int, close: str) -> int:
        """Go past the comma, or up to what closes."""
        at = self._blank(at)
        if self._text[at : at + 1] == close:
            return at
        if self._text[at : at + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", self._text, at)
        at = self._blank(at + 1)
        if self._text[at : at + 1] == close:
            raise json.JSONDecodeError("Illegal trailing comma", self._text, at)
        return at

    def _blank(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at


class _Items(list[Any]):
    """A list of ours, which no value of the parser's is."""


# --- editing ----------------------------------------------------------------------------------------------------------


def _changes(text: str, old: Fields, members: _Members, new: Fields) -> Iterator[tuple[int, int, str]]:
    path = members.by_name[PATH]
    added = ""
    if new.path != old.path:
        yield path.start, path.end, _spelled(new.path, text)
    for name, is_now, wanted in ((BACKEND, old.backend, new.backend), (UPLOAD, old.upload, new.upload)):
        member = members.by_name.get(name)
        if wanted == is_now:
            continue
        if member is None and wanted is not None:
            name_too = json.dumps(name) + text[path.colon : path.start]
            added += _separator(text, members, path) + name_too + _spelled(wanted, text)
        elif member is not None and wanted is not None:
            yield member.start, member.end, _spelled(wanted, text)
        elif member is not None:
            yield *_with_comma(members, member, path), ""
    if added:
        yield path.end, path.end, added


def _spelled(value: str, like: str) -> str:
    """Write text as JSON in the manner of the rest: with or without escapes where both are right."""
    written = json.dumps(value, ensure_ascii=like.isascii())
    return written.replace("/", "\\/") if "\\/" in like else written


def _with_comma(members: _Members, member: _Member, path: _Member) -> tuple[int, int]:
    """Give the place of a member and of one comma: the one that is not between it and the path, which stays."""
    if member.before is not None and member.key > path.key:
        return member.before, member.end
    return member.key, members.in_order[members.in_order.index(member) + 1].key


def _separator(text: str, members: _Members, path: _Member) -> str:
    """Give what stands between two members here: a new line and its indentation, a space, or nothing."""
    at = members.in_order.index(path)
    if at + 1 < len(members.in_order):
        return text[path.end : members.in_order[at + 1].key]
    if path.before is not None:
        return text[path.before : path.key]
    return ", " if text[path.colon : path.start].endswith(" ") else ","
