"""Calls over Supabase's PostgREST, with the service key."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from audiostore.catalogs.postgres.codec import PREFIX, is_repeatable
from audiostore.catalogs.postgres.states import error_of
from audiostore.errors import ConfigurationError, PermissionDenied, Unavailable
from audiostore.refusals import Refusal, fields_of
from audiostore.transport import Call, Timeouts, Transport

_REST = "/rest/v1"
_PLAIN = re.compile(r"[!-~]+")
_UNAUTHORISED = frozenset({401, 403})
_NOWHERE = 404

Headers = Callable[[], Mapping[str, str]]


class RestCalls:
    """Each call is one POST to ``/rest/v1/rpc/…``, over one pool of HTTP/1.1 connections."""

    def __init__(self, url: str, headers: Headers, *, timeouts: Timeouts) -> None:
        self._url = url
        self._headers = headers
        self._transport = Transport(timeouts)

    def call(self, method: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        call = Call(
            method="POST",
            url=f"{self._url}/rpc/{PREFIX}{method}",
            what=method,
            headers=self._headers(),
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


def with_key(url: str, key: str, *, timeouts: Timeouts) -> RestCalls:
    """Have the same key at each call."""
    headers = _headers(key, key)
    return RestCalls(_rest(url), lambda: headers, timeouts=timeouts)


def with_client(client: Any, *, timeouts: Timeouts) -> RestCalls:
    """Take address and key from a ``supabase.Client``, and ask it at each call: its headers may change."""
    try:
        _of(client)
        url = _rest(str(client.rest_url))
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(f"client= takes a supabase.Client, not {type(client).__name__}") from None
    return RestCalls(url, lambda: _of(client), timeouts=timeouts)


def _of(client: Any) -> Mapping[str, str]:
    headers = {str(name).lower(): str(value) for name, value in client.options.headers.items()}
    return _headers(headers["apikey"], headers["authorization"].removeprefix("Bearer "))


def _headers(key: str, token: str) -> Mapping[str, str]:
    for each in (key, token):
        # An HTTP client that is handed a broken header repeats it in its complaint.
        if not _PLAIN.fullmatch(each):
            raise ConfigurationError("the Supabase key is empty, or holds a space or a line break")
    if not _may_account(token):
        raise ConfigurationError("PostgresCatalog needs the service key of the project (sb_secret_… or service_role)")
    return {"apikey": key, "Authorization": f"Bearer {token}"}


def _may_account(token: str) -> bool:
    """Tell a server's key from the public one and from a user's token, as far as it says itself what it is."""
    if token.startswith("sb_"):
        return token.startswith("sb_secret_")
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return True
    try:
        claims = fields_of(json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))))
    except ValueError:
        return True
    return (claims or {}).get("role") not in {"anon", "authenticated"}


def _rest(url: str) -> str:
    url = url.rstrip("/")
    if not re.match(r"https?://[^/]", url):
        raise ConfigurationError("the Supabase url is no http(s) URL")
    return url if url.endswith(_REST) else url + _REST


def _explain(refusal: Refusal, method: str) -> Exception | None:
    """Give the error of a refusal: PostgREST's own codes and the database's come in the body."""
    if re.fullmatch(r"PGRST\d+|[0-9A-Z]{5}", refusal.code):
        return error_of(refusal.code, refusal.message, method)
    if refusal.status in _UNAUTHORISED:
        return PermissionDenied(f"{method}: {refusal.message or refusal.status}")
    if refusal.status == _NOWHERE:
        return ConfigurationError(f"{method}: there is no PostgREST at the Supabase url")
    return None
