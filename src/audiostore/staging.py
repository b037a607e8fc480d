"""Staging: one pass over the bytes that measures, hashes and sniffs them while they land where they can be published.

Each put has a folder of its own in the staging place, locked as long as its process lives. So equally named files
never meet, and a sweep can tell what a killed process left from what a slow one still works on.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from audiostore import media
from audiostore.cancelling import check_cancelled
from audiostore.errors import AudioStoreError, StorageFull, from_os_error
from audiostore.ids import new_id
from audiostore.models import Staged
from audiostore.sources import BLOCK, Opened, Source, base_name, opened

_T = TypeVar("_T")
_log = logging.getLogger("audiostore")

_FLUSH = 8 * BLOCK
"""Bytes after which the kernel is asked to begin writing to the disk, so that the last fsync finds little to do."""

Refusal = Callable[[int], AudioStoreError]
"""Given the bytes seen so far, the error to raise."""


class StagingArea:
    """One put's own folder. Everything in it is deleted when the put is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(
        self,
        source: Source,
        *,
        filename: str | None = None,
        default: str | None = None,
        content_type: str | None = None,
        limit: int | None = None,
        refuse: Refusal | None = None,
        move: bool = False,
    ) -> Staged:
        """Read *source* to its end into this folder.

        The name is *filename*, else the source's own, else *default* with the suffix of what the bytes are.

        *limit* is in bytes; the first byte above it stops the reading and raises what *refuse* makes of it.
        With *move*, a path on this file system is linked instead of copied.

        Raises:
            StorageFull: no room, seen before the copy where the size is known.
            What ``opened`` raises, and whatever the caller's own iterator or file raises, unchanged.

        """
        with opened(source) as incoming:
            self._check_room(incoming.size, limit, refuse, moved=move and incoming.path is not None)
            path = self._new_path()
            if not (move and incoming.path is not None and _link(incoming.path, path)):
                size, sha256, head = self._copy(incoming, path, limit, refuse)
            else:
                size, sha256, head = _measure(path)
        name = base_name(filename) or incoming.filename
        kind = media.normalise(content_type) if content_type else media.sniff(head) or media.type_of_name(name or "")
        kind = kind or "application/octet-stream"
        return Staged(
            path=path,
            size=size,
            sha256=sha256,
            content_type=kind,
            filename=name or Path(default or "audio").stem + media.suffix_for(kind),
        )

    def settle(self, before: Staged, after: Staged) -> Staged:
        """Measure what a processor gave; its size, digest and type are facts, not claims.

        The filename keeps its stem, and takes the suffix of what the bytes are now.
        """
        if after.path == before.path:
            return after
        size, sha256, head = _measure(after.path)
        kind = media.sniff(head) or media.type_of_name(after.path.name) or after.content_type
        name = after.filename
        if name == before.filename and kind != before.content_type:
            name = Path(name).stem + (after.path.suffix.lower() or media.suffix_for(kind))
        return replace(after, size=size, sha256=sha256, content_type=kind, filename=name)

    def _new_path(self) -> Path:
        return self.folder / new_id()

    def _check_room(self, size: int | None, limit: int | None, refuse: Refusal | None, *, moved: bool) -> None:
        if size is None:
            return
        if limit is not None and size > limit and refuse is not None:
            raise refuse(size)
        free = 0 if moved else _free(self.folder)
        if not moved and size > free:
            raise StorageFull(str(self.folder), needed=size, free=free)

    def _copy(self, incoming: Opened, path: Path, limit: int | None, refuse: Refusal | None) -> tuple[int, str, bytes]:
        size, unflushed, digest, head = 0, 0, hashlib.sha256(), b""
        fd = _os(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, what=self.folder)
        try:
            for block in incoming.blocks:
                check_cancelled()
                size += len(block)
                if limit is not None and size > limit and refuse is not None:
                    raise refuse(size)
                if len(head) < media.SNIFF_BYTES:
                    head += bytes(block[: media.SNIFF_BYTES - len(head)])
                digest.update(block)
                _write_all(fd, block, self.folder)
                unflushed += len(block)
                if unflushed >= _FLUSH:
                    _begin_writeback(fd, size - unflushed, unflushed)
                    unflushed = 0
        finally:
            os.close(fd)
        return size, digest.hexdigest(), head


@contextmanager
def staging_area(place: Path | None) -> Generator[StagingArea]:
    """Open a folder of one's own below *place* (``None``: the temp folder) and remove it with all it holds."""
    place = place or _temp_place()
    # Each by itself: of the folders that are missing, only the last gets the mode.
    for folder in (place.parent, place):
        _os(os.makedirs, folder, 0o700, exist_ok=True, what=place)
    folder, lock = _locked_folder(place)
    try:
        yield StagingArea(folder)
    finally:
        _remove(folder)
        os.close(lock)


def sweep_staging(place: Path | None, older_than: timedelta) -> int:
    """Remove folders that dead processes left; how many. One that is locked is alive, however old.

    Raises PermissionDenied if *place* can't be read; what can't be opened in it belongs to someone else, and stays.
    """
    place = place or _temp_place()
    if not place.is_dir():
        return 0
    return sum(_swept(folder, older_than) for folder in _os(lambda: list(place.iterdir()), what=place))


def _swept(folder: Path, older_than: timedelta) -> bool:
    try:
        if time.time() - folder.stat().st_mtime < older_than.total_seconds():
            return False
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False  # its owner finished meanwhile, or it is not ours
    except OSError as error:
        _log.warning("left in staging, since it can't be opened: %s (%s)", folder.name, error.strerror)
        return False
    try:
        if alone := _locked(lock):
            _remove(folder)
        return alone
    finally:
        os.close(lock)


def _temp_place() -> Path:
    import tempfile  # it loads half the standard library, and most stores never come here

    return Path(tempfile.gettempdir()) / f"audiostore-staging-{os.getuid()}"


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _remove(folder: Path) -> None:
    # What a processor nested deeper is rare enough for shutil, which is slow to load. What stays is swept later.
    try:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    except OSError:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(place: Path) -> tuple[Path, int]:
    while True:
        folder = place / new_id()
        _os(os.mkdir, folder, 0o700, what=place)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # a sweep with a zero age took it between the two calls
        if _locked(lock) and folder.exists():
            return folder, lock
        os.close(lock)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _link(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:  # another file system, or one without hard links: copy instead
        return False
    return True


def _measure(path: Path) -> tuple[int, str, bytes]:
    with opened(path) as incoming:
        size, digest, head = 0, hashlib.sha256(), b""
        for block in incoming.blocks:
            check_cancelled()
            size += len(block)
            digest.update(block)
            if len(head) < media.SNIFF_BYTES:
                head += bytes(block[: media.SNIFF_BYTES - len(head)])
    return size, digest.hexdigest(), head


def _write_all(fd: int, block: bytes | memoryview, folder: Path) -> None:
    view = memoryview(block)
    while view:
        view = view[_os(os.write, fd, view, what=folder) :]


def _begin_writeback(fd: int, start: int, count: int) -> None:
    # DONTNEED on dirty pages starts their writeback and keeps them until it is done; it is a hint, so no error matters.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, start, count, os.POSIX_FADV_DONTNEED)


def _os(call: Callable[..., _T], *args: object, what: Path, **options: object) -> _T:
    try:
        return call(*args, **options)
    except OSError as error:
        raise from_os_error(error, str(what)) from error
