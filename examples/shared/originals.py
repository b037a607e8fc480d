"""Files of the time before audiostore, which only the saved projects name: they play, are checked and exported.

They are in ``ORIGINALS_FOLDER``, and found for whoever has a project that names them. New takes go into the store, and
``audiostore migrate`` brings the old ones there; an app that never had any needs nothing of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiostore import AudioStore, Reply
from audiostore.migrate import Originals, ProjectsTable
from audiostore.serving import serve_file
from examples.shared import answers
from examples.shared.config import Config
from examples.shared.tickets import Tickets

_MARK = "original."


class OldFiles:
    """Finds old files and links to them; where the settings name no folder, there are none."""

    def __init__(self, config: Config, store: AudioStore, table: Path | None) -> None:
        """*table* is the SQLite file of projects; None: they are on Supabase."""
        self._originals: Originals | None = None
        self._tickets = Tickets(config.secret, "original", config.links)
        self._base = store.base_url
        if config.originals is not None:
            settings = config.settings
            if table is not None:
                references = ProjectsTable.sqlite(table)
            else:
                references = ProjectsTable.supabase(url=settings.supabase_url, key=settings.supabase_service_key)
            self._originals = Originals(config.originals, references, store=store)

    def __call__(self, path: str, owner: str) -> Path | None:
        return None if self._originals is None else self._originals(path, owner)

    def close(self) -> None:
        if self._originals is not None:
            self._originals.close()

    def link(self, path: str, owner: str) -> dict[str, Any] | None:
        """Give what ``answers.link`` tells of a stored file, if *path* is an old one of *owner*'s."""
        if self(path, owner) is None:
            return None
        ticket, until = self._tickets.issue(owner, path)
        there = {"upload_id": None, "storage_backend": "local"}
        return {"url": f"{self._base}/{_MARK}{ticket}", **answers.expiry(until), **there}

    @staticmethod
    def is_meant(token: str) -> bool:
        """Tell whether a link's *token* is one of ``link``."""
        return token.startswith(_MARK)

    def serve(self, token: str, method: str, headers: Mapping[str, str]) -> Reply:
        """Answer a request to such a link. Raises Refused: 403."""
        owner, path = self._tickets.read(token.removeprefix(_MARK))
        return serve_file(self(path, owner), method, headers)
