"""An app's backend as it was before: the statements it sends, whoever counts behind them."""

from __future__ import annotations

import json
import uuid
from typing import Any, cast

from tests.postgres.databases import Connection, Database

ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"
DAVE = "dddddddd-0000-4000-8000-000000000004"
RECORD = (
    "insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)"
    " values (%s, 'p', 'f', %s, %s) returning id"
)


class OldBackend:
    """Records uploads and reads the numbers, with the service's key."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def records(self, user: str | None, megabytes: float, path: str | None = None) -> uuid.UUID:
        path = path or f"{user}/p/{uuid.uuid4()}"
        with self.database.acting("service_role") as connection:
            ((made,),) = connection.execute(RECORD, [user, megabytes, path]).fetchall()
        assert isinstance(made, uuid.UUID)
        return made

    def deletes(self, *records: uuid.UUID) -> None:
        with self.database.acting("service_role") as connection:
            connection.execute("delete from public.file_uploads where id = any (%s)", [list(records)])

    def used(self, user: str) -> float | None:
        """Tell the megabytes that the row of credits shows; None: there is no row."""
        rows = self.database.rows("select storage_used_mb from public.user_credits where user_id = %s", user)
        return float(rows[0][0]) if rows and rows[0][0] is not None else None

    def quota(self, user: str) -> int | None:
        rows = self.database.rows("select storage_quota_mb from public.user_credits where user_id = %s", user)
        return rows[0][0] if rows else None

    def fits(self, user: str, megabytes: float) -> bool:
        """Check the quota as it did: no row is nothing of 500, and what is null passes."""
        used, quota = self.used(user), self.quota(user)
        return self.quota(user) is None or (used or 0) + megabytes <= (quota or 500)


def committed(database: Database, owner: str) -> int:
    rows = database.rows("select committed from audiostore.accounts where owner = %s", owner)
    return rows[0][0] if rows else 0


def call(database: Database, method: str, **request: object) -> dict[str, Any]:
    """Go through one of our doors, as the service."""
    with database.acting("service_role") as connection:
        return called(connection, method, **request)


def called(connection: Connection, method: str, **request: object) -> dict[str, Any]:
    ((told,),) = connection.execute(f"select public.audiostore_{method}(%s)".encode(), [json.dumps(request)])
    return cast("dict[str, Any]", told)


def reservation(owner: str, size: int, path: str | None = None) -> dict[str, object]:
    """Give the request of an upload, as the door ``reserve`` takes it."""
    made = str(uuid.uuid4())
    return {
        "id": made, "owner": owner, "key": path or f"{owner}/{made}.wav", "backend": "supabase", "size": size,
        "filename": "take.wav", "content_type": "audio/wav", "metadata": {}, "ttl": 900, "hold": 60, "limits": None,
    }  # fmt: skip


def stores(database: Database, owner: str, size: int) -> dict[str, Any]:
    """Reserve and commit, and give the answer of the one that counts."""
    asked = reservation(owner, size)
    if (told := call(database, "reserve", request=asked))["status"] != "ok":
        return told
    written = {"size": size, "sha256": "0" * 64, "content_type": "audio/wav", "duration": None}
    return call(database, "commit", reservation=asked["id"], written=written, limits=None, only_over=None)
