"""The calls of a catalog as JSON: what each asks, what it answers, how it is refused.

Both ends use it. ``PostgresCatalog`` writes a request and reads the answer; whoever stands in for the database (a fake)
reads the request, and writes the answer, with ``answer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiostore.catalogs.postgres import wire
from audiostore.catalogs.postgres.wire import COUNT, ID, IDS, KEY, LIMITS, PLACE, SPAN, Wire, many, optional, text
from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    ConfigurationError,
    FileTooLarge,
    NotFound,
    QuotaExceeded,
    ReservationExpired,
    Unavailable,
)
from audiostore.protocols import Catalog

PREFIX = "audiostore_"
"""What the names of the functions begin with, in the schema ``public``."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of ``Catalog``: its parameters by name, what it gives, and whether twice is as good as once."""

    takes: Mapping[str, Wire[Any]]
    gives: Wire[Any]
    repeatable: bool = True


_OWNER, _BACKEND = text("owner"), text("backend")
_REMOVALS = many(wire.REMOVAL)

METHODS: Mapping[str, Method] = {
    "reserve": Method({"request": wire.REQUEST}, wire.RESERVATION),
    "extend": Method(
        {"reservation": ID, "ttl": SPAN, "hold": SPAN, "resume": optional(text("resume"))}, wire.RESERVATION
    ),
    "commit": Method(
        {"reservation": ID, "written": wire.WRITTEN, "limits": LIMITS, "only_over": optional(KEY)},
        wire.pair("file", wire.FILE, "removals", _REMOVALS),
    ),
    "release": Method({"reservation": ID, "erase": wire.FLAG}, _REMOVALS),
    "reservation": Method({"reservation": ID}, wire.RESERVATION),
    "pending": Method({"owner": _OWNER}, many(wire.RESERVATION)),
    "expire": Method({"limit": COUNT}, COUNT),
    "hide": Method({"owner": _OWNER, "files": IDS}, _REMOVALS, repeatable=False),
    "forget": Method({"removals": IDS}, wire.NOTHING),
    "postpone": Method({"removals": IDS, "delay": SPAN}, wire.NOTHING),
    "claim": Method({"limit": COUNT, "lease": SPAN}, _REMOVALS, repeatable=False),
    "discard": Method({"backend": _BACKEND, "keys": many(KEY), "delay": SPAN}, wire.NOTHING),
    "known": Method({"backend": _BACKEND, "keys": many(KEY)}, Wire(list, lambda told: frozenset(map(KEY.read, told)))),
    "move": Method({"owner": _OWNER, "file": ID, "place": PLACE}, wire.FILE),
    "find": Method({"files": IDS}, many(wire.FILE)),
    "find_key": Method({"key": KEY, "backend": optional(_BACKEND)}, wire.FILE),
    "list": Method(
        {"owner": optional(_OWNER), "place": PLACE, "after": optional(text("after")), "limit": COUNT}, many(wire.FILE)
    ),
    "usage": Method({"owner": _OWNER, "limits": LIMITS}, wire.USAGE),
    "override": Method({"owner": _OWNER}, wire.OVERRIDE),
    "set_override": Method({"owner": _OWNER, "override": wire.OVERRIDE}, wire.NOTHING),
    "audit": Method({"owner": optional(_OWNER)}, many(wire.DRIFT)),
}

_REFUSALS: Mapping[str, tuple[type[AudioStoreError], tuple[str, ...]]] = {
    "quota_exceeded": (QuotaExceeded, ("owner", "kind", "limit", "used", "reserved", "needed")),
    "file_too_large": (FileTooLarge, ("limit", "size")),
    "already_exists": (AlreadyExists, ("what", "reason")),
    "reservation_expired": (ReservationExpired, ("reservation",)),
    "not_found": (NotFound, ("what",)),
}
_BUSY = "busy"
_UNCONFIGURED = "unconfigured"


def write_request(method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Write what a call asks. Raises TypeError or ValueError for what can't be kept."""
    return {name: each.write(arguments[name]) for name, each in METHODS[method].takes.items()}


def read_request(method: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Read the arguments of a call; what is missing is ``None``."""
    return {name: each.read(request.get(name)) for name, each in METHODS[method].takes.items()}


def write_result(method: str, result: Any) -> dict[str, Any]:
    return {"status": "ok", "result": METHODS[method].gives.write(result)}


def read_answer(method: str, answer: Mapping[str, Any]) -> Any:
    """Give the result, or raise the refusal."""
    if answer["status"] == "ok":
        return METHODS[method].gives.read(answer["result"])
    raise read_refusal(answer)


def write_refusal(error: AudioStoreError) -> dict[str, Any]:
    """Write a refusal that a catalog raises. Anything else is raised again: it is no decision."""
    for status, (kind, facts) in _REFUSALS.items():
        if type(error) is kind:
            return {"status": status} | {name: getattr(error, name) for name in facts}
    if isinstance(error, Unavailable) and error.retryable:
        return {"status": _BUSY, "what": error.what}
    raise error


def read_refusal(answer: Mapping[str, Any]) -> AudioStoreError:
    status = str(answer["status"])
    if status == _BUSY:
        return Unavailable(answer["what"], retryable=True)
    if status == _UNCONFIGURED:
        return ConfigurationError(answer["what"])
    kind, facts = _REFUSALS[status]
    told = {name: answer[name] for name in facts}
    first = () if kind is FileTooLarge else (told.pop(facts[0]),)
    return kind(*first, **told)


def answer(catalog: Catalog, method: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Be the database: let *catalog* decide what is asked, and write what it says."""
    try:
        return write_result(method, getattr(catalog, method)(**read_request(method, request)))
    except AudioStoreError as error:
        return write_refusal(error)
