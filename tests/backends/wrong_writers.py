"""Backends that store wrongly."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError

from audiostore.errors import AlreadyExists, Unavailable
from audiostore.keys import Key
from audiostore.models import ObjectStat, Staged
from audiostore.protocols import Progress
from audiostore.streams import ByteStream
from tests.backends.wrong import Wrong


class Overwrites(Wrong, caught_by="nothing_is_overwritten"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        self._kept.pop(key, None)
        return super().write(key, staged, resume=resume, progress=progress)


class KeepsTheFirstSilently(Wrong, caught_by="nothing_is_overwritten"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        try:
            return super().write(key, staged, resume=resume, progress=progress)
        except AlreadyExists:
            return self.stat(key)


class TakesTheSameBytesTwice(Wrong, caught_by="nothing_is_overwritten"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if key in self._kept and self._kept[key].data == staged.path.read_bytes():
            return self.stat(key)
        return super().write(key, staged, resume=resume, progress=progress)


class LooksBeforeItWrites(Wrong, caught_by="of_many_writers_of_one_key_one_wins_whole"):
    def __init__(self) -> None:
        super().__init__()
        self._time_for_others_to_look = Barrier(2)

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if key in self._kept:
            raise AlreadyExists(key)
        with suppress(BrokenBarrierError):
            self._time_for_others_to_look.wait(timeout=1)
        return self._replace(key, staged.path.read_bytes())


class ShowsHalves(Wrong, caught_by="progress_is_told_before_the_object_is_there"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if key in self._kept:
            raise AlreadyExists(key)
        data = staged.path.read_bytes()
        self._replace(key, data[: len(data) // 2])
        if progress:
            progress(len(data), None)
        return self._replace(key, data)


class LeavesHalves(Wrong, caught_by="a_failed_write_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        try:
            return super().write(key, staged, resume=resume, progress=progress)
        except (LookupError, OSError) as error:
            if not isinstance(error, AlreadyExists):
                self._replace(key, b"half")
            raise


class DressesUpWhatProgressRaises(Wrong, caught_by="a_failed_write_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        try:
            return super().write(key, staged, resume=resume, progress=progress)
        except (LookupError, OSError) as error:
            if isinstance(error, AlreadyExists):
                raise
            raise Unavailable(key) from error


class NeverTellsProgress(Wrong, caught_by="progress_is_told_before_the_object_is_there"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        return super().write(key, staged, resume=resume)


class TrustsTheSize(Wrong, caught_by="a_source_that_changed_is_refused_and_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        if progress:
            progress(staged.size, None)
        return self._keep(key, staged.path.read_bytes()[: staged.size])


class NoticesOnlyTheSize(Wrong, caught_by="a_source_that_changed_is_refused_and_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        digest = hashlib.sha256(staged.path.read_bytes()).hexdigest()
        return super().write(key, replace(staged, sha256=digest), resume=resume, progress=progress)


class TakesTheCallersFile(Wrong, caught_by="a_callers_own_file_is_only_read"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        written = super().write(key, staged, resume=resume, progress=progress)
        staged.path.unlink()
        return written


class PointsToTheCallersFile(Wrong, caught_by="a_callers_own_file_may_change_afterwards"):
    """As one does that links a caller's file instead of copying it."""

    def __init__(self) -> None:
        super().__init__()
        self._linked: dict[Key, Path] = {}

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        self._linked[key] = staged.path
        return super().write(key, staged, resume=resume, progress=progress)

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        self._replace(key, self._linked[key].read_bytes())
        return super().read(key, start, end)


class LetsForeignErrorsOut(Wrong, caught_by="a_source_that_is_gone_leaves_nothing"):
    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        staged.path.stat()
        return super().write(key, staged, resume=resume, progress=progress)
