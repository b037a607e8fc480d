"""A stored file to the event loop: opened once, read here and there, each read in a thread."""

from __future__ import annotations

import io
import os
from functools import partial
from typing import TYPE_CHECKING

from audiostore.aio.holding import Holding

if TYPE_CHECKING:
    from audiostore.aio.threads import Threads


class AsyncFile(Holding[io.BufferedReader]):
    """A stored file, open for reading, that can seek; ``size`` in bytes, ``name`` as the file is called.

    Only ``read`` waits for the storage, in a thread; ``seek`` and ``tell`` are awaited as in other asynchronous files.
    Reads take turns. One that is cancelled has read nothing: the next one begins at the same place. Let go of it by
    ``aclose()`` or ``async with``; dropped, it lets go of itself.
    """

    def __init__(self, file: io.BufferedReader, threads: Threads) -> None:
        from asyncio import Lock  # slow to load; who opens one of these has it already

        self.name = str(file.name)
        self.size = file.seek(0, os.SEEK_END)  # reads nothing: it is known from the record
        super().__init__(file, threads)
        self._position = 0
        self._turn = Lock()

    async def read(self, size: int = -1) -> bytes:
        """Give *size* bytes, fewer only where the file ends; all that is left if *size* is negative or not given.

        Raises:
            ValueError: it was closed. NotFound, Unavailable: as the storage says.

        """
        async with self._turn:
            file, at = self._opened(), self._position
            left = max(0, self.size - at)
            wanted = left if size < 0 else min(size, left)
            content = await self._threads.call(partial(_read, file, at, wanted))
            self._position = at + len(content)
        return content

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to *offset* bytes from the start (``os.SEEK_CUR``: from here, ``os.SEEK_END``: from the end); give where.

        Raises:
            ValueError: before the start, another *whence*, or it was closed.

        """
        async with self._turn:
            self._opened()
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}.get(whence)
            if base is None:
                raise ValueError(f"invalid whence {whence}")
            if base + offset < 0:
                raise ValueError(f"negative seek position {base + offset}")
            self._position = base + offset
            return self._position

    async def tell(self) -> int:
        """Give the place of the next byte that is read."""
        self._opened()
        return self._position

    def _opened(self) -> io.BufferedReader:
        if self._held is None:
            raise ValueError("the file is closed")
        return self._held


def _read(file: io.BufferedReader, at: int, size: int) -> bytes:
    file.seek(at)  # where it stands itself after a read that was cancelled, nobody knows
    return file.read(size)
