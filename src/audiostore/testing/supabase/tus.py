"""Routes of ``/upload/resumable``: TUS 1.0.0 with creation, creation-with-upload, deferred length and termination.

Their refusals carry an honest status and a line of text; only a refused token is told as everywhere else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from audiostore.testing.supabase import refusals
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.authority import tus_actor_of
from audiostore.testing.supabase.model import (
    Project,
    TusUpload,
    check_bucket_name,
    check_key,
    check_path,
    check_type,
    size_limit,
)
from audiostore.testing.supabase.refusals import tus, tus_headers
from audiostore.testing.supabase.signing import upload_claims
from audiostore.testing.supabase.wire import Disconnected, Request, Response, plain

_SPOKEN: Final = (
    "Authorization, Content-Type, Location, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Concat, "
    "Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset, X-HTTP-Method-Override, X-Requested-With, "
    "X-Forwarded-Host, X-Forwarded-Proto, Forwarded,"
)
_ALWAYS: Final = {"access-control-expose-headers": _SPOKEN, "tus-resumable": "1.0.0"}
_TEXT: Final = {"content-type": "text/plain;charset=UTF-8"}
_SECONDS: Final = re.compile(r"-?\d+", re.ASCII)
_OCTETS: Final = "application/offset+octet-stream"
_OPTIONS: Final = {
    **_ALWAYS,
    "access-control-allow-headers": f"{_SPOKEN} Authorization, X-Upsert, Upload-Expires, ApiKey, x-signature",
    "access-control-allow-methods": "POST, HEAD, PATCH, OPTIONS, DELETE",
    "access-control-max-age": "86400",
    "tus-extension": "creation,creation-with-upload,creation-defer-length,termination,expiration",
    "tus-max-size": "629145600",
    "tus-version": "1.0.0",
}

Handler = Callable[[Project, Request, Mapping[str, str]], Response]


def spoken_in_tus(handle: Handler) -> Handler:
    """Tell what *handle* refuses as TUS does, and let every answer carry its two headers."""

    def handled(project: Project, request: Request, names: Mapping[str, str]) -> Response:
        try:
            response = handle(project, request, names)
        except refusals.NotAuthenticated as refused:
            return refused.response()
        except refusals.TusHeadersRefused as refused:
            return plain(refused.message, status=int(refused.status), headers={"tus-resumable": "1.0.0"})
        except refusals.Refusal as refused:
            response = plain(refused.message, status=int(refused.status))
        return replace(response, headers={**_ALWAYS, **response.headers})

    return handled


def options(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    return Response(status=204, headers=_OPTIONS)


@spoken_in_tus
def create(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    signed = request.path.startswith("/upload/resumable/sign")
    actor = None if signed else tus_actor_of(project, request)
    _check_version(request)
    length = _declared_length(request)
    metadata = _metadata(request)
    bucket, name = metadata.get("bucketName", ""), metadata.get("objectName", "")
    check_bucket_name(bucket)
    check_key(name)
    with project.lock:
        if length is not None and length > size_limit(project.bucket(bucket), name):
            raise tus(413, "Maximum size exceeded\n")
        owner = _check_right(project, request, actor, bucket, name)
        if "contentType" in metadata:
            check_type(project.bucket(bucket), metadata["contentType"])
        version = project.new_id()
        check_path(bucket, name, version, root="storage-single-tenant")
        seconds = metadata.get("cacheControl", "")
        metadata["cacheControl"] = f"max-age={seconds}" if _SECONDS.fullmatch(seconds) else "no-cache"
        upload = TusUpload(bucket=bucket, name=name, owner=owner, version=version, length=length, metadata=metadata)
        ident = _ident(upload)
        project.uploads[ident] = upload
    location = f"{request.origin}/storage/v1{request.path.rstrip('/')}/{ident}"
    return _created(project, request, upload, location)


def _created(project: Project, request: Request, upload: TusUpload, location: str) -> Response:
    headers = {**_TEXT, "location": location}
    if request.headers.get("content-type") == _OCTETS:
        with upload.lock:
            _append(upload, request)
        headers["upload-offset"] = str(upload.blob.size)
    if _finish(project, upload):
        headers["tus-complete"] = "1"
    return Response(status=201, headers=headers)


@spoken_in_tus
def head(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    if not names.get("signed"):
        tus_actor_of(project, request)
    _check_version(request)
    upload = _upload(project, names["id"])
    with _taken(project, upload):
        headers = {**_TEXT, "cache-control": "no-store", "upload-offset": str(upload.blob.size)}
        if upload.length is None:
            headers["upload-defer-length"] = "1"
        else:
            headers["upload-length"] = str(upload.length)
    packed = ((name, base64.b64encode(value.encode()).decode()) for name, value in upload.metadata.items())
    headers["upload-metadata"] = ",".join(f"{name} {value}" for name, value in packed)
    return Response(status=200, headers=headers)


@spoken_in_tus
def patch(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = None if names.get("signed") else tus_actor_of(project, request)
    _check_version(request)
    if request.headers.get("content-type") != _OCTETS:
        raise tus_headers(400, "Invalid content-type\n")
    bucket, name = _named(names["id"])
    if "upload-offset" not in request.headers:
        raise tus(403, "Upload-Offset header required\n")
    with project.lock:
        _check_right(project, request, actor, bucket, name)
    upload = _upload(project, names["id"])
    with _taken(project, upload):
        _check_offset(upload, request)
        upload.interrupt = request.body.abort
        try:
            _append(upload, request)
        except Disconnected:
            if not request.body.aborted:
                raise
        finally:
            upload.interrupt = None
        headers = {"upload-offset": str(upload.blob.size)}
        if request.body.aborted:
            headers["connection"] = "close"
        if _finish(project, upload):
            headers["tus-complete"] = "1"
    return Response(status=204, headers=headers)


@spoken_in_tus
def delete(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = None if names.get("signed") else tus_actor_of(project, request)
    _check_version(request)
    bucket, name = _named(names["id"])
    with project.lock:
        if actor and not project.may(actor, "insert", bucket, name):
            raise refusals.row_refused()
    upload = _upload(project, names["id"])
    if upload.finished:
        raise tus(410, "The file for this url no longer exists\n")
    with _taken(project, upload), project.lock:
        project.uploads.pop(names["id"], None)
    return Response(status=204)


# --- what is asked of a request ---------------------------------------------------------------------------------------


def _check_version(request: Request) -> None:
    version = request.headers.get("tus-resumable")
    if version is None:
        raise tus_headers(412, "Tus-Resumable Required\n")
    if version != "1.0.0":
        raise tus_headers(400, "Invalid tus-resumable\n")


def _declared_length(request: Request) -> int | None:
    length = request.headers.get("upload-length", "")
    if length.isdecimal():
        return int(length)
    if request.headers.get("upload-defer-length") == "1":
        return None
    raise tus(400, "Upload-Length or Upload-Defer-Length header required\n")


def _metadata(request: Request) -> dict[str, str]:
    header = request.headers.get("upload-metadata")
    if header is None:
        raise tus(400, "Metadata header is required")
    metadata: dict[str, str] = {}
    for each in header.split(","):
        name, _, value = each.strip().partition(" ")
        try:
            metadata[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise tus_headers(400, "Invalid upload-metadata\n") from None
    return metadata


def _check_right(project: Project, request: Request, actor: Actor | None, bucket: str, name: str) -> str:
    """Give the owner, if the bearer may write there now: each PATCH is asked again, also for its ``x-upsert``."""
    if actor is not None:
        project.check_write(actor, bucket, name, upsert=request.headers.get("x-upsert") == "true")
        return actor.sub
    signature = request.headers.get("x-signature")
    if signature is None:
        raise tus(400, "Missing x-signature header")
    claims = upload_claims(project, signature, f"{bucket}/{name}")
    if not claims.get("upsert") and (bucket, name) in project.objects:
        raise refusals.duplicate()
    return str(claims.get("owner") or "")


def _check_offset(upload: TusUpload, request: Request) -> None:
    if request.headers["upload-offset"] != str(upload.blob.size):
        raise tus(409, "Upload-Offset conflict\n")
    later = request.headers.get("upload-length", "")
    if upload.length is None and later.isdecimal():
        upload.length = int(later)
    room = None if upload.length is None else upload.length - upload.blob.size
    if room is not None and request.body.length is not None and request.body.length > room:
        raise tus(413, "upload's size exceeded\n")


# --- uploads ----------------------------------------------------------------------------------------------------------


def _ident(upload: TusUpload) -> str:
    return base64.urlsafe_b64encode(f"{upload.bucket}/{upload.name}/{upload.version}".encode()).rstrip(b"=").decode()


def _named(ident: str) -> tuple[str, str]:
    try:
        place = base64.urlsafe_b64decode(ident + "=" * (-len(ident) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        place = ""
    bucket, _, rest = place.partition("/")
    name, slash, version = rest.rpartition("/")
    if not (slash and version):
        raise tus(400, "Invalid upload id")
    return bucket, name


def _upload(project: Project, ident: str) -> TusUpload:
    _named(ident)
    with project.lock:
        if ident not in project.uploads:
            raise tus(404, "The file for this url was not found\n")
        return project.uploads[ident]


class _taken:  # noqa: N801
    """Take an upload for oneself: who writes to it at the moment is ended, and keeps what has come."""

    def __init__(self, project: Project, upload: TusUpload) -> None:
        self._upload = upload
        self._patience = project.takeover.total_seconds()

    def __enter__(self) -> None:
        if self._upload.lock.acquire(timeout=self._patience):
            return
        while not self._upload.lock.acquire(timeout=0.01):
            interrupt = self._upload.interrupt
            if interrupt is not None:
                interrupt()

    def __exit__(self, *_: object) -> None:
        self._upload.lock.release()


def _append(upload: TusUpload, request: Request) -> None:
    for piece in request.body:
        if upload.length is not None and upload.blob.size + len(piece) > upload.length:
            raise tus(413, "upload's size exceeded\n")
        upload.blob.append(piece)


def _finish(project: Project, upload: TusUpload) -> bool:
    """Make the object once all bytes are there: before that none sees it."""
    if upload.finished or upload.length is None or upload.blob.size < upload.length:
        return False
    upload.finished = True
    with project.lock:
        project.store(
            bucket=upload.bucket,
            name=upload.name,
            owner=upload.owner,
            blob=upload.blob,
            content_type=upload.metadata.get("contentType", "application/octet-stream"),
            cache_control=upload.metadata["cacheControl"],
            user_metadata=_user_metadata(upload.metadata.get("metadata")),
            version=upload.version,
        )
    return True


def _user_metadata(spelled: str | None) -> dict[str, Any] | None:
    try:
        content: object = json.loads(spelled or "null")
    except ValueError:
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) else None
