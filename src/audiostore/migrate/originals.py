"""Files that only an app's projects name: where they are, for those whose projects name them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audiostore import media
from audiostore.backends import disk
from audiostore.errors import InvalidKey, NotFound, PermissionDenied
from audiostore.keys import Key
from audiostore.migrate.addresses import Addresses
from audiostore.migrate.documents import LOCAL
from audiostore.migrate.protocols import References, Unparsable

if TYPE_CHECKING:
    from audiostore.store import AudioStore

_OWNERS: Final = 1024
"""How many owners' references are kept at once; with one more, all are read again."""

_AT_MOST: Final = 1.0
"""Seconds between two readings of one owner's projects for the sake of a file that they did not name."""


class Originals:
    """Find the files in *folder* that were there before the store: ``originals(path, owner) -> Path | None``.

    *path* is what a section says in ``audioPath``, or the same file in another spelling. It is found if a project of
    *owner* names it, as an upload that no store recorded; else, and for everything that does not exist, the answer is
    None. Nothing outside the folder is reached, no symbolic link is followed, and what is hidden or no audio by its
    name is not there. Nothing is ever written.

    So the uploads of an app play and export on while they are being migrated, or if they never are::

        originals = Originals("uploads", ProjectsTable.sqlite("app.sqlite3"))
        reply = serve_file(originals(path, user_id), request.method, request.headers)

    Who may edit a project may name any such file in it: names of uploads are as secret as they ever were. With a
    *store* that keeps its files in the same folder, none of them is found here but its owner's.

    An owner's references are kept for *refresh*, and read again before that for a path that is not among them, once a
    second at most. Safe across threads. It raises what ``references`` raises, so it fails closed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        references: References,
        *,
        prefixes: Sequence[str] = (),
        store: AudioStore | None = None,
        refresh: timedelta = timedelta(seconds=30),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*prefixes* are what the app puts before an address, besides the folder's own name: ``"/audio/"``."""
        self._root = Path(folder)
        self._disk = disk.Disk(self._root)
        self._references = references
        self._addresses = Addresses(self._root, prefixes=prefixes)
        self._store = store
        self._refresh = refresh.total_seconds()
        self._clock = clock
        # Each step on it is one operation of a dict: no lock that a fork could leave locked.
        self._named: dict[str, _Named] = {}

    def __call__(self, path: str, owner: str) -> Path | None:
        """Give the file that *path* means to *owner*, or None."""
        address = self._resolve(path)
        if address is None or not owner or not self._is_named(address, owner) or self._is_stored(address, owner):
            return None
        return self._root / address

    def forget(self, owner: str | None = None) -> None:
        """Read the projects of *owner* (None: of all) again when they are next asked for."""
        if owner is None:
            self._named.clear()
        else:
            self._named.pop(owner, None)

    def close(self) -> None:
        """Let go of the projects, as ``Migration.close`` does."""
        self._references.close()

    def _resolve(self, path: str) -> str | None:
        """Give the address of the file that *path* leads to: of all that it may mean, the likeliest that is there."""
        return next((each for each in self._addresses.candidates(path) if self._is_there(each)), None)

    def _is_there(self, address: str) -> bool:
        names = address.split("/")
        if any(each.startswith(".") for each in names) or "\0" in address or not _is_audio(names[-1]):
            return False
        try:
            with disk.translated(address), self._disk.enter(names[:-1]) as folders:
                os.close(disk.open_file(names[-1], folders.last))
        except (NotFound, PermissionDenied, InvalidKey):
            return False
        return True

    def _is_named(self, address: str, owner: str) -> bool:
        # Another file may have a name that a reference would mean too, if its own were not there.
        def names_it(named: _Named) -> bool:
            return any(self._resolve(each) == address for each in named.by_address.get(address, ()))

        named = self._read(owner, self._refresh)
        return names_it(named) or names_it(self._read(owner, min(_AT_MOST, self._refresh)))

    def _read(self, owner: str, no_older: float) -> _Named:
        now, known = self._clock(), self._named.get(owner)
        if known is not None and now - known.read_at < no_older:
            return known
        if len(self._named) >= _OWNERS:
            self._named.clear()
        named = self._named[owner] = _Named(now, self._index(owner))
        return named

    def _index(self, owner: str) -> Mapping[str, Iterable[str]]:
        by_address: dict[str, set[str]] = {}
        for row in self._references.scan(owner=owner):
            found = () if row.owner != owner else self._references.find(row)
            for each in () if isinstance(found, Unparsable) else found:
                if each.backend in {None, LOCAL} and each.upload_id is None:
                    for address in self._addresses.candidates(each.path):
                        by_address.setdefault(address, set()).add(each.path)
        return by_address

    def _is_stored(self, address: str, owner: str) -> bool:
        """Tell whether the store keeps a file there that is not for *owner* to hear."""
        if self._store is None:
            return False
        try:
            return self._store.catalog.find_key(Key(address)).owner != owner
        except (NotFound, InvalidKey):
            return False


@dataclass(frozen=True, slots=True)
class _Named:
    """What one owner's projects name: by each address that a path may mean, the paths."""

    read_at: float
    by_address: Mapping[str, Iterable[str]]


def _is_audio(name: str) -> bool:
    return (media.type_of_name(name) or "").startswith(("audio/", "video/"))
