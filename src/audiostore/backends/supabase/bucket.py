"""The bucket itself: made private and for audio, or compared with what it should be, and changed if asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from audiostore.backends.supabase.server import Server, fields
from audiostore.errors import AlreadyExists, ConfigurationError, FileTooLarge, PermissionDenied
from audiostore.sizes import format_size

AUDIO_TYPES = ("audio/*", "video/mp4", "video/webm", "application/ogg", "application/octet-stream")
"""Audio, the containers that are also video's, and files whose type nobody could tell."""

Differences = Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketReport:
    """What ``ensure_bucket`` found and did.

    ``differences`` are those that are left, and ``changed`` those that were, as ``name: (is, should be)`` and
    ``name: (was, is)``; the names are ``public``, ``file_size_limit`` (bytes) and ``allowed_mime_types``, and ``None``
    is no limit. ``wanted`` is the bucket as it should be.
    """

    bucket: str
    wanted: Mapping[str, Any]
    existed: bool
    created: bool = False
    differences: Differences = field(default_factory=dict[str, tuple[Any, Any]])
    changed: Differences = field(default_factory=dict[str, tuple[Any, Any]])

    @property
    def ok(self) -> bool:
        """The bucket is there, private, and takes what it should. It may take more: ``differences`` tells."""
        return (self.existed or self.created) and not self.faults

    @property
    def faults(self) -> Differences:
        """The differences that do harm: a public bucket, or one that refuses what should be let in."""
        return {name: pair for name, pair in self.differences.items() if _HARMS[name](*pair)}


def ensure(server: Server, limit: int | None, types: Sequence[str], *, change: bool, fix: bool) -> BucketReport:
    wanted = {"public": False, "file_size_limit": limit, "allowed_mime_types": list(types)}
    found = _look(server)
    if found is None and change:
        made = _make(server, wanted)
        return _compared(server, wanted, _look(server), created=made)
    report = _compared(server, wanted, found)
    if not (change and fix and report.differences):
        return report
    _change(server, {name: wanted[name] for name in report.differences})
    after = _compared(server, wanted, _look(server))
    settled = {name: pair for name, pair in report.differences.items() if name not in after.differences}
    return BucketReport(
        bucket=server.bucket, wanted=wanted, existed=True, differences=after.differences, changed=settled
    )


def _compared(
    server: Server, wanted: Mapping[str, Any], found: Mapping[str, Any] | None, *, created: bool = False
) -> BucketReport:
    differences = {
        name: (found.get(name), value)
        for name, value in wanted.items()
        if found is not None and _plain(found.get(name)) != _plain(value)
    }
    existed = found is not None and not created
    return BucketReport(bucket=server.bucket, wanted=wanted, existed=existed, created=created, differences=differences)


def _look(server: Server) -> Mapping[str, Any] | None:
    try:
        return fields(server.call("GET", server.path("/bucket"), f"bucket {server.bucket}", repeatable=True))
    except ConfigurationError:
        # To everyone but the service key every bucket is missing.
        if not server.accessing().serves:
            raise PermissionDenied(f"bucket {server.bucket}: that takes the service key") from None
        return None


def _make(server: Server, wanted: Mapping[str, Any]) -> bool:
    """Tell whether it was us: another process may be faster. After a lost answer, so was our own first try."""
    try:
        _tell(server, "POST", "/bucket", {"id": server.bucket, "name": server.bucket, **wanted})
    except AlreadyExists:
        return False
    return True


def _change(server: Server, values: Mapping[str, Any]) -> None:
    _tell(server, "PUT", server.path("/bucket"), values)  # what is left out stays; None takes a limit away


def _tell(server: Server, method: str, path: str, values: Mapping[str, Any]) -> None:
    try:
        server.call(method, path, f"bucket {server.bucket}", data=values, repeatable=True)
    except FileTooLarge:
        limit = format_size(values.get("file_size_limit"))
        raise ConfigurationError(
            f"bucket {server.bucket}: {limit} a file is over the limit of the whole project;"
            " it is raised in the dashboard, Storage > Settings"
        ) from None


def _plain(value: object) -> object:
    return sorted(cast("list[str]", value)) if isinstance(value, list) else value


def _is_public(found: Any, wanted: Any) -> bool:
    return bool(found)


def _is_smaller(found: Any, wanted: Any) -> bool:
    return found is not None and (wanted is None or found < wanted)


def _shuts_out(found: Any, wanted: Any) -> bool:
    return found is not None and not all(any(_covers(pattern, each) for pattern in found) for each in wanted)


def _covers(pattern: str, wanted: str) -> bool:
    kind, _, rest = pattern.partition("/")
    return pattern in {wanted, "*/*"} or (rest == "*" and wanted.startswith(f"{kind}/"))


_HARMS = {"public": _is_public, "file_size_limit": _is_smaller, "allowed_mime_types": _shuts_out}
