"""Signed links: made by ``/object/sign`` and ``/object/upload/sign``, and checked where they are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from audiostore.testing.supabase import refusals, schema, tokens
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.authority import actor_of
from audiostore.testing.supabase.model import Project
from audiostore.testing.supabase.wire import Request, Response, answer

_UPLOAD_SECONDS: Final = 7200
_NO_ACCESS: Final = "Either the object does not exist or you do not have access to it"


def sign(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    body = schema.json_body(request)
    schema.require(body, "expiresIn")
    seconds = schema.integer(body, "expiresIn", default=0, least=1)
    with project.lock:
        project.visible(actor, names["bucket"], names["key"])
        return answer({"signedURL": _link(project, names["bucket"], names["key"], seconds)})


def sign_many(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    body = schema.json_body(request)
    schema.require(body, "expiresIn")
    seconds = schema.integer(body, "expiresIn", default=0, least=1)
    keys = schema.texts(body, "paths")
    with project.lock:
        return answer([_signed_or_not(project, actor, names["bucket"], key, seconds) for key in keys])


def _signed_or_not(project: Project, actor: Actor, bucket: str, key: str, seconds: int) -> dict[str, Any]:
    try:
        project.visible(actor, bucket, key)
    except refusals.Refusal:
        return {"error": _NO_ACCESS, "path": key, "signedURL": None}
    return {"error": None, "path": key, "signedURL": _link(project, bucket, key, seconds)}


def _link(project: Project, bucket: str, key: str, seconds: int) -> str:
    token = _token(project, {"url": f"{bucket}/{key}", "scope": "download"}, seconds)
    return f"/object/sign/{bucket}/{key}?token={token}"


def sign_upload(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    """The key is not looked at here: any gets a token, and is refused when the bytes come."""
    actor, bucket, key = actor_of(project, request), names["bucket"], names["key"]
    upsert = request.headers.get("x-upsert") == "true"
    with project.lock:
        if bucket not in project.buckets:
            raise refusals.no_related_resource()
        project.check_write(actor, bucket, key, upsert=upsert)
        owner = {"owner": actor.sub} if actor.sub else {}
        claims = {**owner, "url": f"{bucket}/{key}", "upsert": upsert, "scope": "upload"}
        token = _token(project, claims, _UPLOAD_SECONDS)
    return answer({"url": f"/object/upload/sign/{bucket}/{key}?token={token}", "token": token})


def _token(project: Project, claims: dict[str, Any], seconds: int) -> str:
    now = int(project.now.timestamp())
    return tokens.mint({**claims, "iat": now, "exp": now + seconds}, secret=project.secret)


def download_claims(project: Project, token: str | None, url: str) -> dict[str, Any]:
    return _claims(project, token, url, "download")


def upload_claims(project: Project, token: str | None, url: str) -> dict[str, Any]:
    return _claims(project, token, url, "upload")


def _claims(project: Project, token: str | None, url: str, scope: str) -> dict[str, Any]:
    if token is None:
        raise refusals.missing("querystring", "token")
    try:
        claims = tokens.check(token, secret=project.secret, now=project.now.timestamp())
    except tokens.BadToken as bad:
        raise refusals.invalid_token(str(bad)) from None
    if claims.get("url") != url:
        raise refusals.invalid_signature()
    if claims.get("scope") != scope:
        raise refusals.invalid_signature(f"Token is not scoped for {scope}")
    return claims
