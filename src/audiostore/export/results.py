"""What an export has come to: a value, which an app can show, keep, or hand over as one ZIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from audiostore.errors import NotFound
from audiostore.export.naming import portable
from audiostore.export.zipping import Entry, ZipStream

State = Literal["waiting", "running", "finished", "failed"]
Reason = Literal["no_audio", "missing", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSection:
    """A section that is not heard in the export: ``chapter`` and ``section`` count from 0, in the order of the book.

    ``reason``: ``no_audio``, it refers to none; ``missing``, there is no such file for this owner (somebody else's
    are not told apart); ``unreadable``, its bytes are damaged or nothing that can be decoded: ``detail`` says more.
    """

    chapter: int
    section: int
    name: str
    path: str | None
    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        where = f"chapter {self.chapter + 1}, section {self.section + 1}"
        told = self.reason.replace("_", " ") + (f" ({self.detail})" if self.detail else "")
        return f"{where}{f' ({self.name})' if self.name else ''}: {told}"

    def as_dict(self) -> dict[str, Any]:
        """Give every fact as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One file of an export. ``name`` may have folders (``text/01 - Rain.txt``); ``path`` is where it is now.

    ``size`` in bytes, ``duration`` in seconds for audio, ``chapter`` (from 0) where it is of one chapter alone.
    """

    name: str
    path: Path
    size: int
    content_type: str
    duration: float | None = None
    chapter: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the facts as JSON can hold them, for the world outside: without ``path``."""
        return {name: value for name, value in asdict(self).items() if name != "path"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One export of one owner. A value: ask ``Exports.get`` again to see it go on.

    ``share`` is how much is done, 0 to 1; times are aware UTC. ``error`` is the name of the error that ended a
    ``failed`` one (``StorageFull``, ``Cancelled`` …); more is in the log. What is ``failed`` or ``waiting`` can be
    run (again), and goes on where it was.
    """

    id: str
    owner: str
    title: str
    state: State
    share: float = 0.0
    created_at: datetime
    expires_at: datetime | None = None
    files: tuple[ExportedFile, ...] = ()
    missing: tuple[MissingSection, ...] = ()
    error: str | None = None
    project: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)

    def file(self, name: str) -> ExportedFile:
        """Give the file of this name. Raises NotFound."""
        for each in self.files:
            if each.name == name:
                return each
        raise NotFound(f"file {name[:80]!r} of the export")

    def zip(self) -> ZipStream:
        """Give all files as one ZIP that is made while it is read; ``length`` and ``filename`` are known at once.

        Raises NotFound unless it is finished.
        """
        if self.state != "finished":
            raise NotFound(f"export {self.id} is not finished")
        entries = [Entry(name=each.name, path=each.path, size=each.size) for each in self.files if not is_zip(each)]
        return ZipStream(entries, filename=f"{portable(self.title)}.zip", modified_at=self.created_at)

    def as_dict(self) -> dict[str, Any]:
        """Give every fact as JSON can hold it, for the world outside: no path of this machine is in it."""
        return asdict(self) | {
            "created_at": self.created_at.isoformat(),
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
            "files": [each.as_dict() for each in self.files],
            "missing": [each.as_dict() for each in self.missing],
            "size": self.size,
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], *, folder: Path) -> Self:
        """Turn ``as_dict`` back; its files are in *folder*."""
        given: dict[str, Any] = {name: value for name, value in facts.items() if name != "size"}
        for name in ("created_at", "expires_at"):
            given[name] = None if given[name] is None else datetime.fromisoformat(given[name])
        given["files"] = tuple(ExportedFile(**each, path=folder / each["name"]) for each in given["files"])
        given["missing"] = tuple(MissingSection(**each) for each in given["missing"])
        return cls(**given)


def is_zip(file: ExportedFile) -> bool:
    """Tell whether this is the ZIP of all the others."""
    return file.content_type == ZipStream.content_type
