"""Where exports lie: a folder for each owner, in it one for each export, with a note of how far it is."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from audiostore.errors import NotFound, Unavailable
from audiostore.export.journal import claimed, on_disk, read_json, sync, write_json
from audiostore.export.results import Export
from audiostore.ids import new_id

_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOTE, _NEW = "export.json", ".new-"
_RACES = 100
_BEGINNING = 3600.0
"""Seconds after which nobody is still about to begin an export."""


class Shelf:
    """The exports in one folder. Whoever looks for one says for whom: it could not be found otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, id: str, owner: str) -> Path:
        """Give the folder of an export. Raises NotFound for what is no id at all."""
        if not _ID.fullmatch(id):
            raise NotFound(f"export {id[:40]!r}")
        return self.of_owner(owner) / id

    def of_owner(self, owner: str) -> Path:
        """Give the folder of an owner, who is any text, which the name of a folder is not."""
        return self.folder / hashlib.sha256(owner.encode()).hexdigest()[:40]

    def prepare(self, export: Export) -> Path:
        """Make the folder that is to become the folder of *export*; nobody sees it yet."""
        beside = self.of_owner(export.owner) / f"{_NEW}{export.id}"
        with on_disk(beside):
            for _ in range(_RACES):
                try:
                    beside.mkdir(parents=True, mode=0o700)
                except FileNotFoundError:
                    continue  # a sweep took the owner's empty folder between two calls
                return beside
        raise Unavailable(f"{beside} (its folder kept vanishing)", retryable=True)

    def begin(self, export: Export, prepared: Path) -> None:
        """Let *export* be seen: *prepared* becomes its folder."""
        folder = self.place(export.id, export.owner)
        write_json(prepared / _NOTE, export.as_dict())
        with on_disk(folder):
            prepared.rename(folder)
            sync(folder.parent)

    def note(self, export: Export, *, durable: bool = True) -> None:
        """Write down how far *export* is."""
        write_json(self.place(export.id, export.owner) / _NOTE, export.as_dict(), durable=durable)

    def read(self, folder: Path) -> Export | None:
        """Give the export in *folder* as it was noted."""
        facts = read_json(folder / _NOTE)
        return None if facts is None else Export.from_dict(facts, folder=folder / "files")

    def look(self, folder: Path) -> Export | None:
        """Give the export in *folder* as it is: one that a dead process was running is waiting."""
        export = self.read(folder)
        if export is None or export.state != "running":
            return export
        try:
            with claimed(folder) as free:
                if not free:
                    return export
                latest = self.read(folder)  # it may just have finished
        except NotFound:
            return None
        return latest if latest is None or latest.state != "running" else replace(latest, state="waiting")

    def all_of(self, owner: Path) -> Iterator[Export]:
        """Give the exports in an owner's folder, oldest first."""
        for folder in folders(owner):
            if not folder.name.startswith(".") and (export := self.look(folder)) is not None:
                yield export

    def owners(self) -> list[Path]:
        """Give the folders of all owners."""
        return folders(self.folder)


def folders(folder: Path) -> list[Path]:
    """Give the folders in *folder*, sorted; none if it is not there."""
    with on_disk(folder):
        try:
            return sorted(each for each in folder.iterdir() if each.is_dir())
        except FileNotFoundError:
            return []


def is_begun_just_now(folder: Path) -> bool:
    """Tell whether *folder* may be one that somebody is preparing."""
    with on_disk(folder):
        try:
            return folder.name.startswith(_NEW) and time.time() - folder.stat().st_mtime < _BEGINNING
        except FileNotFoundError:
            return True


def remove(folder: Path) -> None:
    """Remove an export: first it is not found any more, then it is gone."""
    gone = folder.with_name(f".gone-{new_id()}")
    with on_disk(folder):
        folder.rename(gone)
        shutil.rmtree(gone)


def remove_if_empty(folder: Path) -> None:
    """Remove an owner's folder if nothing is in it."""
    with suppress(OSError):
        folder.rmdir()
