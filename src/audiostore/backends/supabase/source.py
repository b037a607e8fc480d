"""The staged file on its way out: hashed as it is read, its last bytes held back until all of them are right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from audiostore.errors import ChecksumMismatch, from_os_error
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.protocols import Progress
from audiostore.streams import CHUNK


class Source:
    """Blocks of one staged file, from any offset, as often as it takes.

    ``resume`` is what to go on with, told with every progress. ``error`` is what the file or the caller's progress
    raised, so that it is not taken for the server's trouble.
    """

    def __init__(self, key: Key, staged: Staged, progress: Progress | None) -> None:
        self.key = key
        self.staged = staged
        self.resume: str | None = None
        self.error: BaseException | None = None
        self._progress = progress
        self._told = 0
        # A file of our own staging place was hashed when it was written, and nobody else has it. A caller's may change:
        # that shows here, or afterwards where the caller looks at what was stored.
        self._hashes = not staged.disposable and staged.proof == "write"
        # The digest of everything before an offset: sending goes on from there without reading all of it again.
        self._mark = (0, hashlib.sha256())

    def tell(self, done: int) -> None:
        self._told = max(self._told, done)
        if self._progress is not None:
            self._progress(self._told, self.resume)

    def blocks(self, start: int, length: int) -> Iterator[bytes]:
        """Give *length* bytes from *start*. The last block of the file only leaves when size and digest are right."""
        try:
            yield from self._blocks(start, start + length)
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise

    def whole(self) -> Iterator[bytes]:
        return self.blocks(0, self.staged.size)

    def check_empty(self) -> None:
        """What ``blocks`` does before the last block, for a file that has none."""
        with self._open() as file:
            self._check(file, hashlib.sha256())
        self.tell(0)

    def _blocks(self, start: int, end: int) -> Iterator[bytes]:
        with self._open() as file:
            digest = self._digest_at(file, start).copy()
            position = start
            while position < end:
                block = self._read(file, min(CHUNK, end - position))
                if self._hashes:
                    digest.update(block)
                position += len(block)
                if not block or position == self.staged.size:
                    self._check(file, digest)
                self.tell(position)
                yield block

    def _digest_at(self, file: BinaryIO, offset: int) -> hashlib._Hash:
        if not self._hashes:
            file.seek(offset)
            return self._mark[1]
        position, digest = self._mark if self._mark[0] <= offset else (0, hashlib.sha256())
        digest = digest.copy()
        file.seek(position)
        while position < offset and (block := self._read(file, min(CHUNK, offset - position))):
            digest.update(block)
            position += len(block)
        self._mark = (position, digest)
        return digest

    def _check(self, file: BinaryIO, digest: hashlib._Hash) -> None:
        size = file.tell() + len(self._read(file, 1))
        if size != self.staged.size:
            raise ChecksumMismatch(self.key, expected=f"{self.staged.size} bytes", actual=f"{size} bytes or more")
        if self._hashes and digest.hexdigest() != self.staged.sha256:
            raise ChecksumMismatch(self.key, expected=self.staged.sha256, actual=digest.hexdigest())

    def _open(self) -> BinaryIO:
        try:
            return self.staged.path.open("rb")
        except OSError as error:
            raise from_os_error(error, str(self.staged.path)) from error

    def _read(self, file: BinaryIO, count: int) -> bytes:
        try:
            return file.read(count)
        except OSError as error:
            raise from_os_error(error, str(self.staged.path)) from error
