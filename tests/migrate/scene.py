"""A live app in small: a folder of uploads, a table of projects, and a store that they are to come to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiostore import AudioStore, Unlimited
from audiostore.migrate import Migration, MigrationReport, SQLiteJournal
from tests.migrate.apps import SqliteApp

HEAD = b"RIFF\0\0\1\0WAVEfmt "


def sound(name: str, size: int = 2000) -> bytes:
    """Bytes that look like a recording, and are no other's."""
    return (HEAD + name.encode() * size)[:size]


class Scene:
    """``uploads`` and ``app`` are the app's; ``store`` is where its files shall go."""

    def __init__(self, folder: Path, store: AudioStore | None = None) -> None:
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        self.app = SqliteApp(folder / "app.db")
        self.store = store or AudioStore.local(folder / "store", quota=Unlimited())
        self.journal = SQLiteJournal(folder / "journal.db")
        self._projects = 0

    def add(self, path: str, content: bytes | None = None) -> bytes:
        """Put a file into the folder."""
        content = sound(path) if content is None else content
        (self.uploads / path).parent.mkdir(parents=True, exist_ok=True)
        (self.uploads / path).write_bytes(content)
        return content

    def project(self, owner: str, *paths: str | None | Mapping[str, Any], chapter: Any = 1) -> str:
        """Add a project of *owner* whose sections name *paths*."""
        self._projects += 1
        sections = [
            {"id": number, **({"audioPath": each} if isinstance(each, str) or each is None else each)}
            for number, each in enumerate(paths, 1)
        ]
        name = f"p{self._projects}"
        data = {"title": name, "chapters": [{"id": chapter, "sections": sections}]}
        self.app.add([(name, owner, json.dumps(data))])
        return name

    def migration(self, **options: Any) -> Migration:
        given: dict[str, Any] = {"references": self.app.table, "journal": self.journal, "workers": 2, **options}
        return Migration(given.pop("source", self.uploads), given.pop("target", self.store), **given)

    def run(self, **options: Any) -> MigrationReport:
        return self.migration(**options).run().report

    def sections(self, project: str) -> Sequence[Mapping[str, Any]]:
        data = json.loads(self.app.texts()[project] or "")
        found: list[Mapping[str, Any]] = [each for chapter in data["chapters"] for each in chapter["sections"]]
        return found

    def plays(self, project: str, owner: str) -> list[bytes]:
        """What the app would play: the bytes that each section names, for this owner."""
        return [self.store.get(self.store.find(path=each["audioPath"], owner=owner)) for each in self.sections(project)]

    def close(self) -> None:
        self.journal.close()
        self.store.close()
        self.app.table.close()
