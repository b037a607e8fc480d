"""How each word of a catalog is written in JSON, and read again: the same in both directions.

Times are ISO 8601 in UTC, lengths of time are seconds. Writing is also the check: what no catalog can keep raises
``TypeError`` or ``ValueError`` here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from audiostore.catalogs import rules
from audiostore.keys import Key
from audiostore.models import (
    UNSET,
    AudioFile,
    Limits,
    Override,
    Place,
    Removal,
    Reservation,
    Usage,
    parse_text,
)
from audiostore.protocols import Request, Written
from audiostore.reports import Drift

_T = TypeVar("_T")
_U = TypeVar("_U")

_LONGEST = timedelta(days=3_000_000)
"""Longer than there are dates; a database's interval could hold no more."""


@dataclass(frozen=True, slots=True)
class Wire(Generic[_T]):
    """A kind of value: how it is written, and how it is read."""

    write: Callable[[_T], Any]
    read: Callable[[Any], _T]


def optional(wire: Wire[_T]) -> Wire[_T | None]:
    return Wire(
        lambda value: None if value is None else wire.write(value),
        lambda told: None if told is None else wire.read(told),
    )


def many(wire: Wire[_T]) -> Wire[Sequence[_T]]:
    return Wire(lambda values: [wire.write(each) for each in values], lambda told: [wire.read(each) for each in told])


def text(name: str) -> Wire[str]:
    return Wire(lambda value: parse_text(name, value), str)


def pair(one: str, first: Wire[_T], other: str, second: Wire[_U]) -> Wire[tuple[_T, _U]]:
    return Wire(
        lambda both: {one: first.write(both[0]), other: second.write(both[1])},
        lambda told: (first.read(told[one]), second.read(told[other])),
    )


def _write_id(id: str) -> str:
    # JSON in a database holds no NUL, and nothing is stored under such an id.
    parsed = rules.parse_id(id)
    return "" if "\0" in parsed else parsed


def _write_ids(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str):
        raise TypeError("pass a list of ids, not one id")
    return [_write_id(each) for each in ids]


def _write_span(span: timedelta) -> float:
    if span < timedelta(0):
        raise ValueError(f"a delay can't be negative: {span}")
    return min(span, _LONGEST).total_seconds()


def _write_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _read_moment(told: str) -> datetime:
    return datetime.fromisoformat(told).astimezone(UTC)


def _write_metadata(metadata: Mapping[str, object]) -> dict[str, Any]:
    kept = rules.parse_metadata(metadata)
    for each in _texts(kept):
        try:
            each.encode()
        except UnicodeEncodeError as error:
            raise ValueError("metadata holds text that is not valid Unicode") from error
        if "\0" in each:
            raise ValueError("metadata holds a NUL, which the database can't keep")
    return kept


def _texts(value: object) -> Iterable[str]:
    left = [value]
    while left:
        each: Any = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            left += [*each, *each.values()]
        elif isinstance(each, list):
            left += each


def _write_place(place: Place) -> dict[str, Any]:
    place = rules.parse_place(place)
    return {"project": place.project, "chapter": place.chapter, "section": place.section}


def _read_place(told: Mapping[str, Any]) -> Place:
    return Place(told["project"], told["chapter"], told["section"])


def _write_limits(limits: Limits) -> dict[str, Any]:
    types = None if limits.types is None else sorted(limits.types)
    return {"total": limits.total, "per_file": limits.per_file, "files": limits.files, "types": types}


def _read_limits(told: Mapping[str, Any]) -> Limits:
    types = told["types"]
    numbers = {name: told[name] for name in ("total", "per_file", "files")}
    return Limits(**numbers, types=None if types is None else frozenset(types))


def _write_override(override: Override) -> dict[str, Any]:
    override = rules.parse_override(override)
    numbers = {"total": override.total, "per_file": override.per_file, "files": override.files}
    given = {name: number for name, number in numbers.items() if number is not UNSET}
    return {"numbers": given, "until": None if override.until is None else _write_moment(override.until)}


def _read_override(told: Mapping[str, Any]) -> Override:
    until = told["until"]
    return Override(**told["numbers"], until=None if until is None else _read_moment(until))


def _write_written(written: Written) -> dict[str, Any]:
    return _facts(rules.parse_written(written))


