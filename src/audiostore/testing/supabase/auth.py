"""Routes of ``/auth/v1``: the part of Supabase's auth server that an app with e-mail and password uses.

There is no recording of it: statuses, codes and messages are as its client library expects them; details may differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from audiostore.testing.supabase import tokens
from audiostore.testing.supabase.model import Project
from audiostore.testing.supabase.users import LIFETIME, Session, User
from audiostore.testing.supabase.wire import Request, Response, answer

_VERSION: Final = "2024-01-01"
_SHORTEST: Final = 6
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PER_PAGE: Final = 50
_UNREADABLE: Final = "invalid JWT: unable to parse or verify signature, "


class AuthRefused(Exception):
    """What the auth server answers instead; its statuses are honest."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self, *, version: str) -> Response:
        """Answer in the form of the version that the caller speaks: the old one has the status in it."""
        headers = {"x-sb-error-code": self.code}
        weak: dict[str, Any] = {"weak_password": {"reasons": ["length"]}} if self.code == "weak_password" else {}
        if version >= _VERSION:
            content: dict[str, Any] = {"code": self.code, "message": self.message, **weak}
            return answer(content, status=self.status, headers={**headers, "x-supabase-api-version": _VERSION})
        content = {"code": self.status, "error_code": self.code, "msg": self.message, **weak}
        return answer(content, status=self.status, headers=headers)


def _route(handler: Callable[[Project, Request, Mapping[str, str]], Any]) -> Any:
    """Give a route that answers with what *handler* gives, or with its refusal."""

    def respond(project: Project, request: Request, names: Mapping[str, str]) -> Response:
        try:
            given = handler(project, request, names)
        except AuthRefused as refused:
            return refused.response(version=request.headers.get("x-supabase-api-version", ""))
        headers = {"content-type": "application/json", "x-supabase-api-version": _VERSION}
        if given is None:
            return Response(status=204, headers=headers)
        return given if isinstance(given, Response) else answer(given, headers=headers)

    return respond


# --- users ------------------------------------------------------------------------------------------------------------


