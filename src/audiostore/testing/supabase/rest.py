"""Routes of ``/rest/v1``: PostgREST, before whichever database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from urllib.parse import quote_plus

from audiostore.testing.supabase import tokens
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.database import refusals
from audiostore.testing.supabase.database.asking import Query, names_in, pairs_of, query_of
from audiostore.testing.supabase.database.preferring import Preferences
from audiostore.testing.supabase.database.refusals import SqlError, served
from audiostore.testing.supabase.database.verbs import Call, Called, Changed, Insertion, Target
from audiostore.testing.supabase.model import Project
from audiostore.testing.supabase.wire import JSON, Request, Response

_SCHEMAS: Final = ("public", "storage")
_SINGLE: Final = "application/vnd.pgrst.object+json"
_ARRAY: Final = "application/vnd.pgrst.array+json"
_SKEW: Final = 30
"""Seconds that a token may be late, as clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request, with what its headers say."""

    request: Request
    actor: Actor
    schema: str
    preferences: Preferences
    media: str
    stripped: bool

    @property
    def single(self) -> bool:
        return self.media == _SINGLE


def answer_table(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _answered(project, request, lambda asked: _table(project, asked, names["table"]))


def answer_rpc(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _answered(project, request, lambda asked: _rpc(project, asked, names["function"]))


def answer_other(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    def refuse(asked: _Asked) -> Response:
        raise refusals.no_path()

    return _answered(project, request, refuse)


def _answered(project: Project, request: Request, respond: Callable[[_Asked], Response]) -> Response:
    signed_in = False
    try:
        actor = _actor(project, request)
        signed_in = actor.role != "anon"
        return respond(_asked(request, actor))
    except SqlError as refused:
        return refused.response(signed_in=signed_in)


def _actor(project: Project, request: Request) -> Actor:
    """Give who asks; the ``apikey`` header is the gateway's, and nothing here."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return Actor(role="anon")
    if not token.strip():
        raise refusals.bad_token("PGRST301", "Empty JWT is sent in Authorization header")
    parts = token.count(".") + 1
    if parts != 3:
        raise refusals.bad_token("PGRST301", f"Expected 3 parts in JWT; got {parts}")
    try:
        claims = tokens.check(token.strip(), secret=project.secret, now=float("-inf"))
    except tokens.BadToken:
        details = "None of the keys was able to decode the JWT"
        raise refusals.bad_token("PGRST301", "No suitable key or wrong key type", details) from None
    expires = claims.get("exp")
    if isinstance(expires, int | float) and project.now.timestamp() > expires + _SKEW:
        raise refusals.bad_token("PGRST303", "JWT expired")
    return Actor(role=str(claims.get("role") or "anon"), sub=str(claims.get("sub") or ""), claims=claims)


