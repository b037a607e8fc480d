"""audiostore's functions and records in a fake's database: ``MemoryCatalog`` behind the names, and no second ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.postgres import codec
from audiostore.catalogs.postgres.schema import shipped
from audiostore.errors import QuotaExceeded
from audiostore.migrate.journals.memory import MemoryJournal
from audiostore.migrate.journals.wire import answer
from audiostore.models import AudioFile, Limits, Usage
from audiostore.protocols import Request, Written
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.database.refusals import SqlError, not_permitted
from audiostore.testing.supabase.database.tables import Table, View
from audiostore.testing.supabase.database.types import sql_type
from audiostore.testing.supabase.model import Project

_MIB: Final = 1024 * 1024
PREFIX: Final = codec.PREFIX
NEW_OWNERS: Final = Limits(total=500 * _MIB, per_file=50 * _MIB)
"""What a new database allows everyone."""

_LARGEST: Final = 2**31 - 1
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,8}")
_RECORD: Final = (
    "id:uuid user_id:uuid project_id:text filename:text file_size_mb:numeric storage_path:text chapter_id:integer "
    "section_id:integer upload_status:text created_at:timestamptz updated_at:timestamptz owner:text chapter:text "
    "section:text backend:text size:bigint sha256:text content_type:text duration:float8 metadata:jsonb visible:boolean"
)
_USAGE: Final = (
    "owner:text used:bigint reserved:bigint files:bigint quota:bigint storage_used_mb:numeric storage_quota_mb:integer"
)


class NumberedCatalog(MemoryCatalog):
    """A catalog with numbers of its own, as the database has: what a caller sends can only tighten them."""

    def __init__(self, numbers: Limits | None, *, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self._numbers = numbers

    def reserve(self, request: Request) -> Any:
        return super().reserve(replace(request, limits=self._under(request.limits)))

    def commit(self, reservation: str, written: Written, *, limits: Limits | None, only_over: Any = None) -> Any:
        return super().commit(reservation, written, limits=self._under(limits), only_over=only_over)

    def usage(self, owner: str, limits: Limits | None) -> Usage:
        return super().usage(owner, self._under(limits))

    def plan(self, owner: str) -> Limits | None:
        return self._numbers

    def _under(self, limits: Limits | None) -> Limits | None:
        if self._numbers is None or limits is None:
            return self._numbers or limits
        return limits & self._numbers


def install(project: Project, numbers: Limits | None, define: Callable[[str, Callable[..., Any]], None]) -> None:
    """Put audiostore's functions and relations into *project*; *define* makes a function of the server's key."""
    catalog = NumberedCatalog(numbers, clock=_clock(project))
    for method in codec.METHODS:
        define(f"{PREFIX}{method}", _door(catalog, method))
    define(f"{PREFIX}{codec.SCHEMA}", _schema)
    define(f"{PREFIX}{codec.SWAP_DOCUMENT}", _swapping(project))
    journal = MemoryJournal(clock=_clock(project))
    for method in codec.JOURNAL:
        define(f"{PREFIX}{method}", _noting(journal, method.removeprefix("migration_")))
    project.tables.show(_records(project, catalog), _usage(catalog))


def _schema(request: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = {"version": shipped()[-1].version, "bucket": None, "watches_objects": False}
    return {"status": "ok", "result": facts}


def _swapping(project: Project) -> Callable[..., Any]:
    def swap(request: Mapping[str, Any]) -> Mapping[str, Any]:
        table = project.tables.relation((request["schema"], request["table"]))
        identity, data, stamp = (request[name] for name in ("id_column", "data_column", "updated_column"))
        missing = {identity, data, stamp or data} - set(table.types)
        if missing or not isinstance(table, Table):
            raise SqlError(f"there is no column {', '.join(missing)} in {table.name}", code="42703")
        wanted = table.types[identity].read(request["id"])
        for at, row in enumerate(table.rows):
            text = None if row[data] is None else table.types[data].text(row[data])
            if row[identity] == wanted and text is not None and sha256(text.encode()).hexdigest() == request["seen"]:
                stamped = {} if stamp is None else {stamp: table.types[stamp].read(request["updated"])}
                table.put(at, {**row, data: table.types[data].read(request["data"]), **stamped})
                return {"status": "ok", "result": True}
        return {"status": "ok", "result": False}

    return swap


def _noting(journal: MemoryJournal, method: str) -> Callable[..., Any]:
    def note(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return answer(journal, method, request)

    return note


def _clock(project: Project) -> Callable[[], float]:
    def clock() -> float:
        return project.now.timestamp()

    return clock


def _door(catalog: MemoryCatalog, method: str) -> Callable[..., Any]:
    def door(request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return codec.answer(catalog, method, request)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SqlError(str(error), code="22023") from None

    return door


def _view(name: str, columns: str, rows: Callable[[Actor], Sequence[Mapping[str, Any]]]) -> View:
    pairs = (each.split(":") for each in columns.split())
    return View("public", name, {column: sql_type(kind) for column, kind in pairs}, rows)


# --- records ----------------------------------------------------------------------------------------------------------


def _records(project: Project, catalog: MemoryCatalog) -> View:
    def rows(actor: Actor) -> Sequence[Mapping[str, Any]]:
        if actor.role == "anon":
            raise not_permitted("table", "file_uploads")
        owner = None if actor.role == "service_role" else actor.sub
        return [] if owner == "" else [_record(project, each) for each in _all(catalog, owner)]

    return _view("file_uploads", _RECORD, rows)


def _all(catalog: MemoryCatalog, owner: str | None) -> Iterator[AudioFile]:
    page = catalog.list(owner)
    while page:
        yield from page
        page = catalog.list(owner, after=page[-1].id)


def _record(project: Project, file: AudioFile) -> Mapping[str, Any]:
    """Give a record with the columns of older readers, as the real table has them."""
    return {
        "id": file.id,
        "user_id": file.owner if file.owner in project.users.by_id else None,
        "project_id": file.project or "",
        "filename": file.filename,
        "file_size_mb": _megabytes(file.size),
        "storage_path": str(file.key),
        "chapter_id": _integer(file.chapter),
        "section_id": _integer(file.section),
        "upload_status": "completed",
        "created_at": file.created_at,
        "updated_at": file.created_at,
        "owner": file.owner,
        "chapter": file.chapter,
        "section": file.section,
        "backend": file.backend,
        "size": file.size,
        "sha256": file.sha256,
        "content_type": file.content_type,
        "duration": file.duration,
        "metadata": dict(file.metadata),
        "visible": True,
    }


def _megabytes(size: int) -> Decimal:
    return (Decimal(size) / _MIB).quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")


def _integer(place: str | None) -> int | None:
    return int(place) if place is not None and _WHOLE.fullmatch(place) else None


# --- usage ------------------------------------------------------------------------------------------------------------


def _usage(catalog: MemoryCatalog) -> View:
    def rows(actor: Actor) -> Sequence[Mapping[str, Any]]:
        if actor.role != "authenticated":
            raise not_permitted("view", "audiostore_my_usage")
        return [_own_usage(catalog, actor.sub)] if actor.sub else []

    return _view("audiostore_my_usage", _USAGE, rows)


def _own_usage(catalog: MemoryCatalog, owner: str) -> Mapping[str, Any]:
    try:
        usage, is_set = catalog.usage(owner, None), True
    except QuotaExceeded:  # the database has no numbers, and so no quota to show
        usage, is_set = catalog.usage(owner, Limits()), False
    quota = usage.quota if is_set else None
    return {
        "owner": owner,
        "used": usage.used,
        "reserved": usage.reserved,
        "files": usage.files,
        "quota": quota,
        "storage_used_mb": _megabytes(usage.used),
        "storage_quota_mb": 0 if not is_set else _LARGEST if quota is None else min(quota // _MIB, _LARGEST),
    }
