"""The bucket itself: made private and for audio, or compared with what it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from audiostore.backends.supabase.server import Server, fields
from audiostore.errors import AlreadyExists, ConfigurationError

AUDIO_TYPES = ("audio/*", "video/mp4", "video/webm", "application/ogg", "application/octet-stream")
"""Audio, the containers that are also video's, and files whose type nobody could tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketReport:
    """What ``ensure_bucket`` found or did: ``existed``, ``created``, and what differs, as ``name: is, should be``."""

    bucket: str
    existed: bool
    created: bool
    differences: Mapping[str, tuple[Any, Any]]

    @property
    def ok(self) -> bool:
        """The bucket is there and as it should be."""
        return (self.existed or self.created) and not self.differences


def ensure(server: Server, limit: int | None, types: Sequence[str], *, change: bool) -> BucketReport:
    wanted = {"public": False, "file_size_limit": limit, "allowed_mime_types": list(types)}
    found = _look(server)
    if found is None and change:
        made = {"id": server.bucket, "name": server.bucket, **wanted}
        try:
            server.call("POST", "/bucket", f"bucket {server.bucket}", data=made)
        except AlreadyExists:
            found = _look(server)  # another process was faster
        if found is None:
            return BucketReport(bucket=server.bucket, existed=False, created=True, differences={})
    if found is None:
        return BucketReport(bucket=server.bucket, existed=False, created=False, differences={})
    differences = {
        name: (found.get(name), value) for name, value in wanted.items() if _plain(found.get(name)) != _plain(value)
    }
    return BucketReport(bucket=server.bucket, existed=True, created=False, differences=differences)


def _look(server: Server) -> Mapping[str, Any] | None:
    try:
        return fields(server.call("GET", server.path("/bucket"), f"bucket {server.bucket}", repeatable=True))
    except ConfigurationError:
        return None


def _plain(value: object) -> object:
    return sorted(cast("list[str]", value)) if isinstance(value, list) else value
