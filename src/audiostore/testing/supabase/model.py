"""The state of one project: its buckets, objects and uploads, who may do what, its clock and its ids."""

from __future__ import annotations

import random
import re
import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from audiostore.testing.supabase import refusals, tokens
from audiostore.testing.supabase.actors import OPERATIONS, Actor, Operation
from audiostore.testing.supabase.blobs import Blob
from audiostore.testing.supabase.database.memory import MemoryDatabase
from audiostore.testing.supabase.database.tables import View
from audiostore.testing.supabase.database.types import sql_type
from audiostore.testing.supabase.database.verbs import Database
from audiostore.testing.supabase.users import Users

GLOBAL_LIMIT: Final = 629_145_600
PLACEHOLDER: Final = ".emptyFolderPlaceholder"
_KEY: Final = re.compile(r"[A-Za-z0-9_/!.*'() &$=@;:+,?-]+")
_BUCKET: Final = re.compile(r"[A-Za-z0-9_!.*'() &$=@;:+,?-]{1,100}")
_SEGMENT: Final = 255
_BUCKET_COLUMNS: Final = (
    "id:text name:text owner:text created_at:timestamptz updated_at:timestamptz public:boolean "
    "file_size_limit:bigint allowed_mime_types:text[]"
)
_OBJECT_COLUMNS: Final = (
    "id:uuid bucket_id:text name:text owner:text owner_id:text created_at:timestamptz updated_at:timestamptz "
    "metadata:jsonb version:text user_metadata:jsonb"
)


Policy = Callable[[Actor, str, str], bool]
"""May this actor do it to the object of this bucket with this name? Not asked for ``service_role``."""


def own_folder(actor: Actor, bucket: str, name: str) -> bool:
    """Allow a signed-in user the objects below the folder named after their id:
    ``(storage.foldername(name))[1] = auth.uid()::text``, to ``authenticated``.
    """
    folder, slash, _ = name.partition("/")
    return actor.role == "authenticated" and bool(slash and actor.sub) and folder == actor.sub


