"""Objects in a dict: for tests, yours and ours. It is gone with the process."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from audiostore.errors import AlreadyExists, ChecksumMismatch, NotFound, NotSupported, from_os_error
from audiostore.keys import Key
from audiostore.models import ObjectStat, SignedUrl, Staged, UploadGrant, parse_text
from audiostore.protocols import Capabilities, Progress
from audiostore.streams import CHUNK, ByteStream, clamp_range, read_range


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    since: datetime

    def as_object(self, key: Key) -> ObjectStat:
        return ObjectStat(key=key, size=len(self.data), modified_at=self.since)


class MemoryBackend:
    """Keep objects in memory, with the semantics of every other backend.

    >>> MemoryBackend().name
    'memory'
    """

    def __init__(self, *, name: str = "memory") -> None:
        self._name = parse_text("name", name)
        # Each step below is one dict operation, which is atomic by itself: no lock that a fork could leave locked.
        self._kept: dict[Key, _Kept] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        tell: Progress = progress or (lambda done, resume: None)
        data = bytearray()
        for chunk in _chunks(staged):
            data += chunk
            tell(len(data), None)
        _check(key, staged, data)
        tell(len(data), None)
        return self._keep(key, bytes(data))

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        data = self._find(key).data
        return read_range(io.BytesIO(data), *clamp_range(start, end, len(data)))

    def stat(self, key: Key) -> ObjectStat:
        return self._find(key).as_object(key)

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        return frozenset(key for key in keys if self._kept.pop(key, None) is not None)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        below = f"{Key(prefix)}/" if prefix else ""
        keys = sorted(key for key in tuple(self._kept) if key.startswith(below))
        return (kept.as_object(key) for key in keys if (kept := self._kept.get(key)))

    def copy(self, source: Key, target: Key) -> ObjectStat:
        return self._keep(target, self._find(source).data)

    def move(self, source: Key, target: Key) -> ObjectStat:
        moved = self._keep(target, self._find(source).data)
        self._kept.pop(source, None)
        return moved

    def sign(
        self, keys: Sequence[Key], *, expires: timedelta, download_as: str | None = None
    ) -> Mapping[Key, SignedUrl]:
        _not_supported("sign")

    def sign_upload(
        self, key: Key, *, size: int, content_type: str, expires: timedelta, reservation: str
    ) -> UploadGrant:
        _not_supported("sign_upload")

    def close(self) -> None:
        """Nothing is held open; the objects stay."""

    def _find(self, key: Key) -> _Kept:
        kept = self._kept.get(key)
        if kept is None:
            raise NotFound(key)
        return kept

    def _keep(self, key: Key, data: bytes) -> ObjectStat:
        kept = _Kept(data, datetime.now(UTC))
        if self._kept.setdefault(key, kept) is not kept:
            raise AlreadyExists(key)
        return kept.as_object(key)


def _chunks(staged: Staged) -> Iterator[bytes]:
    try:
        with staged.path.open("rb") as file:
            # One byte more than promised is enough to know that the file has grown.
            left = staged.size + 1
            while left and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise from_os_error(error, str(staged.path)) from error


def _check(key: Key, staged: Staged, data: bytearray) -> None:
    if len(data) != staged.size:
        raise ChecksumMismatch(key, expected=f"{staged.size} bytes", actual=f"{len(data)} bytes or more")
    digest = hashlib.sha256(data).hexdigest()
    if digest != staged.sha256:
        raise ChecksumMismatch(key, expected=staged.sha256, actual=digest)


def _not_supported(operation: str) -> NoReturn:
    raise NotSupported(operation, "MemoryBackend")
