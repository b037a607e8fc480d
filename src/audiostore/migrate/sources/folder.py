"""A bare folder: files that nobody recorded, which only an app's projects name."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from audiostore import media
from audiostore.backends.disk import OWN_FOLDER
from audiostore.errors import ConfigurationError, NotFound, PermissionDenied, from_os_error
from audiostore.migrate.addresses import Addresses
from audiostore.migrate.protocols import Item
from audiostore.migrate.sources.protocol import Digests, Found, Incoming, Standing
from audiostore.models import Staged
from audiostore.streams import CHUNK

_PICTURES_TOO = ("audio/", "video/")


class FolderSource:
    """Every file below *root*, however deep. Symbolic links are not followed, and what is no file is left out."""

    switches = False
    backends: frozenset[str | None] | None = frozenset({None, "", "local"})

    def __init__(self, root: str | os.PathLike[str], *, prefixes: Sequence[str] = ()) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise ConfigurationError(f"there is no folder {self.root}")
        self.candidates = Addresses(self.root, prefixes=prefixes).candidates

    @property
    def title(self) -> str:
        return f"folder:{self.root.resolve()}"

    def scan(self) -> Iterator[Found]:
        yield from self._below("")

    def is_audio(self, found: Found) -> bool:
        kind = media.type_of_name(found.name)
        if kind is None:
            try:
                with self._opened(found.address) as file:
                    kind = media.sniff(os.pread(file, media.SNIFF_BYTES, 0))
            except (NotFound, PermissionDenied):
                return False
        return kind is not None and kind.startswith(_PICTURES_TOO)

    @contextmanager
    def bring(self, item: Item, staging: Path | None, *, md5: bool = False) -> Generator[Incoming]:
        digests, head, buffer = Digests(md5=md5), b"", bytearray(CHUNK)
        with self._opened(item.address) as file, os.fdopen(file, "rb", buffering=0, closefd=False) as blocks:
            facts = _signature(os.fstat(file))
            view = memoryview(buffer)
            try:
                while count := blocks.readinto(buffer):
                    digests.update(view[:count])
                    head = head or bytes(view[: min(count, media.SNIFF_BYTES)])
            except OSError as error:
                raise from_os_error(error, item.address) from error
        name = PurePosixPath(item.address).name
        kind = media.sniff(head) or media.type_of_name(name) or "application/octet-stream"
        staged = Staged(
            path=self.root / item.address,
            size=digests.size,
            sha256=digests.sha256,
            content_type=kind,
            filename=name,
            disposable=False,
        )
        yield Incoming(staged=staged, md5=digests.md5, facts=facts)

    def look(self, item: Item, facts: Mapping[str, Any]) -> Standing:
        try:
            with self._opened(item.address) as file:
                same = _signature(os.fstat(file)) == {name: facts.get(name) for name in ("size", "modified")}
        except NotFound:
            return "gone"
        return "same" if same else "changed"

    def erase(self, item: Item) -> bool:
        if self.look(item, item.facts) != "same":
            return False
        try:
            (self.root / item.address).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise from_os_error(error, item.address) from error
        return True

    def modified_at(self, incoming: Incoming) -> datetime:
        return datetime.fromtimestamp(incoming.facts["modified"] / 1e9, UTC)

    def close(self) -> None:
        """Nothing is held open between calls."""

    def _below(self, folder: str) -> Iterator[Found]:
        try:
            with os.scandir(self.root / folder) as entries:
                there = sorted(entries, key=lambda each: each.name)
        except OSError as error:
            if folder == "":
                raise from_os_error(error, str(self.root)) from error
            yield Found(address=folder, name=folder, problem=("unreadable", error.strerror or "can't be listed"))
            return
        for each in there:
            address = f"{folder}/{each.name}" if folder else each.name
            if each.is_symlink() or (not folder and each.name.startswith(OWN_FOLDER)):
                continue
            if each.is_dir(follow_symlinks=False):
                yield from self._below(address)
            elif each.is_file(follow_symlinks=False):
                yield from _found(address, each)

    @contextmanager
    def _opened(self, address: str) -> Generator[int]:
        """Open one file below the root without following a link anywhere on the way."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        *folders, name = address.split("/")
        try:
            at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for folder in folders:
                above = at
                try:
                    at = os.open(folder, flags | os.O_DIRECTORY, dir_fd=above)
                finally:
                    os.close(above)
            try:
                file = os.open(name, flags, dir_fd=at)
            finally:
                os.close(at)
        except NotADirectoryError as error:
            raise NotFound(address) from error
        except OSError as error:
            raise from_os_error(error, address) from error
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise NotFound(address)
            yield file
        finally:
            os.close(file)


def _found(address: str, entry: os.DirEntry[str]) -> Iterator[Found]:
    try:
        address.encode()
        size = entry.stat(follow_symlinks=False).st_size
    except UnicodeEncodeError:
        shown = os.fsencode(address).decode("utf-8", "replace")
        yield Found(address=shown, name=shown, problem=("unreadable", "its name is not valid UTF-8"))
    except OSError:
        return  # deleted since it was listed
    else:
        yield Found(address=address, name=address, size=size)


def _signature(found: os.stat_result) -> dict[str, int]:
    return {"size": found.st_size, "modified": found.st_mtime_ns}