@dataclass(slots=True, kw_only=True)
class Bucket:
    id: str
    name: str
    owner: str
    public: bool
    file_size_limit: int | None
    allowed_mime_types: list[str] | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One version of an object. ``user_metadata`` is None only where TUS brought none."""

    id: str
    bucket_id: str
    name: str
    owner: str
    version: str
    blob: Blob
    content_type: str
    cache_control: str
    user_metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    last_modified: datetime
    lost: bool = False
    """The row is there, its bytes are not."""


@dataclass(slots=True, kw_only=True)
class TusUpload:
    bucket: str
    name: str
    owner: str
    version: str
    length: int | None
    metadata: dict[str, str]
    blob: Blob = field(default_factory=Blob)
    lock: threading.Lock = field(default_factory=threading.Lock)
    interrupt: Callable[[], None] | None = None
    """Ends the PATCH that is under way."""
    finished: bool = False


class Project:
    """All that a fake knows; every route works on it under ``lock``, and none reads a body under it."""

    def __init__(self, *, secret: str, seed: int | None = None, postgres: Database | None = None) -> None:
        self.secret = secret
        self.postgres = postgres
        self.lock = threading.RLock()
        self.frozen: datetime | None = None
        self.takeover = timedelta(0)
        """How long a request waits for another one's TUS upload before it ends that one; a real server: 3 seconds."""
        self._seed = seed
        self.clear()

    def clear(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.uploads: dict[str, TusUpload] = {}
        self.policies: dict[Operation, Policy] = dict.fromkeys(OPERATIONS, own_folder)
        self.max_rows: int | None = 1000
        self.users = Users(self.new_id)
        self.tables = MemoryDatabase(self)
        self.tables.show(_buckets_view(self), _objects_view(self))
        self._ids = random.SystemRandom() if self._seed is None else random.Random(self._seed)  # noqa: S311

    @property
    def database(self) -> Database:
        """What stands behind ``/rest/v1``."""
        return self.tables if self.postgres is None else self.postgres

    @property
    def now(self) -> datetime:
        return self.frozen or datetime.now(UTC)

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    # --- who ----------------------------------------------------------------------------------------------------------

    def actor(self, authorization: str) -> Actor:
        """Give who bears this ``Authorization``; the word Bearer may be missing."""
        token = re.sub(r"^Bearer\s*", "", authorization)
        try:
            claims = tokens.check(token, secret=self.secret, now=self.now.timestamp())
        except tokens.BadToken as bad:
            raise refusals.NotAuthenticated(str(bad)) from None
        return Actor(role=str(claims.get("role") or "anon"), sub=str(claims.get("sub") or ""), claims=claims)

    def may(self, actor: Actor, operation: Operation, bucket: str, name: str) -> bool:
        if actor.role == "service_role":
            return True
        if actor.role not in {"anon", "authenticated"}:
            raise refusals.unknown_role()
        return self.policies[operation](actor, bucket, name)

    # --- what ---------------------------------------------------------------------------------------------------------

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise refusals.no_such_bucket()
        return self.buckets[name]

    def visible(self, actor: Actor, bucket: str, name: str) -> StoredObject:
        """Give the object if *actor* may see it: what one may not see is missing."""
        if not self.may(actor, "select", bucket, name) or (bucket, name) not in self.objects:
            raise refusals.no_such_key()
        return self.objects[bucket, name]

    def check_write(self, actor: Actor, bucket: str, name: str, *, upsert: bool) -> None:
        """Row-level security is asked before duplicates, so that none learns what others have."""
        exists = (bucket, name) in self.objects
        needed: list[Operation] = ["insert"]
        if upsert:
            needed.append("select")
        if upsert and exists:
            needed.append("update")
        if not all(self.may(actor, each, bucket, name) for each in needed):
            raise refusals.row_refused()
        if exists and not upsert:
            raise refusals.duplicate()

    def store(
        self,
        *,
        bucket: str,
        name: str,
        owner: str,
        blob: Blob,
        content_type: str,
        cache_control: str,
        user_metadata: dict[str, Any] | None,
        version: str | None = None,
    ) -> StoredObject:
        """Make or replace the object: an overwritten one keeps its id and its birthday, nothing else."""
        before = self.objects.get((bucket, name))
        now = self.now
        stored = StoredObject(
            id=before.id if before else self.new_id(),
            bucket_id=bucket,
            name=name,
            owner=owner,
            version=version or self.new_id(),
            blob=blob,
            content_type=content_type,
            cache_control=cache_control,
            user_metadata=user_metadata,
            created_at=before.created_at if before else now,
            updated_at=now,
            last_modified=now,
        )
        self.objects[bucket, name] = stored
        return stored


# --- names and limits -------------------------------------------------------------------------------------------------


def check_key(name: str) -> None:
    if not _KEY.fullmatch(name):
        raise refusals.invalid_key(name)


def check_bucket_name(name: str) -> None:
    if not _BUCKET.fullmatch(name):
        raise refusals.invalid_bucket_name()


def check_path(bucket: str, name: str, version: str, *, root: str = "stub/storage-single-tenant") -> None:
    """The disk behind the recorded server refuses what its alphabet lets through."""
    if {".", ".."} & set(name.split("/")):
        raise refusals.invalid_key(f"{root}/{bucket}/{name}/{version} contains dot path segment")
    if any(len(each) > _SEGMENT for each in name.split("/")):
        raise refusals.internal()


def check_type(bucket: Bucket, content_type: str) -> None:
    """Compare letter by letter, as the server does: a charset or a capital makes another type of it."""
    allowed = bucket.allowed_mime_types
    if allowed is None or any(_fits(content_type, each) for each in allowed):
        return
    raise refusals.invalid_mime_type(content_type)


def _fits(content_type: str, pattern: str) -> bool:
    kind, _, rest = pattern.partition("/")
    return pattern in {content_type, "*/*"} or (rest == "*" and content_type.startswith(f"{kind}/"))


def size_limit(bucket: Bucket, name: str = "") -> int:
    if name.rpartition("/")[2] == PLACEHOLDER:
        return 0
    return GLOBAL_LIMIT if bucket.file_size_limit is None else min(bucket.file_size_limit, GLOBAL_LIMIT)


# --- rows -------------------------------------------------------------------------------------------------------------


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def file_facts(stored: StoredObject) -> dict[str, Any]:
    return {
        "eTag": stored.blob.etag,
        "size": stored.blob.size,
        "mimetype": stored.content_type,
        "cacheControl": stored.cache_control,
        "lastModified": stamp(stored.last_modified),
        "contentLength": stored.blob.size,
        "httpStatusCode": 200,
    }


def row(stored: StoredObject) -> dict[str, Any]:
    """Give it as the whole row of ``storage.objects``, which copy and remove answer with."""
    return {
        "name": stored.name,
        "bucket_id": stored.bucket_id,
        "owner": stored.owner,
        "owner_id": stored.owner,
        "version": stored.version,
        "id": stored.id,
        "updated_at": stamp(stored.updated_at),
        "created_at": stamp(stored.created_at),
        "last_accessed_at": stamp(stored.created_at),
        "metadata": file_facts(stored),
        "user_metadata": stored.user_metadata,
    }


def _buckets_view(project: Project) -> View:
    def rows(actor: Actor) -> list[dict[str, Any]]:
        kept = project.buckets.values() if actor.role == "service_role" else ()
        return [asdict(each) | {"updated_at": each.created_at} for each in kept]

    return _view("buckets", rows, _BUCKET_COLUMNS)


def _objects_view(project: Project) -> View:
    def rows(actor: Actor) -> list[dict[str, Any]]:
        seen = [each for at, each in project.objects.items() if project.may(actor, "select", *at)]
        moments = ("created_at", "updated_at")
        return [row(each) | {name: getattr(each, name) for name in moments} for each in seen]

    return _view("objects", rows, _OBJECT_COLUMNS)


def _view(name: str, rows: Callable[[Actor], list[dict[str, Any]]], columns: str) -> View:
    pairs = (each.split(":") for each in columns.split())
    return View("storage", name, {column: sql_type(kind) for column, kind in pairs}, rows)


def new_secret() -> str:
    return secrets.token_urlsafe(32)
