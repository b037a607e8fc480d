"""Bytes of objects: small ones in memory, what is over 1 MiB in an unnamed file."""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import Final

SPILL: Final = 1024 * 1024
_PIECE: Final = 256 * 1024


class Blob:
    """Grows by ``append`` until it is an object's; from then on it is only read, by any number of threads."""

    def __init__(self, pieces: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._kept = bytearray()
        self._file: int | None = None
        self._digest = hashlib.md5(usedforsecurity=False)
        for piece in pieces:
            self.append(piece)

    @property
    def etag(self) -> str:
        return f'"{self._digest.hexdigest()}"'

    @property
    def in_memory(self) -> bool:
        return self._file is None

    def append(self, piece: bytes) -> None:
        if self._file is None and self.size + len(piece) > SPILL:
            self._spill()
        if self._file is None:
            self._kept += piece
        else:
            _write_at(self._file, piece, self.size)
        self._digest.update(piece)
        self.size += len(piece)

    def piece(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Give the bytes from *start* up to, not with, *end*."""
        at, end = start, self.size if end is None else end
        while at < end:
            until = min(at + _PIECE, end)
            yield bytes(self._kept[at:until]) if self._file is None else os.pread(self._file, until - at, at)
            at = until

    def _spill(self) -> None:
        with tempfile.TemporaryFile(prefix="fake-supabase-") as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        _write_at(self._file, bytes(self._kept), 0)
        self._kept.clear()


def _write_at(file: int, content: bytes, at: int) -> None:
    left = memoryview(content)
    while left:
        written = os.pwrite(file, left, at)
        left, at = left[written:], at + written
