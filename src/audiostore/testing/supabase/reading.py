"""Routes that read objects: their bytes, whole or a range, and the facts about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final
from urllib.parse import quote

from audiostore.testing.supabase import refusals
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.authority import actor_of, anyone_of
from audiostore.testing.supabase.model import Project, StoredObject, stamp
from audiostore.testing.supabase.signing import download_claims
from audiostore.testing.supabase.wire import Request, Response, answer

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def download(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _content(request, _found(project, anyone_of(project, request), names))


def download_authenticated(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _content(request, _found(project, actor_of(project, request), names))


def download_public(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _content(request, _found(project, None, names))


def download_signed(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    """The token is all it takes: no row-level security is asked any more."""
    url = f"{names['bucket']}/{names['key']}"
    claims = download_claims(project, request.arguments.get("token"), url)
    with project.lock:
        stored = project.objects.get((names["bucket"], names["key"]))
    if stored is None:
        raise refusals.no_such_key()
    return _content(request, stored, expires=_EPOCH + timedelta(seconds=int(claims["exp"])))


def info(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _facts(_found(project, anyone_of(project, request), names))


def info_authenticated(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _facts(_found(project, actor_of(project, request), names))


def info_public(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return _facts(_found(project, None, names))


def _found(project: Project, actor: Actor | None, names: Mapping[str, str]) -> StoredObject:
    with project.lock:
        bucket = project.bucket(names["bucket"])
        if bucket.public:
            actor = Actor(role="service_role")
        if actor is None:
            raise refusals.no_such_bucket()
        return project.visible(actor, bucket.id, names["key"])


def _facts(stored: StoredObject) -> Response:
    facts = {
        "id": stored.id,
        "name": stored.name,
        "version": stored.version,
        "bucket_id": stored.bucket_id,
        "size": stored.blob.size,
        "content_type": stored.content_type,
        "cache_control": stored.cache_control,
        "etag": stored.blob.etag,
        "metadata": stored.user_metadata,
        "last_modified": stamp(stored.last_modified),
        "created_at": stamp(stored.created_at),
    }
    described = {
        "etag": stored.blob.etag,
        "last-modified": format_datetime(stored.last_modified, usegmt=True),
        "cache-control": stored.cache_control,
    }
    return answer(facts, headers=described)


# --- bytes ------------------------------------------------------------------------------------------------------------


def _content(request: Request, stored: StoredObject, *, expires: datetime | None = None) -> Response:
    headers = _headers(request, stored, expires)
    size = stored.blob.size
    if request.method == "HEAD":
        return Response(status=200, headers=headers | {"content-length": str(size)})
    if _unchanged(request, stored):
        return Response(status=304, headers=headers | {"content-length": "0"})
    if "if-none-match" in request.headers and "cache-control" in headers:
        headers["cache-control"] += ", stale-while-revalidate=30"
    if stored.lost:
        raise refusals.internal()
    if "range" not in request.headers:
        return Response(status=200, headers=headers | {"content-length": str(size)}, body=stored.blob.piece())
    start, end = _range(request.headers["range"], size)
    headers |= {"content-range": f"bytes {start}-{end - 1}/{size}", "content-length": str(end - start)}
    return Response(status=206, headers=headers, body=stored.blob.piece(start, end))


def _headers(request: Request, stored: StoredObject, expires: datetime | None) -> dict[str, str]:
    # Pages are not served as pages, so that nobody's upload becomes a site on the project's domain.
    shown = "text/plain" if stored.content_type.startswith("text/html") else stored.content_type
    headers = {
        "accept-ranges": "bytes",
        "content-type": shown,
        "etag": stored.blob.etag,
        "x-robots-tag": "none",
        "last-modified": format_datetime(stored.last_modified, usegmt=True),
    }
    if expires is None:
        headers["cache-control"] = stored.cache_control
    else:
        headers["expires"] = format_datetime(expires, usegmt=True)
    name = request.arguments.get("download")
    if name is not None:
        spelled = quote(name, safe="!'()*-._~")
        headers["content-disposition"] = (
            f"attachment; filename={spelled}; filename*=UTF-8''{spelled}" if name else "attachment;"
        )
    return headers


def _unchanged(request: Request, stored: StoredObject) -> bool:
    """Compare as the server does: one strong tag or none; and the milliseconds of the date, which no caller knows."""
    tag = request.headers.get("if-none-match")
    if tag is not None:
        return tag == stored.blob.etag
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return parsedate_to_datetime(since) >= stored.last_modified
    except ValueError:
        return False


def _range(header: str, size: int) -> tuple[int, int]:
    match = _RANGE.fullmatch(header)
    first, last = match.groups() if match else ("", "")
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    elif last:
        start, end = max(size - int(last), 0), size
    else:
        raise refusals.invalid_range()
    if start >= end:
        raise refusals.invalid_range()
    return start, end