def _asked(request: Request, actor: Actor) -> _Asked:
    profile = "accept-profile" if request.method in {"GET", "HEAD"} else "content-profile"
    schema = request.headers.get(profile, _SCHEMAS[0])
    if schema not in _SCHEMAS:
        raise refusals.no_schema(schema, ", ".join(_SCHEMAS))
    media, *options = (each.strip() for each in request.headers.get("accept", "*/*").partition(",")[0].split(";"))
    if media not in {"*/*", "application/*", "application/json", _SINGLE, _ARRAY}:
        raise refusals.not_in_the_fake(f"answers of type {media}")
    return _Asked(
        request=request,
        actor=actor,
        schema=schema,
        preferences=Preferences(request.headers.get("prefer", "")),
        media=media,
        stripped="nulls=stripped" in options,
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(project: Project, asked: _Asked, name: str) -> Response:
    verb = {"GET": _read, "HEAD": _read, "POST": _insert, "PATCH": _update, "DELETE": _delete}.get(asked.request.method)
    if verb is None:
        raise refusals.no_method(asked.request.method)
    return verb(project, asked, (asked.schema, name))


def _read(project: Project, asked: _Asked, target: Target) -> Response:
    query = _capped(project, query_of(asked.request.query))
    with project.database.begin(asked.actor) as session:
        found = session.read(target, query, counted=asked.preferences.counts)
    status, content_range = _range(query.offset, len(found.rows), found.total)
    headers = {
        "content-range": content_range,
        "content-location": f"/{target[1]}{_canonical(asked.request.query)}",
        **asked.preferences.applied("count", "handling"),
    }
    return _shown(asked, status, headers, found.rows)


def _insert(project: Project, asked: _Asked, target: Target) -> Response:
    given, preferences = dict(pairs_of(asked.request.query)), asked.preferences
    rows, columns = _rows(asked.request, given.get("columns"))
    insertion = Insertion(
        rows=rows,
        columns=columns,
        missing_is_default=preferences.missing_is_default,
        resolution=preferences.resolution,
        on_conflict=names_in(given.get("on_conflict", "")),
    )
    applied = preferences.applied("resolution", "missing", "return", "count", "handling")
    with project.database.begin(asked.actor) as session:
        query = query_of(asked.request.query)
        changed = session.insert(target, insertion, query, returning=preferences.returns_rows)
        merged = preferences.resolution == "merge" and changed.inserted == 0
        return _changed(asked, changed, 200 if merged else 201, "*", applied)


def _update(project: Project, asked: _Asked, target: Target) -> Response:
    changes: object = _body(asked.request)
    if not isinstance(changes, dict):
        raise refusals.bad_body()
    values = cast("dict[str, Any]", changes)
    applied = asked.preferences.applied("missing", "return", "count", "handling", "max-affected")
    with project.database.begin(asked.actor) as session:
        query = query_of(asked.request.query)
        changed = session.update(target, values, query, returning=asked.preferences.returns_rows)
        return _changed(asked, changed, 200, f"0-{changed.count - 1}" if changed.count else "*", applied)


def _delete(project: Project, asked: _Asked, target: Target) -> Response:
    applied = asked.preferences.applied("return", "count", "handling", "max-affected")
    with project.database.begin(asked.actor) as session:
        query = query_of(asked.request.query)
        changed = session.delete(target, query, returning=asked.preferences.returns_rows)
        return _changed(asked, changed, 200, "*", applied)


def _changed(asked: _Asked, changed: Changed, status: int, shown: str, applied: Mapping[str, str]) -> Response:
    """Answer within the transaction: what this refuses did not happen."""
    preferences = asked.preferences
    preferences.check_affected(changed.count)
    headers = {"content-range": f"{shown}/{changed.count if preferences.counts else '*'}", **applied}
    if preferences.returns_rows:
        return _shown(asked, status, headers, changed.rows)
    return served(b"", status=status if status == 201 else 204, headers=headers, kind=None)


# --- functions --------------------------------------------------------------------------------------------------------


def _rpc(project: Project, asked: _Asked, name: str) -> Response:
    request = asked.request
    if request.method not in {"GET", "HEAD", "POST"}:
        raise refusals.RestError(405, "PGRST101", f"Cannot use the {request.method} method on RPC")
    posted = request.method == "POST"
    arguments: object = _body(request) if posted else dict(pairs_of(request.query))
    if not isinstance(arguments, dict):
        raise refusals.bad_body()
    call = Call(name=name, arguments=cast("dict[str, Any]", arguments), posted=posted)
    known: frozenset[str] = frozenset() if posted else project.database.parameters(asked.schema, name)
    query = _capped(project, query_of(request.query, arguments=known))
    with project.database.begin(asked.actor) as session:
        return _called(asked, session.call(asked.schema, call, query), query)


def _called(asked: _Asked, called: Called, query: Query) -> Response:
    rows = list(called.rows or ())
    total = called.total if asked.preferences.counts else None
    status, content_range = _range(query.offset, len(rows) if called.is_set else 1, total)
    headers = {"content-range": content_range, **asked.preferences.applied("count", "handling", "max-affected")}
    if called.rows is None:
        return served(b"", status=204, headers=headers, kind=None)
    if called.is_set:
        return _shown(asked, status, headers, rows)
    return served(rows[0].encode(), status=status, headers=_profiled(asked, headers), kind=JSON)


# --- bodies -----------------------------------------------------------------------------------------------------------


def _body(request: Request) -> Any:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind != "application/json":
        raise refusals.not_in_the_fake(f"bodies of type {kind}")
    try:
        return json.loads(request.body.read() or b"{}")
    except ValueError:
        raise refusals.bad_body() from None


def _rows(request: Request, columns: str | None) -> tuple[list[dict[str, Any]], Sequence[str]]:
    """Give the rows of a body and the columns that are written."""
    body = _body(request)
    rows = list(cast("Sequence[Any]", body)) if isinstance(body, list) else [body]
    if not all(isinstance(each, dict) for each in rows):
        raise refusals.bad_body()
    if columns is not None:
        wanted = names_in(columns)
        return [{name: value for name, value in row.items() if name in wanted} for row in rows], wanted
    first = list(rows[0]) if rows else []
    if any(set(each) != set(first) for each in rows):
        raise refusals.bad_body("All object keys must match")
    return rows, first


def _shown(asked: _Asked, status: int, headers: Mapping[str, str], rows: Sequence[str]) -> Response:
    if asked.stripped:
        rows = [_without_nulls(each) for each in rows]
    if asked.single and len(rows) != 1:
        raise refusals.not_single(len(rows))
    # As json_agg puts them one below the other.
    text = rows[0] if asked.single else "[" + ", \n ".join(rows) + "]"
    kind = JSON if asked.media not in {_SINGLE, _ARRAY} else asked.media
    kind = kind + ";nulls=stripped" * asked.stripped + ("" if kind == JSON else "; charset=utf-8")
    return served(text.encode(), status=status, headers=_profiled(asked, headers), kind=kind)


def _without_nulls(row: str) -> str:
    kept = {name: value for name, value in json.loads(row).items() if value is not None}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def _profiled(asked: _Asked, headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, "content-profile": asked.schema}


# --- ranges -----------------------------------------------------------------------------------------------------------


def _capped(project: Project, query: Query) -> Query:
    most = project.max_rows
    return query if most is None else replace(query, limit=min(most, most if query.limit is None else query.limit))


def _range(offset: int, count: int, total: int | None) -> tuple[int, str]:
    if total is not None and offset > total:
        raise refusals.no_such_range(offset, total)
    shown = f"{offset}-{offset + count - 1}" if count else "*"
    status = 206 if total is not None and count < total else 200
    return status, f"{shown}/{'*' if total is None else total}"


def _canonical(query: str) -> str:
    """Give the query string sorted, and every byte of it taken for a letter: so the real server spells it."""
    pairs = sorted(pairs_of(query))
    spelled = "&".join(f"{_spelled(name)}={_spelled(value)}" for name, value in pairs)
    return f"?{spelled}" if spelled else ""


def _spelled(text: str) -> str:
    return quote_plus(text.encode().decode("latin-1"), safe="")
