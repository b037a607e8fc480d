"""How bytes get in: copied into staging where they must be, then given their name all at once, never over another's."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from audiostore.backends.disk import OWN_FOLDER, Disk, Folders, Told, open_file
from audiostore.errors import ChecksumMismatch, StorageFull, Unavailable
from audiostore.keys import Key

_BLOCK = 1024 * 1024
_RACES = 100
_CANT_LINK = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_CANT_CLONE = frozenset({*_CANT_LINK, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.EBADF, errno.ETXTBSY})
_FICLONE = 0x40049409  # linux/fs.h: share the blocks, copy on write


@dataclass(frozen=True, slots=True)
class Loose:
    """A file that is to be published: its name in an open folder, and the bytes it must have."""

    name: str
    folder: int
    size: int


def publish(disk: Disk, loose: Loose, key: Key, told: Told) -> os.stat_result:
    """Move *loose* to *key* for good. What fails leaves *loose* where it was, and no folder that wasn't there.

    Raises:
        OSError: ``EXDEV`` when the two are on different file systems: copy it into staging first.
        ChecksumMismatch: the file is not as long as it was said to be.

    """
    for _ in range(_RACES):
        try:
            with disk.make(key.folders) as folders:
                return _publish_into(disk, folders, loose, key, told)
        except OSError as error:
            if error is told.raised or not _folder_was_pruned(error, loose):
                raise
    raise Unavailable(f"{key} (its folder kept vanishing)", retryable=True)


def _folder_was_pruned(error: OSError, loose: Loose) -> bool:
    # A delete removes folders that are empty for now; ours was, until the bytes got their name in it.
    return error.errno == errno.ENOENT and _is_there(loose.name, loose.folder)


def _publish_into(disk: Disk, folders: Folders, loose: Loose, key: Key, told: Told) -> os.stat_result:
    # The danger is a name that others see; its guards stand around it: the bytes are on the disk before, nothing is
    # ever replaced, the name is on the disk before we answer, and it is taken back if that can't be had.
    file = open_file(loose.name, loose.folder)
    try:
        found = os.fstat(file)
        if found.st_size != loose.size:
            raise ChecksumMismatch(key, expected=f"{loose.size} bytes", actual=f"{found.st_size} bytes")
        if found.st_dev != os.fstat(folders.last).st_dev:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        disk.sync_file(file)
        told(loose.size)
        linked = _name(disk, loose, folders, key.name)
        try:
            folders.sync(disk)
            if linked:
                os.unlink(loose.name, dir_fd=loose.folder)
        except BaseException:
            _take_back(loose, folders, key.name)
            raise
        return found
    finally:
        os.close(file)


def _name(disk: Disk, loose: Loose, folders: Folders, name: str) -> bool:
    try:
        os.link(loose.name, name, src_dir_fd=loose.folder, dst_dir_fd=folders.last, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANT_LINK:
            raise
    else:
        return True
    # Without hard links a rename is all there is, and a rename replaces: among ourselves the lock prevents that.
    with _only_one_renames(disk):
        if _is_there(name, folders.last):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        os.rename(loose.name, name, src_dir_fd=loose.folder, dst_dir_fd=folders.last)
    return False


def _take_back(loose: Loose, folders: Folders, name: str) -> None:
    # Never the last name of the bytes: if the loose one is gone already, it gets them back.
    if _is_there(loose.name, loose.folder):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folders.last)
    else:
        os.rename(name, loose.name, src_dir_fd=folders.last, dst_dir_fd=loose.folder)


@contextmanager
def _only_one_renames(disk: Disk) -> Generator[None]:
    with disk.make((OWN_FOLDER,), 0o700) as own:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open("publish.lock", flags, 0o600, dir_fd=own.last)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def fill(source: int, target: int, size: int, *, what: str, told: Told) -> str:
    """Copy what is left of *source*, which must end at *size* bytes; the sha256 hex digest of what was copied.

    Raises:
        ChecksumMismatch: it is shorter or longer: somebody is changing it.

    """
    done, digest = os.lseek(source, 0, os.SEEK_CUR), hashlib.sha256()
    while block := os.read(source, _BLOCK):
        done += len(block)
        if done > size:
            break
        digest.update(block)
        _write_all(target, block)
        told(done)
    if done != size:
        raise ChecksumMismatch(what, expected=f"{size} bytes", actual=f"{done} bytes")
    return digest.hexdigest()


def clone(source: int, target: int, size: int, *, what: str, where: str) -> None:
    """Copy *size* bytes the cheapest way this file system knows: shared blocks, in the kernel, or through here."""
    if _share_blocks(source, target):
        return
    check_room(target, size, where)
    _copy_in_kernel(source, target, size)
    fill(source, target, size, what=what, told=Told(None))


def _share_blocks(source: int, target: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANT_CLONE:
            raise
        return False
    return True


def _copy_in_kernel(source: int, target: int, size: int) -> None:
    if sys.platform != "linux":
        return
    try:
        # Both handles move on, so that whatever is left is copied from there.
        while (left := size - os.lseek(source, 0, os.SEEK_CUR)) > 0 and os.copy_file_range(source, target, left):
            pass
    except OSError as error:
        if error.errno not in _CANT_CLONE:
            raise


def check_room(target: int, size: int, where: str) -> None:
    """Refuse before a copy that can't fit, rather than at its end."""
    room = os.fstatvfs(target)
    free = room.f_bavail * room.f_frsize
    if room.f_blocks and size > free:  # a file system that counts nothing can't say
        raise StorageFull(where, needed=size, free=free)


def _write_all(target: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(target, view) :]
