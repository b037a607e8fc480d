"""What goes on while bytes flow: the reservation is kept alive, and trouble of the two ends is told apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from audiostore.cancelling import check_cancelled
from audiostore.errors import AudioStoreError, Unavailable
from audiostore.protocols import Progress


class Heartbeat:
    """Keeps a reservation alive while its bytes flow, and with it whatever is needed to resume."""

    def __init__(
        self,
        extend: Callable[[str | None], None],
        interval: timedelta,
        resume: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.error: AudioStoreError | None = None
        self._extend = extend
        self._interval = interval.total_seconds()
        self._resume = resume
        self._progress = progress
        self._last = time.monotonic()

    def __call__(self, done: int, resume: str | None) -> None:
        check_cancelled()
        if self._progress is not None:
            self._progress(done, resume)
        if resume != self._resume or time.monotonic() - self._last >= self._interval:
            try:
                self._extend(resume)
            except AudioStoreError as error:
                self.error = error  # the catalog's trouble, not the backend's
                raise
            self._resume, self._last = resume, time.monotonic()


class StorageOutage(Exception):
    """An ``Unavailable`` of the backend, told apart from one of the catalog: only this one has a fallback."""

    def __init__(self, error: Unavailable) -> None:
        super().__init__(str(error))
        self.error = error
