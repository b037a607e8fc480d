"""JSON web tokens, HS256 only: minted and checked as the storage server does, with its words for what is wrong."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final, cast

_HEADER: Final = {"alg": "HS256"}


class BadToken(Exception):
    """The token was not signed with this secret, or is over."""


def mint(claims: Mapping[str, Any], *, secret: str) -> str:
    signed = f"{_packed(_HEADER)}.{_packed(claims)}"
    return f"{signed}.{_signature(signed, secret)}"


def check(token: str, *, secret: str, now: float) -> dict[str, Any]:
    """Give the claims of *token*; ``exp`` may be absent, and then it never ends."""
    head, dot, signature = token.rpartition(".")
    if not dot or head.count(".") != 1:
        raise BadToken("Invalid Compact JWS")
    header, _, body = head.partition(".")
    if _unpacked(header).get("alg") != "HS256":
        raise BadToken("JWS Protected Header is invalid")
    if not hmac.compare_digest(signature.encode(), _signature(head, secret).encode()):
        raise BadToken("signature verification failed")
    claims = _unpacked(body)
    expires = claims.get("exp")
    if isinstance(expires, int | float) and expires <= now:
        raise BadToken('"exp" claim timestamp check failed')
    return claims


def _signature(signed: str, secret: str) -> str:
    return _base64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def _packed(content: Mapping[str, Any]) -> str:
    return _base64(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def _unpacked(part: str) -> dict[str, Any]:
    try:
        content: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
