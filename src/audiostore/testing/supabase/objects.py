"""Routes that change objects: upload, signed upload, move, copy, remove."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from audiostore.testing.supabase import refusals, schema
from audiostore.testing.supabase.authority import actor_of
from audiostore.testing.supabase.blobs import Blob
from audiostore.testing.supabase.model import (
    Project,
    check_key,
    check_path,
    check_type,
    row,
    size_limit,
)
from audiostore.testing.supabase.multipart import boundary_of, media_type, read_form
from audiostore.testing.supabase.signing import upload_claims
from audiostore.testing.supabase.wire import Request, Response, answer

_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Incoming:
    content: Iterable[bytes]
    length: int | None
    content_type: str
    cache_control: str
    user_metadata: dict[str, Any]
    measured: bool = False
    """Its size is looked at when all of it is there; a raw body that does not tell its length is looked at by none."""


def upload(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    bucket, name = names["bucket"], names["key"]
    upsert = request.method == "PUT" or request.headers.get("x-upsert") == "true"
    incoming = _incoming(request)
    with project.lock:
        _check_fit(project, bucket, name, incoming)
        project.check_write(actor, bucket, name, upsert=upsert)
        version = project.new_id()
        check_path(bucket, name, version)
        limit = size_limit(project.bucket(bucket), name)
    stored = _receive(project, incoming, bucket=bucket, name=name, owner=actor.sub, version=version, limit=limit)
    return answer({"Key": f"{bucket}/{name}", "Id": stored})


def upload_signed(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    bucket, name = names["bucket"], names["key"]
    claims = upload_claims(project, request.arguments.get("token"), f"{bucket}/{name}")
    incoming = _incoming(request)
    with project.lock:
        _check_fit(project, bucket, name, incoming)
        if not claims.get("upsert") and (bucket, name) in project.objects:
            raise refusals.duplicate()
        version = project.new_id()
        check_path(bucket, name, version)
        limit = size_limit(project.bucket(bucket), name)
    owner = str(claims.get("owner") or "")
    _receive(project, incoming, bucket=bucket, name=name, owner=owner, version=version, limit=limit)
    return answer({"Key": f"{bucket}/{name}"})


def _check_fit(project: Project, bucket: str, name: str, incoming: _Incoming) -> None:
    check_key(name)
    found = project.bucket(bucket)
    check_type(found, incoming.content_type)
    if incoming.length is not None and incoming.length > size_limit(found, name):
        raise refusals.too_large()


def _receive(
    project: Project, incoming: _Incoming, *, bucket: str, name: str, owner: str, version: str, limit: int
) -> str:
    """Take the bytes, then make the row. Whether it existed was asked before: of two at once the later one wins."""
    blob = Blob()
    for piece in incoming.content:
        blob.append(piece)
    if incoming.measured and blob.size > limit:
        raise refusals.too_large()
    with project.lock:
        project.bucket(bucket)
        stored = project.store(
            bucket=bucket,
            name=name,
            owner=owner,
            blob=blob,
            content_type=incoming.content_type,
            cache_control=incoming.cache_control,
            user_metadata=incoming.user_metadata,
            version=version,
        )
    return stored.id


def _incoming(request: Request) -> _Incoming:
    declared = request.headers.get("content-type", "")
    boundary = boundary_of(declared)
    if boundary is None:
        return _Incoming(
            content=request.body,
            length=request.body.length,
            content_type=declared or _DEFAULT_TYPE,
            cache_control=request.headers.get("cache-control") or "no-cache",
            user_metadata=_metadata(_unpacked(request.headers.get("x-metadata", ""))),
        )
    form = read_form(request.body, boundary)
    if form.content is None:
        raise refusals.no_content()
    seconds = form.fields.get("cacheControl")
    return _Incoming(
        content=form.content,
        length=None,
        content_type=media_type(form.content_type or _DEFAULT_TYPE),
        cache_control=f"max-age={seconds}" if seconds else "no-cache",
        user_metadata=_metadata(form.fields.get("metadata", "")),
        measured=True,
    )


def _unpacked(header: str) -> str:
    try:
        return base64.b64decode(header).decode(errors="replace")
    except binascii.Error:
        return ""


def _metadata(spelled: str) -> dict[str, Any]:
    """Read it; what is not an object in JSON is passed over in silence."""
    try:
        content: object = json.loads(spelled)
    except ValueError:
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


# --- move and copy ----------------------------------------------------------------------------------------------------


def move(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    source, target = _ends(request)
    with project.lock:
        found = project.visible(actor, *source)
        if not project.may(actor, "update", *source):
            raise refusals.no_such_key()
        if not project.may(actor, "update", *target):
            raise refusals.row_refused()
        if source != target:
            if target in project.objects:
                raise refusals.duplicate("ResourceAlreadyExists")
            version = project.new_id()
            check_path(*target, version)
            moved = replace(found, bucket_id=target[0], name=target[1], version=version, last_modified=project.now)
            del project.objects[source]
            project.objects[target] = moved
    return answer({"message": "Successfully moved"})


def copy(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    source, target = _ends(request)
    with project.lock:
        found = project.visible(actor, *source)
        project.check_write(actor, *target, upsert=request.headers.get("x-upsert") == "true")
        project.bucket(target[0])
        version = project.new_id()
        check_path(*target, version)
        made = project.store(
            bucket=target[0],
            name=target[1],
            owner=actor.sub,
            blob=found.blob,
            content_type=found.content_type,
            cache_control=found.cache_control,
            user_metadata=found.user_metadata,
            version=version,
        )
    return answer({"Key": f"{target[0]}/{target[1]}", "Id": made.id, **row(made)})


def _ends(request: Request) -> tuple[tuple[str, str], tuple[str, str]]:
    body = schema.json_body(request)
    schema.require(body, "bucketId", "sourceKey", "destinationKey")
    bucket, target = schema.text(body, "bucketId"), schema.text(body, "destinationKey")
    check_key(target)
    return (bucket, schema.text(body, "sourceKey")), (schema.text(body, "destinationBucket", bucket), target)


# --- remove -----------------------------------------------------------------------------------------------------------


def remove(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    """Answer with the rows that went, and only those: whatever is missing or not one's own is no error here."""
    actor, bucket = actor_of(project, request), names["bucket"]
    wanted = set(schema.texts(schema.json_body(request), "prefixes"))
    with project.lock:
        gone = [
            project.objects.pop((bucket, name))
            for name in sorted(wanted)
            if (bucket, name) in project.objects
            and project.may(actor, "select", bucket, name)
            and project.may(actor, "delete", bucket, name)
        ]
    return answer([row(each) for each in gone])


def remove_one(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor, place = actor_of(project, request), (names["bucket"], names["key"])
    with project.lock:
        if place not in project.objects:
            raise refusals.no_such_key()
        if not project.may(actor, "delete", *place):
            raise refusals.access_denied()
        del project.objects[place]
    return answer({"message": "Successfully deleted"})
