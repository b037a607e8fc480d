"""What a migration asks of the place that audio comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from audiostore.migrate.protocols import Item, Outcome
from audiostore.models import AudioFile, Metadata, Place, Staged
from audiostore.protocols import Backend
from audiostore.streams import ByteStream

Standing: TypeAlias = Literal["same", "changed", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file of a source: ``name`` is what references may call it, ``owner`` whose it is, where the source knows.

    ``problem`` tells why it can't be migrated; ``facts`` are kept with the item, e.g. to see whether it changed.
    """

    address: str
    name: str
    size: int = 0
    owner: str | None = None
    place: Place | None = None
    problem: tuple[Outcome, str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """The bytes of one item at hand, and what the source knows of them.

    ``replaces`` is the record of the target that is only to get its bytes elsewhere. ``md5`` is a hex digest, where it
    was asked for.
    """

    staged: Staged
    md5: str | None = None
    place: Place | None = None
    metadata: Metadata = field(default_factory=dict[str, Any], hash=False)
    replaces: AudioFile | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)


class MigrationSource(Protocol):
    """A folder, a bucket or a store that is only read, until somebody asks for ``erase``."""

    @property
    def title(self) -> str:
        """What it is called in reports, and what a job is known by."""
        ...

    @property
    def backends(self) -> frozenset[str | None] | None:
        """What references say of files that lie here; ``None``: anything."""
        ...

    @property
    def switches(self) -> bool:
        """Whether the target's records only get their bytes elsewhere, under the same id."""
        ...

    def scan(self) -> Iterator[Found]:
        """Every file, each once, without opening it."""
        ...

    def is_audio(self, found: Found) -> bool:
        """Tell whether it is audio, by its name or its first bytes."""
        ...

    def candidates(self, path: str) -> tuple[str, ...]:
        """The names that a reference's *path* may stand for, the likeliest first."""
        ...

    def bring(self, item: Item, staging: Path | None, *, md5: bool = False) -> AbstractContextManager[Incoming]:
        """Measure the bytes of *item*, with their *md5* too, and hold them ready: below *staging*, if they are fetched.

        Raises:
            NotFound: it is gone. PermissionDenied: it may not be read. Unavailable: the source can't be reached.
        """
        ...

    def look(self, item: Item, facts: Mapping[str, Any]) -> Standing:
        """Tell whether the file is still the one that *facts* were measured of. Raises Unavailable."""
        ...

    def erase(self, item: Item) -> bool:
        """Delete the original; False, and nothing done, if it is gone or another one by now."""
        ...

    def close(self) -> None: ...


class Digests:
    """sha256, md5 and size of bytes that pass by."""

    def __init__(self, *, md5: bool = False) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        # What storage servers give as an etag.
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None

    def update(self, block: bytes | memoryview) -> None:
        self.size += len(block)
        self._sha256.update(block)
        if self._md5 is not None:
            self._md5.update(block)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str | None:
        return None if self._md5 is None else self._md5.hexdigest()

    def passing(self, stream: ByteStream) -> Iterator[bytes]:
        """Give the chunks of *stream* on their way into staging, which measures all but their md5."""
        for chunk in stream:
            if self._md5 is not None:
                self._md5.update(chunk)
            yield chunk


def title_of(backend: Backend) -> str:
    """Say which backend, as it says it of itself."""
    told = type(backend).__repr__ is not object.__repr__
    return f"{backend.name}:{backend!r}" if told else backend.name
