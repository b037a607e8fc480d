"""Routes of ``/bucket``: rows that only the service key sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audiostore.testing.supabase import refusals, schema
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.authority import actor_of
from audiostore.testing.supabase.model import GLOBAL_LIMIT, Bucket, Project, check_bucket_name, stamp
from audiostore.testing.supabase.wire import Request, Response, answer


def create(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    body = schema.json_body(request)
    schema.require(body, "name")
    limit, types = schema.size(body.get("file_size_limit")), _types(body)
    name = schema.text(body, "id") or schema.text(body, "name")
    check_bucket_name(name)
    _check_limits(limit, types)
    with project.lock:
        if actor.role != "service_role":
            raise refusals.row_refused()
        if name in project.buckets:
            raise refusals.duplicate("BucketAlreadyExists")
        project.buckets[name] = Bucket(
            id=name,
            name=schema.text(body, "name"),
            owner=actor.sub,
            public=bool(body.get("public")),
            file_size_limit=limit,
            allowed_mime_types=types,
            created_at=project.now,
        )
    return answer({"name": name})


def update(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    body = schema.json_body(request)
    limit, types = schema.size(body.get("file_size_limit")), _types(body)
    _check_limits(limit, types)
    with project.lock:
        bucket = _own(project, actor, names["bucket"])
        bucket.public = bool(body.get("public", bucket.public))
        if "file_size_limit" in body:
            bucket.file_size_limit = limit
        if "allowed_mime_types" in body:
            bucket.allowed_mime_types = types
    return answer({"message": "Successfully updated"})


def show(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    with project.lock:
        return answer(_facts(_own(project, actor_of(project, request), names["bucket"])))


def list_all(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor, wanted = actor_of(project, request), request.arguments
    with project.lock:
        rows = list(project.buckets.values()) if actor.role == "service_role" else []
    rows = [each for each in rows if wanted.get("search", "").lower() in each.name.lower()]
    column = wanted.get("sortColumn", "name")
    rows.sort(key=lambda each: str(_facts(each).get(column)), reverse=wanted.get("sortOrder", "asc").lower() == "desc")
    first = int(wanted.get("offset") or 0)
    last = first + int(wanted["limit"]) if wanted.get("limit") else None
    return answer([_facts(each) | {"type": "STANDARD"} for each in rows[first:last]])


def empty(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    with project.lock:
        bucket = _own(project, actor, names["bucket"])
        for key in [each for each in project.objects if each[0] == bucket.id]:
            del project.objects[key]
    return answer({"message": "Empty bucket has been queued. Completion may take up to an hour."})


def delete(project: Project, request: Request, names: Mapping[str, str]) -> Response:
    actor = actor_of(project, request)
    with project.lock:
        bucket = _own(project, actor, names["bucket"])
        if any(each == bucket.id for each, _ in project.objects):
            raise refusals.not_empty()
        del project.buckets[bucket.id]
    return answer({"message": "Successfully deleted"})


def _own(project: Project, actor: Actor, name: str) -> Bucket:
    if actor.role != "service_role":
        raise refusals.no_such_bucket()
    return project.bucket(name)


def _types(body: dict[str, Any]) -> list[str] | None:
    return None if body.get("allowed_mime_types") is None else schema.texts(body, "allowed_mime_types")


def _check_limits(limit: int | None, types: list[str] | None) -> None:
    for each in types or ():
        if "/" not in each:
            raise refusals.invalid_mime_type(each)
    if limit is not None and limit > GLOBAL_LIMIT:
        raise refusals.too_large()


def _facts(bucket: Bucket) -> dict[str, Any]:
    return {
        "id": bucket.id,
        "name": bucket.name,
        "owner": bucket.owner,
        "public": bucket.public,
        "file_size_limit": bucket.file_size_limit,
        "allowed_mime_types": bucket.allowed_mime_types,
        "created_at": stamp(bucket.created_at),
        "updated_at": stamp(bucket.created_at),  # the server does not touch it when a bucket is updated
    }
