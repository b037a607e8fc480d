"""Objects as files below one folder: all or nothing, never overwritten, and on the disk when ``write`` returns."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from audiostore.backends.disk import OWN_FOLDER, Disk, Folders, Told, as_object, entries, look, open_file, translated
from audiostore.backends.publishing import Loose, check_room, clone, fill, publish
from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    ChecksumMismatch,
    InvalidKey,
    NotFound,
    NotSupported,
    PermissionDenied,
)
from audiostore.keys import Key
from audiostore.models import ObjectStat, SignedUrl, Staged, UploadGrant, parse_text
from audiostore.protocols import Capabilities, Progress
from audiostore.staging import staging_area
from audiostore.streams import ByteStream, clamp_range, read_range


class LocalBackend:
    """Keep objects as files below *root*, which is made if it is missing; the folder ``root/.audiostore`` is ours.

    >>> backend = LocalBackend("uploads")

    The root may be a symlink. Below it none is followed: whatever leads through one is ``PermissionDenied``, and
    ``list`` passes over symlinks and over files whose names are no keys. With ``fsync=False`` a write is still all or
    nothing for every reader, but a power cut may undo what was answered: for tests, and for caches.

    Raises:
        PermissionDenied, StorageFull, Unavailable: the root can't be made.

    """

    def __init__(self, root: str | os.PathLike[str], *, name: str = "local", fsync: bool = True) -> None:
        self._name = parse_text("name", name)
        with translated(str(root)):
            # Resolved once: neither os.chdir nor a symlink that is bent later moves the root.
            self._disk = Disk(Path(root).resolve(), durable=fsync)
            self._disk.create_root()

    @property
    def name(self) -> str:
        return self._name

    @property
    def root(self) -> Path:
        """The folder that holds the objects, absolute."""
        return self._disk.root

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(staging=self._staging())

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        told = Told(progress)
        with translated(key, told):
            if staged.disposable:
                try:
                    return self._publish(staged.path, key, staged.size, told)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
            return self._write_copy(key, staged, told)

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        with translated(key), self._disk.enter(key.folders) as folders:
            file = _ObjectFile(open_file(key.name, folders.last), key)
        try:
            first, last = clamp_range(start, end, os.fstat(file.fileno()).st_size)
        except BaseException:
            file.close()
            raise
        return read_range(file, first, last)

    def stat(self, key: Key) -> ObjectStat:
        with translated(key), self._disk.enter(key.folders) as folders:
            return as_object(key, look(key.name, folders.last))

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        removed: set[Key] = set()
        changed: set[tuple[str, ...]] = set()
        refused: list[AudioStoreError] = []
        for names, group in groupby(sorted(set(keys), key=_folders_of), _folders_of):
            with _collecting(refused), translated("/".join(names)), self._disk.reach(names) as folders:
                for key in group if folders.names == names else ():
                    with _collecting(refused), translated(key):
                        removed |= _unlink(key, folders)
                folders.prune()
                # Also where nothing was left to remove: a delete that was killed may not have got this far.
                changed.add(folders.names)
        for names in changed:
            with translated("/".join(names)), self._disk.reach(names) as folders:
                self._disk.sync_folder(folders.last)
        if refused:  # only now, so that one bad key doesn't save the others
            raise refused[0]
        return frozenset(removed)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return self._walk((*Key(prefix).folders, Key(prefix).name) if prefix else ())

    def copy(self, source: Key, target: Key) -> ObjectStat:
        with translated(source), self._disk.enter(source.folders) as folders:
            file = open_file(source.name, folders.last)
        try:
            with translated(target):
                self._refuse_taken(target)
                size = os.fstat(file).st_size
                with self._draft() as (path, draft):
                    clone(file, draft, size, what=source, where=str(self.root))
                    return self._publish(path, target, size, Told(None))
        finally:
            os.close(file)

    def move(self, source: Key, target: Key) -> ObjectStat:
        with translated(source), self._disk.enter(source.folders) as folders:
            found = look(source.name, folders.last)
            with translated(target):
                publish(self._disk, Loose(source.name, folders.last, found.st_size), target, Told(None))
            self._disk.sync_folder(folders.last)
            folders.prune()
        return as_object(target, found)

    def sign(
        self, keys: Sequence[Key], *, expires: timedelta, download_as: str | None = None
    ) -> Mapping[Key, SignedUrl]:
        _not_supported("sign")

    def sign_upload(
        self, key: Key, *, size: int, content_type: str, expires: timedelta, reservation: str
    ) -> UploadGrant:
        _not_supported("sign_upload")

    def close(self) -> None:
        """Nothing is held open between calls."""

    def _staging(self) -> Path:
        names = (OWN_FOLDER, "staging")
        with translated(str(self.root)), self._disk.make(names, 0o700):
            return self.root.joinpath(*names)

    def _publish(self, path: Path, key: Key, size: int, told: Told) -> ObjectStat:
        with translated(str(path)):
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return as_object(key, publish(self._disk, Loose(path.name, folder, size), key, told))
        finally:
            os.close(folder)

    def _write_copy(self, key: Key, staged: Staged, told: Told) -> ObjectStat:
        self._refuse_taken(key)
        # A path that the caller gave may be a symlink: it is the caller's own.
        with translated(str(staged.path)):
            source = open_file(staged.path, follow=not staged.disposable)
        try:
            with self._draft() as (path, draft):
                check_room(draft, staged.size, str(self.root))
                digest = fill(source, draft, staged.size, what=key, told=told)
                if digest != staged.sha256:
                    raise ChecksumMismatch(key, expected=staged.sha256, actual=digest)
                return self._publish(path, key, staged.size, told)
        finally:
            os.close(source)

    @contextmanager
    def _draft(self) -> Generator[tuple[Path, int]]:
        """Open a new file in a staging area of its own, which a sweep removes if we are killed."""
        with staging_area(self._staging()) as area:
            path = area.folder / "draft"
            draft = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                yield path, draft
            finally:
                os.close(draft)

    def _refuse_taken(self, key: Key) -> None:
        # Publishing decides; this only saves copying a gigabyte in vain.
        try:
            self.stat(key)
        except NotFound:
            return
        raise AlreadyExists(key)

    def _walk(self, names: tuple[str, ...]) -> Iterator[ObjectStat]:
        with translated("/".join(names) or str(self.root)), self._disk.reach(names) as folders:
            pending = [iter(entries(folders.last))] if folders.names == names else []
            while pending:
                name = next(pending[-1], None)
                if name is None:
                    pending.pop()
                    if pending:
                        folders.leave()
                elif name.endswith("/"):
                    if _key(folders.names, name[:-1]) and _enter_if_still_there(folders, name[:-1]):
                        pending.append(iter(entries(folders.last)))
                elif (key := _key(folders.names, name)) and (found := _look_if_still_there(key, folders)):
                    yield found


class _ObjectFile(io.FileIO):
    """An object being read: the disk may fail at any chunk."""

    def __init__(self, file: int, key: Key) -> None:
        super().__init__(file, "rb")
        self._key = key

    def read(self, size: int | None = -1, /) -> bytes:
        with translated(self._key):
            return super().read(-1 if size is None else size) or b""


def _folders_of(key: Key) -> tuple[str, ...]:
    return key.folders


def _unlink(key: Key, folders: Folders) -> frozenset[Key]:
    try:
        look(key.name, folders.last)
        os.unlink(key.name, dir_fd=folders.last)
    except FileNotFoundError:
        return frozenset()
    return frozenset({key})


@contextmanager
def _collecting(refused: list[AudioStoreError]) -> Generator[None]:
    try:
        yield
    except AudioStoreError as error:
        refused.append(error)


def _key(names: tuple[str, ...], name: str) -> Key | None:
    try:
        return Key("/".join((*names, name)))
    except InvalidKey:  # not written by us, and nobody can ask for it
        return None


def _enter_if_still_there(folders: Folders, name: str) -> bool:
    try:
        return folders.enter_if_there(name)
    except PermissionDenied:  # it has become a symlink since it was listed
        return False


def _look_if_still_there(key: Key, folders: Folders) -> ObjectStat | None:
    try:
        return as_object(key, look(key.name, folders.last))
    except (FileNotFoundError, PermissionDenied):  # deleted since it was listed, or no object any more
        return None


def _not_supported(operation: str) -> NoReturn:
    raise NotSupported(operation, "LocalBackend")
