"""A backend on the bench: the few steps that the tests of any backend are made of."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from audiostore.errors import NotFound
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.protocols import Backend


def stage_bytes(data: bytes, folder: Path, *, disposable: bool = False) -> Staged:
    """Put *data* into a new file in *folder*, as a store hands it to a backend."""
    path = folder / new_id()
    path.write_bytes(data)
    return Staged(
        path=path,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        content_type="audio/wav",
        filename="take.wav",
        disposable=disposable,
    )


def differs_at(found: bytes, expected: bytes) -> int | None:
    """Tell where two long runs of bytes part, ``None`` if nowhere.

    A test that compared them with ``==`` would have pytest look for a readable difference for minutes when it fails.
    """
    if found == expected:
        return None
    pairs = zip(found, expected, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(found), len(expected)))


class Bench:
    """A backend on the bench, and a folder in it that belongs to one test."""

    def __init__(self, backend: Backend, files: Path) -> None:
        self.backend = backend
        self.files = files
        self.folder = f"suite-{new_id()}"

    def key(self, path: str) -> Key:
        return Key(f"{self.folder}/{path}")

    def stage(self, data: bytes, *, disposable: bool = False) -> Staged:
        place = self.backend.capabilities.staging if disposable else None
        return stage_bytes(data, place or self.files, disposable=disposable)

    def write(self, path: str, data: bytes = b"sound", *, disposable: bool = True) -> Key:
        self.backend.write(self.key(path), self.stage(data, disposable=disposable))
        return self.key(path)

    def read(self, key: Key, start: int = 0, end: int | None = None) -> bytes:
        with self.backend.read(key, start, end) as stream:
            return b"".join(stream)

    def listed(self, path: str = "") -> list[str]:
        prefix = f"{self.folder}/{path}" if path else self.folder
        return [each.key.removeprefix(f"{self.folder}/") for each in self.backend.list(prefix)]

    def is_missing(self, key: Key) -> bool:
        with suppress(NotFound):
            self.backend.stat(key)
            return False
        return key not in {each.key for each in self.backend.list(self.folder)}

    def clean(self) -> None:
        self.backend.delete([each.key for each in self.backend.list(self.folder)])
