"""Users who edit their projects all the time, and can tell afterwards whether an edit is gone."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from tests.migrate.apps import Editable
from tests.migrate.live_app import ANEW, LiveApp

Place = tuple[str, Any, Any]


class Editors:
    """Some threads, each a user: adds a note, turns chapters round, records a section anew. None writes over another's
    edit, so what is gone in the end, somebody else has lost.
    """

    def __init__(
        self,
        app: Editable,
        ids: Sequence[str],
        *,
        users: int = 2,
        seed: int = 1,
        pause: float = 0.0,
        takes: int | None = None,
    ) -> None:
        """*takes*: record so many sections anew, at most (None: for as long as it goes on)."""
        self.notes: dict[str, list[str]] = {each: [] for each in ids}
        self.takes: dict[Place, str] = {}
        self._app = app
        self._pause = pause
        self._most = takes
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._edit, args=(list(ids)[user::users], random.Random(seed + user), user))
            for user in range(users)
        ]

    @property
    def edits(self) -> int:
        return sum(len(each) for each in self.notes.values())

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for each in self._threads:
            each.join()

    def lost(self, texts: Mapping[str, str | None]) -> list[object]:
        """Give the notes and takes that are not in the projects as they are now."""
        books = {project: json.loads(texts[project] or "") for project, notes in self.notes.items() if notes}
        paths = {
            (project, chapter["id"], section["id"]): section.get("audioPath")
            for project, book in books.items()
            for chapter in book["chapters"]
            for section in chapter["sections"]
        }
        notes = [note for each, book in books.items() for note in set(self.notes[each]) - set(book["edits"])]
        return [*notes, *(place for place, path in self.takes.items() if paths.get(place) != path)]

    def told(self, app: LiveApp) -> LiveApp:
        """Give what a judge must know: sections that were recorded anew have nothing to move any more."""
        played = [
            replace(each, path=self.takes[place], excuse=ANEW)
            if (place := (each.project, each.chapter, each.section)) in self.takes
            else each
            for each in app.played
        ]
        return replace(app, played=played)

    def _edit(self, ids: Sequence[str], chance: random.Random, user: int) -> None:
        number = 0
        while not self._done.wait(self._pause):
            project, number = chance.choice(ids), number + 1
            text = self._app.text(project) or ""
            book, note = json.loads(text), f"{user}-{number}"
            book["edits"].append(note)
            if chance.random() < 0.3:
                book["chapters"].reverse()
            anew = chance.random() < 0.1 and (self._most is None or len(self.takes) < self._most)
            take = self._record(project, book, chance, note) if anew else {}
            if self._app.swap(project, text, json.dumps(book)):
                self.notes[project].append(note)
                self.takes |= take  # each project has one user

    def _record(self, project: str, book: dict[str, Any], chance: random.Random, note: str) -> dict[Place, str]:
        chapters = [each for each in book["chapters"] if each["sections"]]
        if not chapters:
            return {}
        chapter = chance.choice(chapters)
        section = chance.choice(chapter["sections"])
        section |= {"audioPath": f"new/{project}/{note}.wav", "storageBackend": "elsewhere", "uploadId": None}
        return {(project, chapter["id"], section["id"]): section["audioPath"]}
