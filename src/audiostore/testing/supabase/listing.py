"""Routes that list: v1 shows a folder, v2 a prefix, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from audiostore.testing.supabase import refusals, schema
from audiostore.testing.supabase.authority import actor_of
from audiostore.testing.supabase.model import Project, StoredObject, file_facts, stamp
from audiostore.testing.supabase.wire import Request, Response, answer

_MOST_V1: Final = 1500
_MOST_V2: Final = 1000
_COLUMNS: Final = ("name", "created_at", "updated_at", "last_accessed_at")
_COLUMNS_V2: Final = ("name", "created_at", "updated_at")
_FOLDER: Final[dict[str, Any]] = dict.fromkeys(("id", "updated_at", "created_at", "last_accessed_at", "metadata"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A line of a listing: ``name`` is below the prefix, ``full`` from the bucket; a folder has no object."""

    name: str
    full: str
    stored: StoredObject | None = None

    def moment(self, column: str) -> str:
        if self.stored is None:
            return ""
        return stamp(self.stored.updated_at if column == "updated_at" else self.stored.created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    column: str = "name"
    descending: bool = False

    def sort(self, entries: list[_Entry], spelled: Callable[[str], str]) -> list[_Entry]:
        # A folder stands where its slash puts it: "a b" comes before "a/".
        named = sorted(
            entries, key=lambda each: spelled(each.name + ("" if each.stored else "/")), reverse=self.descending
        )
        if self.column == "name":
            return _dropped(named) if self.descending else named
        timed = [each for each in named if each.stored]
        timed.sort(key=lambda each: each.moment(self.column), reverse=self.descending)
        return [each for each in named if not each.stored] + timed


def _dropped(entries: list[_Entry]) -> list[_Entry]:
    """Leave out each folder that follows a file: read backwards, the real server skips it."""
    pairs = zip([None, *entries], entries, strict=False)
    return [each for before, each in pairs if each.stored or before is None or not before.stored]


def _order(body: dict[str, Any], columns: tuple[str, ...]) -> _Order | None:
    given: object = body.get("sortBy")
    if not isinstance(given, dict):
        return None
    sort_by = cast("dict[str, Any]", given)
    column = schema.one_of(sort_by, "sortBy", "column", columns, "name")
    order = schema.one_of(sort_by, "sortBy", "order", ("asc", "desc"), "asc")
    return _Order(column=column, descending=order == "desc")


# --- v1 ---------------------------------------------------------------------------------------------------------------


def list_v1(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    body = schema.json_body(request)
    schema.require(body, "prefix")
    limit = schema.integer(body, "limit", default=100, least=1)
    offset = schema.integer(body, "offset", default=0, least=0)
    order = _order(body, _COLUMNS) or _Order()
    folder = schema.text(body, "prefix")
    folder += "/" if folder and not folder.endswith("/") else ""
    search = schema.text(body, "search").lower()
    with project.lock:
        seen = [
            each
            for (bucket, name), each in project.objects.items()
            if bucket == names["bucket"] and name.startswith(folder) and project.may(actor, "select", bucket, name)
        ]
    entries = [each for each in _folded(seen, folder) if each.name.lower().startswith(search)]
    ordered = order.sort(entries, str.lower)
    return answer([_line_v1(each) for each in ordered[offset : offset + min(limit, _MOST_V1)]])


def _folded(seen: list[StoredObject], prefix: str) -> list[_Entry]:
    """Give what stands right below *prefix*: objects, and one line per folder."""
    entries: dict[str, _Entry] = {}
    for each in seen:
        below, slash, _ = each.name.removeprefix(prefix).partition("/")
        if slash:
            entries[below + slash] = _Entry(name=below, full=f"{prefix}{below}/")
        else:
            entries[below] = _Entry(name=below, full=each.name, stored=each)
    return list(entries.values())


def _line_v1(entry: _Entry) -> dict[str, Any]:
    return {"name": entry.name, **(_row(entry.stored) if entry.stored else _FOLDER)}


def _row(stored: StoredObject) -> dict[str, Any]:
    return {
        "id": stored.id,
        "updated_at": stamp(stored.updated_at),
        "created_at": stamp(stored.created_at),
        "last_accessed_at": stamp(stored.created_at),
        "metadata": file_facts(stored),
    }


# --- v2 ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cursor:
    """Where the page before ended. It carries the order, once one was told or a second page was asked for."""

    last: str
    order: _Order = _Order()
    after: str = ""

    @classmethod
    def read(cls, token: str) -> _Cursor:
        try:
            lines = base64.b64decode(token, validate=True).decode().split("\n")
        except (binascii.Error, UnicodeDecodeError):
            raise refusals.invalid_cursor() from None
        parts = {name: value for name, _, value in (line.partition(":") for line in lines)}
        if not parts.get("l"):
            raise refusals.invalid_cursor()
        order = _Order(column=parts.get("c", "name"), descending=parts.get("o") == "desc")
        return cls(last=parts["l"], order=order, after=parts.get("a", ""))

    def past(self, entry: _Entry) -> bool:
        """Does *entry* come after it?"""
        if self.order.column == "name":
            return entry.full < self.last if self.order.descending else entry.full > self.last
        mark = (entry.moment(self.order.column), entry.full)
        return mark < (self.after, self.last) if self.order.descending else mark > (self.after, self.last)


def list_v2(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    body = schema.json_body(request)
    limit = min(schema.integer(body, "limit", default=1000, least=1), _MOST_V2)
    told, prefix, delimited = _order(body, _COLUMNS_V2), schema.text(body, "prefix"), bool(body.get("with_delimiter"))
    cursor = _Cursor.read(str(body["cursor"])) if body.get("cursor") else None
    order = told or (cursor.order if cursor else _Order())
    with project.lock:
        seen = [
            each
            for (bucket, name), each in project.objects.items()
            if bucket == names["bucket"] and name.startswith(prefix) and project.may(actor, "select", bucket, name)
        ]
    entries = (
        _grouped(seen, prefix) if delimited else [_Entry(name=each.name, full=each.name, stored=each) for each in seen]
    )
    ordered = order.sort(entries, str)
    left = [each for each in ordered if cursor is None or cursor.past(each)]
    page = left[:limit]
    facts: dict[str, Any] = {"hasNext": len(left) > limit}
    if facts["hasNext"]:
        facts |= _next(page[-1], order, told=told is not None, again=cursor is not None)
    facts["folders"] = [{"key": each.name, "name": each.full, **_FOLDER} for each in page if not each.stored]
    facts["objects"] = [_line_v2(each.stored, each.name, delimited=delimited) for each in page if each.stored]
    return answer(facts)


def _grouped(seen: list[StoredObject], prefix: str) -> list[_Entry]:
    """Fold at the first slash after *prefix*, which may itself end within a name."""
    folder = prefix[: prefix.rfind("/") + 1]
    entries: dict[str, _Entry] = {}
    for each in seen:
        at = each.name.find("/", len(prefix))
        full = each.name if at < 0 else each.name[: at + 1]
        name = full.removeprefix(folder).removesuffix("/")
        entries[full] = _Entry(name=name, full=full, stored=each if at < 0 else None)
    return list(entries.values())


def _next(last: _Entry, order: _Order, *, told: bool, again: bool) -> dict[str, str]:
    lines = [f"l:{last.full}"]
    if told or again:
        lines.append("o:desc" if order.descending else "o:asc")
    if told or order.column != "name":
        lines.append(f"c:{order.column}")
    if order.column != "name" and last.stored:
        lines.append(f"a:{last.moment(order.column)}")
    token = base64.b64encode("\n".join(lines).encode()).decode()
    return {"nextCursor": token, "nextCursorKey": last.full}


def _line_v2(stored: StoredObject, name: str, *, delimited: bool) -> dict[str, Any]:
    return ({"key": name} if delimited else {}) | {"name": stored.name, **_row(stored)}