def _write_request(request: Request) -> dict[str, Any]:
    request = rules.parse_request(request)
    return _facts(request, but=("place",)) | {
        **_write_place(request.place),
        "metadata": _write_metadata(request.metadata),
        "limits": LIMITS.write(request.limits),
        "ttl": _write_span(request.ttl),
        "hold": _write_span(request.hold),
    }


def _read_request(told: Mapping[str, Any]) -> Request:
    return Request(
        **_named(Request, told, but=("place", "key", "limits", "ttl", "hold")),
        place=_read_place(told),
        key=Key(told["key"]),
        limits=LIMITS.read(told["limits"]),
        ttl=timedelta(seconds=told["ttl"]),
        hold=timedelta(seconds=told["hold"]),
    )


def _write_reservation(made: Reservation) -> dict[str, Any]:
    return _facts(made, but=("place",)) | {
        **_write_place(made.place),
        "metadata": dict(made.metadata),
        "created_at": _write_moment(made.created_at),
        "expires_at": _write_moment(made.expires_at),
    }


def _read_reservation(told: Mapping[str, Any]) -> Reservation:
    return Reservation(
        **_named(Reservation, told, but=("place", "key", "created_at", "expires_at")),
        place=_read_place(told),
        key=Key(told["key"]),
        created_at=_read_moment(told["created_at"]),
        expires_at=_read_moment(told["expires_at"]),
    )


def _write_file(file: AudioFile) -> dict[str, Any]:
    return _facts(file) | {"metadata": dict(file.metadata), "created_at": _write_moment(file.created_at)}


def _write_foreign_file(file: AudioFile) -> dict[str, Any]:
    file = rules.parse_file(file)
    return _write_file(file) | {"metadata": _write_metadata(file.metadata)}


def _read_file(told: Mapping[str, Any]) -> AudioFile:
    return AudioFile(
        **_named(AudioFile, told, but=("key", "created_at")),
        key=Key(told["key"]),
        created_at=_read_moment(told["created_at"]),
    )


def _read_removal(told: Mapping[str, Any]) -> Removal:
    return Removal(**_named(Removal, told, but=("key",)), key=Key(told["key"]))


def _write_usage(usage: Usage) -> dict[str, Any]:
    return _facts(usage) | {"limits": _write_limits(usage.limits)}


def _read_usage(told: Mapping[str, Any]) -> Usage:
    return Usage(**_named(Usage, told, but=("limits",)), limits=_read_limits(told["limits"]))


def _write_drift(drift: Drift) -> dict[str, Any]:
    return {"kind": drift.kind, "owner": drift.owner, "ledger": drift.ledger, "truth": drift.truth}


def _read_drift(told: Mapping[str, Any]) -> Drift:
    return Drift(**{name: told[name] for name in ("kind", "owner", "ledger", "truth")})


def _facts(value: Any, but: Sequence[str] = ()) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value) if each.name not in but}


def _named(kind: Any, told: Mapping[str, Any], but: Sequence[str]) -> dict[str, Any]:
    return {each.name: told[each.name] for each in fields(kind) if each.name not in but}


def _same(value: Any) -> Any:
    return value


FLAG: Wire[bool] = Wire(bool, bool)
COUNT: Wire[int] = Wire(rules.parse_count, int)
NOTHING: Wire[None] = Wire(lambda value: None, lambda told: None)
ID: Wire[str] = Wire(_write_id, _same)
IDS: Wire[Sequence[str]] = Wire(_write_ids, _same)
KEY: Wire[Key] = Wire(lambda key: str(Key(key)), Key)
SPAN: Wire[timedelta] = Wire(_write_span, lambda told: timedelta(seconds=told))
PLACE: Wire[Place] = Wire(_write_place, _read_place)
LIMITS: Wire[Limits | None] = optional(Wire(_write_limits, _read_limits))
OVERRIDE: Wire[Override | None] = optional(Wire(_write_override, _read_override))
WRITTEN: Wire[Written] = Wire(_write_written, lambda told: Written(**told))
REQUEST: Wire[Request] = Wire(_write_request, _read_request)
RESERVATION: Wire[Reservation] = Wire(_write_reservation, _read_reservation)
FILE: Wire[AudioFile] = Wire(_write_file, _read_file)
FOREIGN_FILE: Wire[AudioFile] = Wire(_write_foreign_file, _read_file)
REMOVAL: Wire[Removal] = Wire(_facts, _read_removal)
USAGE: Wire[Usage] = Wire(_write_usage, _read_usage)
DRIFT: Wire[Drift] = Wire(_write_drift, _read_drift)
