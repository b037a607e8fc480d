"""Calls over Supabase's PostgREST, with the service key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import quote, urlencode

from audiostore.access import Access, Accessing
from audiostore.catalogs.postgres.codec import PREFIX, is_repeatable
from audiostore.catalogs.postgres.states import error_of
from audiostore.errors import ConfigurationError, PermissionDenied, Unavailable
from audiostore.refusals import Refusal, fields_of
from audiostore.transport import Call, Timeouts, Transport

Explain: TypeAlias = Callable[[str, str, str], Exception]
"""``(SQLSTATE or code of PostgREST's, message, what) -> error``."""

_UNAUTHORISED = frozenset({401, 403})
_NOWHERE = 404


class RestCalls:
    """Each call is one POST to ``/rest/v1/rpc/…``, over one pool of HTTP/1.1 connections.

    *part* is what needs the service key, for the error that says so; *explain* knows the database's codes.
    """

    def __init__(
        self, accessing: Accessing, *, timeouts: Timeouts, part: str = "PostgresCatalog", explain: Explain = error_of
    ) -> None:
        self._part = part
        self._explain = explain
        self._accessing = accessing
        self._transport = Transport(timeouts)
        self._server()

    def call(self, method: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        access = self._server()
        call = Call(
            method="POST",
            url=f"{access.url}/rpc/{PREFIX}{method}",
            what=method,
            headers=access.headers,
            data={"request": request},
            repeatable=is_repeatable(method),
            explain=lambda refusal: self._explained(refusal, method),
        )
        answer = fields_of(self._transport.send(call).json())
        if answer is None or "status" not in answer:
            raise Unavailable(f"{method}: an answer that can't be read")
        return answer

    def read(self, table: str, query: Mapping[str, str], *, schema: str) -> Sequence[Mapping[str, Any]]:
        """Give the rows that a query of PostgREST's asks for; at most as many as the server gives at once."""
        access = self._server()
        call = Call(
            method="GET",
            url=f"{access.url}/{quote(table, safe='')}?{urlencode(query)}",
            what=table,
            headers={**access.headers, "Accept-Profile": schema},
            repeatable=True,
            explain=lambda refusal: self._explained(refusal, table),
        )
        rows = self._transport.send(call).json()
        if not isinstance(rows, list):
            raise Unavailable(f"{table}: an answer that can't be read")
        return cast("Sequence[Mapping[str, Any]]", rows)

    def close(self) -> None:
        self._transport.close()

    def _server(self) -> Access:
        """Refuse a key that says of itself that it is not the server's, whoever has put it there since."""
        access = self._accessing()
        if not access.serves:
            raise ConfigurationError(f"{self._part} needs the service key of the project (sb_secret_… or service_role)")
        return access

    def _explained(self, refusal: Refusal, what: str) -> Exception | None:
        """Give the error of a refusal: PostgREST's own codes and the database's come in the body."""
        if re.fullmatch(r"PGRST\d+|[0-9A-Z]{5}", refusal.code):
            return self._explain(refusal.code, refusal.message, what)
        if refusal.status in _UNAUTHORISED:
            return PermissionDenied(f"{what}: {refusal.message or refusal.status}")
        if refusal.status == _NOWHERE:
            return ConfigurationError(f"{what}: there is no PostgREST at the Supabase url")
        return None
