"""Sections come to this disk before they are needed, several at a time, and go when they were used.

How far ahead is bounded by the bytes that lie here. All decisions are the caller's thread's; workers only download.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from audiostore.errors import Cancelled, ChecksumMismatch, NotFound
from audiostore.export.references import Heard
from audiostore.export.results import MissingSection
from audiostore.store import AudioStore

Fetched = Path | MissingSection


class Fetching:
    """Fetches *wanted* in order. ``take`` gives the files of one batch, ``release`` lets go of them.

    *ahead* is in bytes; a batch comes as a whole, whatever it takes, and further ones as far as there is room.
    """

    def __init__(
        self,
        store: AudioStore,
        batches: Sequence[Sequence[Heard]],
        folder: Path,
        *,
        owner: str,
        workers: int,
        ahead: int,
        cancelled: Callable[[], bool],
    ) -> None:
        self._store = store
        self._batches = batches
        self._wanted = [(number, each) for number, batch in enumerate(batches) for each in batch]
        self._folder = folder
        self._owner = owner
        self._ahead = ahead
        self._cancelled = cancelled
        self._stopped = Event()
        self._released: set[int] = set()
        self._futures: dict[tuple[int, int], Future[Fetched]] = {}
        self._next = 0
        self._held = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="audiostore-export")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for number, each in self._wanted[: self._next]:
            self._file(number, each).unlink(missing_ok=True)

    def take(self, batch: int) -> list[tuple[Heard, Fetched]]:
        """Wait for the files of *batch*, verified; a section that can't be had is said to be missing.

        Raises:
            Unavailable, StorageFull, PermissionDenied: it may be there, and could not be fetched.
            Cancelled: that was wished.

        """
        self._go_on(batch)
        return [(each, self._futures[batch, each.section].result()) for each in self._batches[batch]]

    def release(self, batch: int) -> None:
        """Remove what ``take(batch)`` gave (or would have given), and go on with what there is room for now."""
        self._released.add(batch)
        for each in self._batches[batch]:
            future = self._futures.pop((batch, each.section), None)
            if future is None or each.original is not None:
                continue
            if not future.cancel():
                future.exception()  # only waits: nobody wants it any more
            self._file(batch, each).unlink(missing_ok=True)
            self._held -= each.size
        self._go_on(batch)

    def _go_on(self, batch: int) -> None:
        while self._next < len(self._wanted):
            number, each = self._wanted[self._next]
            size = each.size if each.original is None else 0
            if number in self._released:
                self._next += 1
                continue
            if number > batch and self._held + size > self._ahead:
                return
            self._held += size
            self._futures[number, each.section] = self._pool.submit(self._fetch, number, each)
            self._next += 1

    def _fetch(self, number: int, each: Heard) -> Fetched:
        if each.original is not None:
            return each.original
        assert each.stored is not None
        path = self._file(number, each)
        try:
            return self._store.download_to(each.stored, path, owner=self._owner, progress=self._watch)
        except NotFound:
            if not self._folder.is_dir():
                raise
            return each.missing("missing")
        except ChecksumMismatch:
            return each.missing("unreadable", "its bytes are not those that were stored")

    def _watch(self, done: int, resume: str | None) -> None:
        if self._stopped.is_set() or self._cancelled():
            raise Cancelled("the fetching of sections")

    def _file(self, number: int, each: Heard) -> Path:
        return self._folder / f"{number}-{each.section}"