@_route
def sign_up(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    body = _body(request)
    email, password = _email(body), _password(body)
    with project.lock:
        if project.users.with_email(email):
            raise AuthRefused(422, "user_already_exists", "User already registered")
        user = project.users.add(project.now, email=email, password=password, user_metadata=_mapping(body, "data"))
        return _signed_in(project, user, project.users.sign_in(user, project.now))


@_route
def token(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    kind = request.arguments.get("grant_type", "")
    body = _body(request)
    with project.lock:
        if kind == "password":
            return _by_password(project, body)
        if kind == "refresh_token":
            return _by_refresh_token(project, str(body.get("refresh_token") or ""))
    raise AuthRefused(400, "invalid_credentials", "unsupported_grant_type")


def _by_password(project: Project, body: Mapping[str, Any]) -> Any:
    user = project.users.with_email(str(body.get("email") or ""))
    if user is None or not user.knows(str(body.get("password") or "")):
        raise AuthRefused(400, "invalid_credentials", "Invalid login credentials")
    if user.confirmed_at is None:
        raise AuthRefused(400, "email_not_confirmed", "Email not confirmed")
    return _signed_in(project, user, project.users.sign_in(user, project.now))


def _by_refresh_token(project: Project, refresh_token: str) -> Any:
    session = project.users.session_of(refresh_token)
    if session is None:
        raise AuthRefused(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
    if not project.users.refresh(session, refresh_token, project.now):
        project.users.sign_out(lambda each: each is session)
        raise AuthRefused(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
    return _signed_in(project, project.users.by_id[session.user], session)


@_route
def show_own(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    with project.lock:
        return _facts(_own(project, request)[0])


@_route
def change_own(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    body = _body(request)
    with project.lock:
        user, _ = _own(project, request)
        return _change(project, user, {**body, "user_metadata": body.get("data")})


@_route
def sign_out(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    scope = request.arguments.get("scope", "global")
    with project.lock:
        user, session = _own(project, request)
        if scope == "global":
            project.users.sign_out(lambda each: each.user == user.id)
        elif scope == "local":
            project.users.sign_out(lambda each: each.id == session)
        else:
            project.users.sign_out(lambda each: each.user == user.id and each.id != session)


# --- administration ---------------------------------------------------------------------------------------------------


@_route
def list_users(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    given = dict(parse_qsl(request.query))
    page, size = _number(given, "page", 1), _number(given, "per_page", _PER_PAGE)
    with project.lock:
        _administrator(project, request)
        everyone = sorted(project.users.by_id.values(), key=lambda each: each.created_at, reverse=True)
        users = [_facts(each) for each in everyone[(page - 1) * size : page * size]]
    headers = {"x-total-count": str(len(everyone)), "content-type": "application/json"}
    return answer({"users": users, "aud": "authenticated"}, headers=headers)


@_route
def create_user(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    body = _body(request)
    with project.lock:
        _administrator(project, request)
        email = _email(body)
        if project.users.with_email(email):
            message = "A user with this email address has already been registered"
            raise AuthRefused(422, "email_exists", message)
        user = project.users.add(
            project.now,
            email=email,
            password=_password(body) if body.get("password") else None,
            id=str(body["id"]) if body.get("id") else None,
            confirmed=bool(body.get("email_confirm")),
            user_metadata=_mapping(body, "user_metadata"),
            app_metadata=_mapping(body, "app_metadata"),
        )
        return _facts(user)


@_route
def show_user(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    with project.lock:
        return _facts(_named(project, request, names["id"]))


@_route
def change_user(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    body = _body(request)
    with project.lock:
        user = _named(project, request, names["id"])
        user.app_metadata.update(_mapping(body, "app_metadata"))
        if body.get("email_confirm"):
            user.confirmed_at = user.confirmed_at or project.now
        return _change(project, user, body)


@_route
def remove_user(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    with project.lock:
        project.users.remove(_named(project, request, names["id"]).id)
        return {}


@_route
def nothing_here(project: Project, request: Request, names: Mapping[str, str]) -> Any:
    raise AuthRefused(501, "unexpected_failure", f"the fake does not know {request.method} {request.path}")


# --- who asks ---------------------------------------------------------------------------------------------------------


def _claims(project: Project, request: Request) -> dict[str, Any]:
    match = re.fullmatch(r"[Bb]earer (\S+)", request.headers.get("authorization", "").strip())
    if match is None:
        raise AuthRefused(401, "no_authorization", "This endpoint requires a valid Bearer token")
    if match[1].count(".") != 2:
        why = "token is malformed: token contains an invalid number of segments"
        raise AuthRefused(403, "bad_jwt", _UNREADABLE + why)
    try:
        claims = tokens.check(match[1], secret=project.secret, now=float("-inf"))
    except tokens.BadToken:
        raise AuthRefused(403, "bad_jwt", f"{_UNREADABLE}token signature is invalid: signature is invalid") from None
    expires = claims.get("exp")
    if isinstance(expires, int | float) and expires <= project.now.timestamp():
        raise AuthRefused(403, "bad_jwt", f"{_UNREADABLE}token has invalid claims: token is expired")
    return claims


def _own(project: Project, request: Request) -> tuple[User, str]:
    """Give the user whose token it is, and the session it was made in; a token of ``user_token`` has none."""
    claims = _claims(project, request)
    if not claims.get("sub"):
        raise AuthRefused(403, "bad_jwt", "invalid claim: missing sub claim")
    user = project.users.by_id.get(str(claims["sub"]))
    if user is None:
        raise AuthRefused(403, "user_not_found", "User from sub claim in JWT does not exist")
    session = str(claims.get("session_id") or "")
    if session and session not in project.users.sessions:
        raise AuthRefused(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return user, session


def _administrator(project: Project, request: Request) -> None:
    if _claims(project, request).get("role") not in {"service_role", "supabase_admin"}:
        raise AuthRefused(403, "not_admin", "User not allowed")


def _named(project: Project, request: Request, id: str) -> User:
    _administrator(project, request)
    if id not in project.users.by_id:
        if not _UUID.fullmatch(id):
            raise AuthRefused(404, "validation_failed", "user_id must be an UUID")
        raise AuthRefused(404, "user_not_found", "User not found")
    return project.users.by_id[id]


# --- what is given ----------------------------------------------------------------------------------------------------


def _body(request: Request) -> dict[str, Any]:
    try:
        content: object = json.loads(request.body.read() or b"{}")
    except ValueError as error:
        raise AuthRefused(400, "bad_json", f"Could not parse request body as JSON: {error}") from None
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _email(body: Mapping[str, Any]) -> str:
    email = str(body.get("email") or "")
    if not _EMAIL.fullmatch(email):
        raise AuthRefused(400, "validation_failed", "Unable to validate email address: invalid format")
    return email


def _password(body: Mapping[str, Any]) -> str:
    password = str(body.get("password") or "")
    if len(password) < _SHORTEST:
        raise AuthRefused(422, "weak_password", f"Password should be at least {_SHORTEST} characters.")
    return password


def _mapping(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    given = body.get(name)
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise AuthRefused(400, "validation_failed", f"Bad Pagination Parameters: {name}")
    return int(text)


def _change(project: Project, user: User, body: Mapping[str, Any]) -> dict[str, Any]:
    if body.get("email"):
        other = project.users.with_email(_email(body))
        if other is not None and other is not user:
            message = "A user with this email address has already been registered"
            raise AuthRefused(422, "email_exists", message)
        user.email = _email(body).lower()
    if body.get("password"):
        user.password = _password(body)
    user.user_metadata.update(_mapping(body, "user_metadata"))
    user.updated_at = project.now
    return _facts(user)


# --- what is answered -------------------------------------------------------------------------------------------------


def _signed_in(project: Project, user: User, session: Session) -> dict[str, Any]:
    now, seconds = int(project.now.timestamp()), int(LIFETIME.total_seconds())
    claims = {
        "aud": "authenticated",
        "exp": now + seconds,
        "iat": now,
        "sub": user.id,
        "email": user.email,
        "phone": "",
        "app_metadata": user.app_metadata,
        "user_metadata": user.user_metadata,
        "role": user.role,
        "aal": "aal1",
        "session_id": session.id,
        "is_anonymous": False,
    }
    return {
        "access_token": tokens.mint(claims, secret=project.secret),
        "token_type": "bearer",
        "expires_in": seconds,
        "expires_at": now + seconds,
        "refresh_token": session.refresh_token,
        "user": _facts(user),
    }


def _facts(user: User) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": user.id,
        "aud": "authenticated",
        "role": user.role,
        "email": user.email,
        "phone": "",
        "app_metadata": user.app_metadata,
        "user_metadata": user.user_metadata,
        "identities": [],
        "created_at": user.created_at.isoformat(),
        "updated_at": user.updated_at.isoformat(),
        "is_anonymous": False,
    }
    moments = {"email_confirmed_at": user.confirmed_at, "confirmed_at": user.confirmed_at}
    known = {**moments, "last_sign_in_at": user.last_sign_in_at}
    return facts | {name: moment.isoformat() for name, moment in known.items() if moment is not None}
