"""Books on their way out: begun by a request, made in the background, fetched as one streamed ZIP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from audiostore import AudioStore, AudioStoreError, Cancelled, NotFound, Unavailable
from audiostore.export import Book, Export, ExportOptions, Exports, ZipStream
from examples.shared.auth import User
from examples.shared.originals import OldFiles
from examples.shared.problems import RETRY_AFTER, Refused
from examples.shared.tickets import Tickets

_log = logging.getLogger(__name__)

MOST = 3
"""Exports of one user that may wait or run at a time."""


class Exporting:
    """Runs exports one after the other in a thread of this process.

    What an export has come to is on the disk, so that any process can tell; one whose process ended waits until
    somebody asks for it, and then goes on. An app with a task queue hands ``exports.run`` to that instead.
    """

    FORMATS: ClassVar = ("mp3", "wav", "m4a", "flac", "opus", "m4b")

    def __init__(self, store: AudioStore, folder: Path, *, secret: str, originals: OldFiles) -> None:
        self.exports = Exports(store, folder, originals=originals)
        self._tickets = Tickets(secret, "export")
        self._under_way: set[str] = set()
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None

    def begin(self, user: User, content: Mapping[str, Any], *, project: str | None = None) -> dict[str, Any]:
        """Begin to export *content*, a project whose flags say as what; only *user*'s own audio is heard in it.

        Raises:
            Refused: 400, it is no project; 429, too many of *user*'s are waiting.

        """
        try:
            book = Book.from_project(content, owner=user.id, project_id=project)
            options = ExportOptions.from_project(content, zip=False)  # the ZIP is made while it is sent
        except ValueError as error:  # in words about what was sent, and nothing else
            raise Refused(400, f"This can't be exported: {error}.") from error
        with self._lock:
            waiting = [each for each in self.exports.list(owner=user.id) if each.state in {"waiting", "running"}]
            if len(waiting) >= MOST:
                raise Refused(429, "Your other exports come first. Please wait a little.", retry_after=RETRY_AFTER)
            export = self.exports.begin(book, options=options)
        self._run(export)
        told = {"exportId": export.id, "status": export.state, "message": "The export has begun."}
        return {"success": True, **told}

    def get(self, user: User, id: str) -> dict[str, Any]:
        export = self.exports.get(id, owner=user.id)
        self._run(export)
        return {"success": True, **self._told(export)}

    def list(self, user: User) -> dict[str, Any]:
        return {"success": True, "exports": [self._told(each) for each in self.exports.list(owner=user.id)]}

    def delete(self, user: User, id: str) -> dict[str, Any]:
        self.exports.cancel(id, owner=user.id)
        with suppress(Unavailable):  # it is being made; whoever makes it stops now, and removes it
            self.exports.delete(id, owner=user.id)
        return {"success": True}

    def zip(self, user: User, id: str) -> ZipStream:
        """Give the finished export's ZIP. Raises Refused: 409, it is not finished."""
        export = self.exports.get(id, owner=user.id)
        if export.state != "finished":
            raise Refused(409, "The export is not finished yet.")
        return export.zip()

    def zip_of_ticket(self, ticket: str) -> ZipStream:
        owner, export = self._tickets.read(ticket)
        return self.zip(User(owner), export)

    def close(self) -> None:
        """Wait for the one that is being made; the others wait for the next process."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _told(self, export: Export) -> dict[str, Any]:
        told = export.as_dict()
        ticket, until = None, None
        if export.state == "finished":
            ticket, until = self._tickets.issue(export.owner, export.id)
        return {
            "exportId": export.id,
            "title": export.title,
            "status": export.state,
            "progress": int(export.share * 100),
            "error": export.error,
            "created_at": told["created_at"],
            "expires_at": told["expires_at"],
            "files": told["files"],
            "missing": told["missing"],
            "download_url": ticket and f"/exports/{ticket}",
            "download_expires_at": until and until.isoformat(),
        }

    def _run(self, export: Export) -> None:
        """Let the thread make *export*, if it waits and is not in the thread's hands already."""
        with self._lock:
            if export.state != "waiting" or export.id in self._under_way:
                return
            self._under_way.add(export.id)
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="export")
            self._thread.submit(self._make, export)

    def _make(self, export: Export) -> None:
        try:
            self.exports.run(export.id, owner=export.owner)
        except NotFound:
            pass  # deleted before its turn came
        except Unavailable:
            _log.warning("export %s waits: it is made elsewhere, or storage is away", export.id)
        except Cancelled:
            self.exports.delete(export.id, owner=export.owner)
        except AudioStoreError:
            _log.exception("export %s failed", export.id)  # the export itself says so as well
        finally:
            with self._lock:
                self._under_way.discard(export.id)


def zip_headers(stream: ZipStream) -> dict[str, str]:
    """Give the headers of a download; the name goes out in the form that takes any language."""
    return {
        "Content-Type": stream.content_type,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(stream.filename, safe='')}",
        "Content-Length": str(stream.length),
    }
