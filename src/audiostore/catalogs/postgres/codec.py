"""The calls of a catalog as JSON: what each asks, what it answers, how it is refused.

Both ends use it. ``PostgresCatalog`` writes a request and reads the answer; whoever stands in for the database (a fake)
reads the request, and writes the answer, with ``answer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
from audiostore.keys import Key
from audiostore.protocols import Catalog

PREFIX = "audiostore_"
"""What the names of the functions begin with, in the schema ``public``."""


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Method(Generic[_T]):
    """One method of ``Catalog``: its parameters by name, what it gives, and whether twice is as good as once."""

    name: str
    takes: Mapping[str, Wire[Any]]
    gives: Wire[_T]
    repeatable: bool = True


_OWNER, _BACKEND = text("owner"), text("backend")
_REMOVALS = many(wire.REMOVAL)
_IDS: Wire[frozenset[str]] = Wire(sorted, frozenset)
_KEYS: Wire[frozenset[Key]] = Wire(sorted, lambda told: frozenset(map(Key, told)))

RESERVE = Method("reserve", {"request": wire.REQUEST}, wire.RESERVATION)
EXTEND = Method(
    "extend", {"reservation": ID, "ttl": SPAN, "hold": SPAN, "resume": optional(text("resume"))}, wire.RESERVATION
)
COMMIT = Method(
    "commit",
    {"reservation": ID, "written": wire.WRITTEN, "limits": LIMITS, "only_over": optional(KEY)},
    wire.pair("file", wire.FILE, "removals", _REMOVALS),
)
RELEASE = Method("release", {"reservation": ID, "erase": wire.FLAG}, _REMOVALS)
RESERVATION = Method("reservation", {"reservation": ID}, wire.RESERVATION)
PENDING = Method("pending", {"owner": _OWNER}, many(wire.RESERVATION))
EXPIRE = Method("expire", {"limit": COUNT}, COUNT)
HIDE = Method("hide", {"owner": _OWNER, "files": IDS}, _REMOVALS, repeatable=False)
FORGET = Method("forget", {"removals": IDS}, wire.NOTHING)
POSTPONE = Method("postpone", {"removals": IDS, "delay": SPAN}, wire.NOTHING)
CLAIM = Method("claim", {"limit": COUNT, "lease": SPAN}, _REMOVALS, repeatable=False)
DISCARD = Method("discard", {"backend": _BACKEND, "keys": many(KEY), "delay": SPAN}, wire.NOTHING)
KNOWN = Method("known", {"backend": _BACKEND, "keys": many(KEY)}, _KEYS)
ADOPT = Method("adopt", {"files": many(wire.FOREIGN_FILE)}, _IDS)
MOVE = Method("move", {"owner": _OWNER, "file": ID, "place": PLACE}, wire.FILE)
FIND = Method("find", {"files": IDS}, many(wire.FILE))
FIND_KEY = Method("find_key", {"key": KEY, "backend": optional(_BACKEND)}, wire.FILE)
LIST = Method(
    "list",
    {"owner": optional(_OWNER), "place": PLACE, "after": optional(text("after")), "limit": COUNT},
    many(wire.FILE),
)
USAGE = Method("usage", {"owner": _OWNER, "limits": LIMITS}, wire.USAGE)
OVERRIDE = Method("override", {"owner": _OWNER}, wire.OVERRIDE)
SET_OVERRIDE = Method("set_override", {"owner": _OWNER, "override": wire.OVERRIDE}, wire.NOTHING)
AUDIT = Method("audit", {"owner": optional(_OWNER)}, many(wire.DRIFT))
RECOUNT = Method("recount", {"owner": optional(_OWNER)}, many(wire.DRIFT))
PLAN = Method("plan", {"owner": _OWNER}, LIMITS)

METHODS: Mapping[str, Method[Any]] = {
    each.name: each
    for each in (
        RESERVE,
        EXTEND,
        COMMIT,
        RELEASE,
        RESERVATION,
        PENDING,
        EXPIRE,
        HIDE,
        FORGET,
        POSTPONE,
        CLAIM,
        DISCARD,
        KNOWN,
        ADOPT,
        MOVE,
        FIND,
        FIND_KEY,
        LIST,
        USAGE,
        OVERRIDE,
        SET_OVERRIDE,
        AUDIT,
        RECOUNT,
        PLAN,
    )
}

SCHEMA = "schema"
"""A function beside those of a catalog: what was applied to the database."""

SWAP_DOCUMENT = "swap_document"
"""Another one: change a document of the app's, if nobody else has."""

JOURNAL = tuple(f"migration_{each}" for each in ("plan", "claim", "beat", "settle", "items", "find", "counts"))
"""And those of a migration's journal, each of which may be called twice."""

BESIDE = frozenset({SCHEMA, SWAP_DOCUMENT, *JOURNAL})


def is_repeatable(name: str) -> bool:
    """Tell whether calling the function twice is as good as once."""
    return name in BESIDE or METHODS[name].repeatable


_REFUSALS: Mapping[str, tuple[type[AudioStoreError], tuple[str, ...]]] = {
    "quota_exceeded": (QuotaExceeded, ("owner", "kind", "limit", "used", "reserved", "needed")),
    "file_too_large": (FileTooLarge, ("limit", "size")),
    "already_exists": (AlreadyExists, ("what", "reason")),
    "reservation_expired": (ReservationExpired, ("reservation",)),
    "not_found": (NotFound, ("what",)),
}
_BUSY = "busy"
_UNCONFIGURED = "unconfigured"


def write_request(method: Method[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Write what a call asks. Raises TypeError or ValueError for what can't be kept."""
    return {name: each.write(arguments[name]) for name, each in method.takes.items()}


def read_answer(method: Method[_T], answer: Mapping[str, Any]) -> _T:
    """Give the result, or raise the refusal."""
    if answer["status"] == "ok":
        return method.gives.read(answer["result"])
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
    known = METHODS[method]
    arguments = {name: each.read(request.get(name)) for name, each in known.takes.items()}
    try:
        return {"status": "ok", "result": known.gives.write(getattr(catalog, method)(**arguments))}
    except AudioStoreError as error:
        return write_refusal(error)
