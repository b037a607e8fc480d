"""Calls over Supabase's PostgREST, with the service key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from audiostore.access import Access, Accessing
from audiostore.catalogs.postgres.codec import PREFIX, is_repeatable
from audiostore.catalogs.postgres.states import error_of
from audiostore.errors import ConfigurationError, PermissionDenied, Unavailable
from audiostore.refusals import Refusal, fields_of
from audiostore.transport import Call, Timeouts, Transport

_UNAUTHORISED = frozenset({401, 403})
_NOWHERE = 404


class RestCalls:
    """Each call is one POST to ``/rest/v1/rpc/…``, over one pool of HTTP/1.1 connections."""

    def __init__(self, accessing: Accessing, *, timeouts: Timeouts) -> None:
        _server(accessing())
        self._accessing = accessing
        self._transport = Transport(timeouts)

    def call(self, method: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        access = _server(self._accessing())
        call = Call(
            method="POST",
            url=f"{access.url}/rpc/{PREFIX}{method}",
            what=method,
            headers=access.headers,
            data={"request": request},
            repeatable=is_repeatable(method),
            explain=lambda refusal: _explain(refusal, method),
        )
        answer = fields_of(self._transport.send(call).json())
        if answer is None or "status" not in answer:
            raise Unavailable(f"{method}: an answer that can't be read")
        return answer

    def close(self) -> None:
        self._transport.close()


def _server(access: Access) -> Access:
    """Refuse a key that says of itself that it is not the server's, whoever has put it there since."""
    if not access.serves:
        raise ConfigurationError("PostgresCatalog needs the service key of the project (sb_secret_… or service_role)")
    return access


def _explain(refusal: Refusal, method: str) -> Exception | None:
    """Give the error of a refusal: PostgREST's own codes and the database's come in the body."""
    if re.fullmatch(r"PGRST\d+|[0-9A-Z]{5}", refusal.code):
        return error_of(refusal.code, refusal.message, method)
    if refusal.status in _UNAUTHORISED:
        return PermissionDenied(f"{method}: {refusal.message or refusal.status}")
    if refusal.status == _NOWHERE:
        return ConfigurationError(f"{method}: there is no PostgREST at the Supabase url")
    return None
