"""The disk by folder handles: below the root no name is ever looked up through a symlink.

A path is looked up anew by each call that takes it, and whoever may write into one of its folders may bend it in
between. A handle stays with the folder it was opened on.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    InvalidKey,
    NotFound,
    NotSupported,
    PermissionDenied,
    Unavailable,
    from_os_error,
)
from audiostore.keys import Key
from audiostore.models import ObjectStat
from audiostore.protocols import Progress

OWN_FOLDER = ".audiostore"
"""The folder below the root that is ours; no key starts with a dot, so no object can be in it."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not make us wait for a writer
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EMLINK})
_CANT_SYNC_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_FOLDER_STAYS = frozenset(
    {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
)


class Told:
    """A caller's progress callback, and what it raised: that goes through as it is, an ``OSError`` too."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.raised: OSError | None = None

    def __call__(self, done: int) -> None:
        if self._progress is None:
            return
        try:
            self._progress(done, None)
        except OSError as error:
            self.raised = error
            raise


@contextmanager
def translated(what: str, told: Told | None = None) -> Generator[None]:
    """Turn what the disk says about *what* into this library's errors."""
    try:
        yield
    except OSError as error:
        if isinstance(error, AudioStoreError) or (told is not None and error is told.raised):
            raise
        raise _from_disk(error, what) from error


def _from_disk(error: OSError, what: str) -> AudioStoreError:
    match error.errno:
        case errno.EEXIST:
            return AlreadyExists(what)
        case errno.ENOTDIR | errno.EISDIR:
            return NotFound(what)
        case errno.ENAMETOOLONG:
            return InvalidKey(what, "longer than this file system can hold")
        case errno.EXDEV:
            return NotSupported("storing into a folder on another file system", "LocalBackend")
        case _:
            return from_os_error(error, what)


@dataclass(frozen=True, slots=True)
class Disk:
    """A root folder, and whether what is done below it must outlive a power cut."""

    root: Path
    durable: bool = True

    def reach(self, names: Sequence[str]) -> Folders:
        """Open the folders *names*, as deep as they are there."""
        return Folders(self._open_root()).descend(names, lambda folders, name: folders.enter_if_there(name))

    def enter(self, names: Sequence[str]) -> Folders:
        """Open the folders *names*. Raises FileNotFoundError where one is missing."""
        return Folders(self._open_root()).descend(names, lambda folders, name: folders.enter(name))

    def make(self, names: Sequence[str], mode: int = 0o777) -> Folders:
        """Open the folders *names*, made where they are missing. Raises AlreadyExists where a file is in the way."""
        return Folders(self._open_root()).descend(names, lambda folders, name: folders.make(name, mode))

    def create_root(self) -> None:
        """Make the root and the folders above it, if they are missing, and keep them."""
        missing = [each for each in (self.root, *self.root.parents) if not each.exists()]
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            handle = os.open(folder.parent, _OPEN_FOLDER)
            try:
                self.sync_folder(handle)
            finally:
                os.close(handle)

    def sync_file(self, file: int) -> None:
        if self.durable:
            os.fsync(file)

    def sync_folder(self, folder: int) -> None:
        if not self.durable:
            return
        try:
            os.fsync(folder)
        except OSError as error:  # some network file systems keep folders by themselves, and say so
            if error.errno not in _CANT_SYNC_FOLDERS:
                raise

    def _open_root(self) -> int:
        try:
            return os.open(self.root, _OPEN_FOLDER)
        except (FileNotFoundError, NotADirectoryError) as error:
            # A disk that is not mounted must not look like one whose objects are all gone.
            raise Unavailable(f"{self.root} (the root folder is gone)", retryable=True) from error


class Folders:
    """Open handles of a row of folders, from the root down."""

    def __init__(self, root: int) -> None:
        self.names: tuple[str, ...] = ()
        self._handles = [root]
        self._shallowest_new: int | None = None

    @property
    def last(self) -> int:
        """The handle of the deepest one."""
        return self._handles[-1]

    def descend(self, names: Sequence[str], step: Callable[[Folders, str], bool]) -> Self:
        try:
            for name in names:
                if not step(self, name):
                    break
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def enter(self, name: str) -> bool:
        self._handles.append(_open_folder(name, self.last))
        self.names += (name,)
        return True

    def enter_if_there(self, name: str) -> bool:
        try:
            return self.enter(name)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def make(self, name: str, mode: int) -> bool:
        try:
            return self.enter(name)
        except FileNotFoundError:
            self._mkdir(name, mode)
        except NotADirectoryError as error:
            raise AlreadyExists("/".join((*self.names, name))) from error
        return self.enter(name)

    def leave(self) -> None:
        os.close(self._handles.pop())
        self.names = self.names[:-1]

    def prune(self) -> None:
        """Remove the deepest folders for as long as they are empty, and leave them; the root stays."""
        while self.names:
            try:
                os.rmdir(self.names[-1], dir_fd=self._handles[-2])
            except FileNotFoundError:  # somebody else just did
                pass
            except OSError as error:
                if error.errno in _FOLDER_STAYS:
                    return
                raise
            self.leave()

    def sync(self, disk: Disk) -> None:
        """Keep the entries of the deepest folder, and of those in which a folder was made on the way."""
        deepest = len(self._handles) - 1
        first = deepest if self._shallowest_new is None else min(self._shallowest_new, deepest)
        for handle in reversed(self._handles[first:]):
            disk.sync_folder(handle)

    def close(self) -> None:
        while self._handles:
            os.close(self._handles.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and self._shallowest_new is not None:
                self.prune()  # a folder made for something that failed is a trace of it
        finally:
            self.close()

    def _mkdir(self, name: str, mode: int) -> None:
        try:
            os.mkdir(name, mode, dir_fd=self.last)
        except FileExistsError:  # somebody else just did, and keeps it before answering
            return
        if self._shallowest_new is None:
            self._shallowest_new = len(self._handles) - 1


def _open_folder(name: str, parent: int) -> int:
    try:
        return os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        # Systems differ in what they say to a symlink here; a file in the way must not look like an attack.
        if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise PermissionDenied(f"{name} (a symlink)") from error
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from error


def open_file(name: str | Path, folder: int | None = None, *, follow: bool = False) -> int:
    """Open a regular file for reading; nothing else, and no symlink unless told to *follow* the caller's own."""
    file = os.open(name, _OPEN_FILE | (0 if follow else os.O_NOFOLLOW), dir_fd=folder)
    try:
        check_regular(os.fstat(file), str(name))
    except BaseException:
        os.close(file)
        raise
    return file


def look(name: str, folder: int) -> os.stat_result:
    """Stat a regular file. Raises like ``open_file``."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    check_regular(found, name)
    return found


def check_regular(found: os.stat_result, what: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise NotFound(what)
    if not stat.S_ISREG(found.st_mode):
        raise PermissionDenied(f"{what} (not a regular file)")


def entries(folder: int) -> list[str]:
    """List names in the order of the keys below them: a folder's name ends in ``/``, as it does inside a key."""
    names: list[str] = []
    with os.scandir(folder) as found:
        for each in found:
            if each.is_dir(follow_symlinks=False):
                names.append(each.name + "/")
            elif each.is_file(follow_symlinks=False):
                names.append(each.name)
    return sorted(names)


def as_object(key: Key, found: os.stat_result) -> ObjectStat:
    return ObjectStat(key=key, size=found.st_size, modified_at=datetime.fromtimestamp(found.st_mtime, UTC))
