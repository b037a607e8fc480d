"""Which route answers which path, and the two things the web framework says by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote

from audiostore.testing.supabase import auth, buckets, listing, objects, reading, refusals, rest, signing, tus
from audiostore.testing.supabase.model import Project
from audiostore.testing.supabase.wire import Request, Response, answer

Handler = Callable[[Project, Request, Mapping[str, str]], Response]

_BUCKET: Final = r"(?P<bucket>[^/]+)"
_OBJECT: Final = rf"{_BUCKET}/(?P<key>.*)"
_TUS: Final = "/upload/resumable"
_ANY: Final = "*"
_TUS_ID: Final = rf"{_TUS}/(?:(?P<signed>sign)/)?(?P<id>[^/]+)"
_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("POST", "/bucket", buckets.create),
    ("GET", "/bucket", buckets.list_all),
    ("GET", f"/bucket/{_BUCKET}", buckets.show),
    ("PUT", f"/bucket/{_BUCKET}", buckets.update),
    ("POST", f"/bucket/{_BUCKET}/empty", buckets.empty),
    ("DELETE", f"/bucket/{_BUCKET}", buckets.delete),
    ("OPTIONS", rf"{_TUS}(?:/.*)?", tus.options),
    ("POST", rf"{_TUS}(?:/.*)?", tus.create),
    ("HEAD", _TUS_ID, tus.head),
    ("PATCH", _TUS_ID, tus.patch),
    ("DELETE", _TUS_ID, tus.delete),
    ("POST", f"/object/list/{_BUCKET}", listing.list_v1),
    ("POST", f"/object/list-v2/{_BUCKET}", listing.list_v2),
    ("POST", "/object/move", objects.move),
    ("POST", "/object/copy", objects.copy),
    ("POST", f"/object/sign/{_BUCKET}", signing.sign_many),
    ("POST", f"/object/sign/{_OBJECT}", signing.sign),
    ("GET", f"/object/sign/{_OBJECT}", reading.download_signed),
    ("POST", f"/object/upload/sign/{_OBJECT}", signing.sign_upload),
    ("PUT", f"/object/upload/sign/{_OBJECT}", objects.upload_signed),
    ("GET", f"/object/info/public/{_OBJECT}", reading.info_public),
    ("GET", f"/object/info/authenticated/{_OBJECT}", reading.info_authenticated),
    ("GET", f"/object/info/{_OBJECT}", reading.info),
    ("GET", f"/object/public/{_OBJECT}", reading.download_public),
    ("GET", f"/object/authenticated/{_OBJECT}", reading.download_authenticated),
    ("GET", f"/object/{_OBJECT}", reading.download),
    ("POST", f"/object/{_OBJECT}", objects.upload),
    ("PUT", f"/object/{_OBJECT}", objects.upload),
    ("DELETE", f"/object/{_BUCKET}", objects.remove),
    ("DELETE", f"/object/{_OBJECT}", objects.remove_one),
    ("POST", "/auth/v1/signup", auth.sign_up),
    ("POST", "/auth/v1/token", auth.token),
    ("GET", "/auth/v1/user", auth.show_own),
    ("PUT", "/auth/v1/user", auth.change_own),
    ("POST", "/auth/v1/logout", auth.sign_out),
    ("GET", "/auth/v1/admin/users", auth.list_users),
    ("POST", "/auth/v1/admin/users", auth.create_user),
    ("GET", "/auth/v1/admin/users/(?P<id>[^/]+)", auth.show_user),
    ("PUT", "/auth/v1/admin/users/(?P<id>[^/]+)", auth.change_user),
    ("DELETE", "/auth/v1/admin/users/(?P<id>[^/]+)", auth.remove_user),
    (_ANY, "/auth/v1/.*", auth.nothing_here),
    (_ANY, r"/rest/v1/rpc/(?P<function>[^/]+)", rest.answer_rpc),
    (_ANY, r"/rest/v1/(?P<table>[^/]+)", rest.answer_table),
    (_ANY, r"/rest/v1/?.*", rest.answer_other),
)
_COMPILED: Final = tuple((method, re.compile(path), handler) for method, path, handler in _ROUTES)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def route(project: Project, request: Request) -> Response:
    """Answer *request* as the real server would, refusals included; raises ``Disconnected`` if its body breaks off."""
    try:
        response = _routed(project, request)
    except refusals.Refusal as refused:
        response = refused.response()
    date = format_datetime(project.now.astimezone(UTC), usegmt=True)
    headers = {"date": date, "access-control-allow-origin": "*", **response.headers}
    if request.method == "HEAD":
        return replace(response, headers=headers, body=())
    return replace(response, headers=headers)


def _routed(project: Project, request: Request) -> Response:
    method = "GET" if request.method == "HEAD" and not request.path.startswith(_TUS) else request.method
    other = "" if method == "OPTIONS" else _ANY
    for accepted, path, handler in _COMPILED:
        match = path.fullmatch(request.path) if accepted in {method, other} else None
        if match:
            named = {name: part for name, part in match.groupdict().items() if part is not None}
            if any(_BAD_ESCAPE.search(part) for part in named.values()):
                return refusals.bad_escape(request.path)
            return handler(project, request, {name: unquote(part) for name, part in named.items()})
    if method == "OPTIONS":
        return _preflight(request)
    if request.path.startswith(_TUS):
        message = f"Route {request.method}:{request.path} not found"
        return answer({"message": message, "error": "Not Found", "statusCode": 404}, status=404)
    raise refusals.no_route(request.method, request.path)


def _preflight(request: Request) -> Response:
    """Let a page of any origin ask with any headers, as the gateway before the server does."""
    headers = {
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS",
        "access-control-allow-headers": request.headers.get("access-control-request-headers", "*"),
        "access-control-max-age": "86400",
    }
    return Response(status=204, headers=headers)
