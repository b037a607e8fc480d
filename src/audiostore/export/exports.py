"""``Exports``: the exports of a web app. Each has an id that is bound to its owner, survives a restart, and expires."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, Unpack

from audiostore.errors import AudioStoreError, Cancelled, NotFound, Unavailable
from audiostore.export.books import Book
from audiostore.export.chapters import Edit, Share
from audiostore.export.covers import Cover, read_cover
from audiostore.export.exporting import Wishes, parse_options
from audiostore.export.gathering import KEPT_AS
from audiostore.export.journal import claimed, on_disk, read_json, tidy, write_file, write_json
from audiostore.export.making import Order, check, make
from audiostore.export.options import ExportOptions
from audiostore.export.references import Originals
from audiostore.export.results import Export, is_zip
from audiostore.export.shelf import Shelf, folders, is_begun_just_now, remove, remove_if_empty
from audiostore.ids import new_id
from audiostore.models import AudioFile, parse_text
from audiostore.settings import Settings
from audiostore.store import AudioStore

_log = logging.getLogger("audiostore")

WORK = "work"
_BOOK, _COVER, _STOP = "book.json", "cover", "stop"
_TOLD_EVERY = 0.5
"""Seconds between two notes of how far an export is."""
_PATIENCE = 1.0
"""Seconds in which whoever only looks whether an export is run must be done."""
_GRACE = timedelta(hours=1)
"""How long after its end an export's files stay: somebody may be in the middle of a download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSweep:
    """What ``Exports.sweep`` did: ``expired`` exports are gone, and what ``dead`` ones had half-made."""

    expired: int = 0
    dead: int = 0


class Exports:
    """Exports in *folder*: begun in one request, run by a worker, looked at, downloaded, and gone after *retention*.

    >>> from audiostore import AudioStore
    >>> from audiostore.export import Book, Exports
    >>> store = AudioStore.local("uploads")
    >>> take = store.put("take.wav", owner="alice", project="p1", chapter=1, section=1)
    >>> book = Book.from_catalog(store, owner="alice", project="p1", title="Tides")
    >>> exports = Exports(store, "exports")
    >>> waiting = exports.begin(book, formats=["wav"])
    >>> exports.run(waiting.id, owner="alice").state
    'finished'
    >>> download = exports.get(waiting.id, owner="alice").zip()
    >>> download.filename, len(b"".join(download)) == download.length
    ('Tides.zip', True)

    Everything is in files, so any process that has the folder can go on where another one died; two never run the
    same export at once. An export of someone else is NotFound.

    Args:
        store: where the books' audio is.
        folder: of all exports; it is made when it is needed.
        retention: how long a finished one can be downloaded.
        originals: knows old local files that only a project names: ``(path, owner) -> Path | None``.
        clock: POSIX seconds.

    """

    def __init__(
        self,
        store: AudioStore,
        folder: str | os.PathLike[str],
        *,
        retention: timedelta = timedelta(days=1),
        originals: Originals | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if retention <= timedelta(0):
            raise ValueError("retention must be longer than nothing")
        self.store = store
        self.folder = Path(folder)
        self._shelf = Shelf(self.folder)
        self.retention = retention
        self.originals = originals
        self._clock = clock

    @classmethod
    def from_env(
        cls,
        store: AudioStore,
        environ: Mapping[str, str] | None = None,
        *,
        retention: timedelta = timedelta(days=1),
        originals: Originals | None = None,
    ) -> Self:
        """Make one in ``EXPORT_FOLDER`` of the environment (or of *environ*). Raises ConfigurationError."""
        return cls(store, Settings.from_env(environ).export_folder, retention=retention, originals=originals)

    def begin(
        self,
        book: Book,
        *,
        options: ExportOptions | None = None,
        cover: Cover | None = None,
        **wishes: Unpack[Wishes],
    ) -> Export:
        """Note that *book* is to be exported, and give it an id; ``run`` does it. *wishes* are those of ``export``.

        Raises:
            NotFound, UnsupportedAudio: the cover. StorageFull, PermissionDenied: the disk. ValueError: a wish.

        """
        wanted = parse_options(options, wishes)
        check(book, wanted)
        picture = read_cover(self.store, cover, owner=book.owner)
        now = self._now()
        export = Export(
            id=new_id(),
            owner=book.owner,
            title=book.title or book.file_name,
            project=book.project,
            state="waiting",
            created_at=now,
            expires_at=now + self.retention,
        )
        beside = self._shelf.prepare(export)
        write_json(beside / _BOOK, {"book": book.as_dict(), "options": wanted.as_dict()})
        if picture is not None:
            write_file(beside / _COVER, picture)
        self._shelf.begin(export, beside)
        return export

    def run(
        self,
        id: str,
        *,
        owner: str,
        edit: Edit | None = None,
        progress: Share | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Export:
        """Make it, now and here; one that is finished is given back as it is. Finished chapters are not made again.

        What it raises is noted as ``error``, and ``run`` may be called again.

        Raises:
            NotFound: no such export of *owner*, or it is expired.
            Unavailable: ``retryable``, it is being run elsewhere; or storage is away.
            Cancelled: ``cancel`` was called, or *cancelled* said so. Otherwise as ``export``.

        """
        self.get(id, owner=owner)
        folder = self._shelf.place(id, owner)
        with claimed(folder, patience=_PATIENCE) as ours:
            if not ours:
                raise Unavailable(f"export {id} is being run elsewhere", retryable=True)
            return self._run(id, owner, edit, progress, cancelled)

    def get(self, id: str, *, owner: str) -> Export:
        """Give the export as it is now.

        Raises:
            NotFound: no such export of *owner*, or it is expired.

        """
        folder = self._shelf.place(id, parse_text("owner", owner))
        export = self._shelf.look(folder)
        if export is None or export.owner != owner or self._is_over(export):
            raise NotFound(f"export {id[:40]}")
        return export

    def list(self, *, owner: str) -> tuple[Export, ...]:
        """Give all exports of *owner* that are not expired, oldest first."""
        folder = self._shelf.of_owner(parse_text("owner", owner))
        return tuple(each for each in self._shelf.all_of(folder) if not self._is_over(each))

    def waiting(self) -> Iterator[Export]:
        """Give every export that nobody is running and that is not over, whoever owns it: work after a restart."""
        for folder in self._shelf.owners():
            yield from (
                each for each in self._shelf.all_of(folder) if each.state == "waiting" and not self._is_over(each)
            )

    def cancel(self, id: str, *, owner: str) -> None:
        """Ask whoever runs it to stop; soon it is ``failed``, with error ``Cancelled``. A finished one stays."""
        export, folder = self.get(id, owner=owner), self._shelf.place(id, owner)
        if export.state in {"finished", "failed"}:
            return
        with on_disk(folder):
            (folder / _STOP).touch()
        if export.state == "waiting":
            with claimed(folder, patience=_PATIENCE) as ours:
                if ours:
                    self._shelf.note(replace(export, state="failed", error=Cancelled.__name__))

    def delete(self, id: str, *, owner: str) -> None:
        """Remove the export and its files now. Raises Unavailable (``retryable``) while it is run: ``cancel`` first."""
        export, folder = self.get(id, owner=owner), self._shelf.place(id, owner)
        with claimed(folder, patience=0.0 if export.state == "running" else _PATIENCE) as ours:
            if not ours:
                raise Unavailable(f"export {id} is being run", retryable=True)
            remove(folder)
        remove_if_empty(folder.parent)

    def sweep(self) -> ExportSweep:
        """Remove what is expired, and what killed processes left behind. Safe at any time, from any process."""
        expired = dead = 0
        for owner in self._shelf.owners():
            for folder in folders(owner):
                if is_begun_just_now(folder):
                    continue
                with claimed(folder) as ours:
                    if not ours:
                        continue  # it is alive
                    export = None if folder.name.startswith(".") else self._shelf.read(folder)
                    if export is None or self._is_over(export, by=_GRACE):
                        expired += export is not None
                        remove(folder)
                    elif tidy(folder / WORK):
                        dead += 1
            remove_if_empty(owner)
        return ExportSweep(expired=expired, dead=dead)

    def keep(self, id: str, *, owner: str, names: tuple[str, ...] | None = None) -> tuple[AudioFile, ...]:
        """Put the finished audio into the store, where it stays: under the owner's quota, at the project's place.

        All files of audio, or those called *names*, whatever they are. They are stored as they are, past the store's
        processor. Either all are stored or none is; called again, it gives the same files, and what an earlier call
        has stored stays whatever becomes of this one.

        Raises:
            NotFound: no such export, it is not finished, or has no such file. Otherwise what ``put`` raises.

        """
        export = self.get(id, owner=owner)
        if export.state != "finished":
            raise NotFound(f"export {id} is not finished")
        chosen = (
            [export.file(name) for name in names]
            if names is not None
            else [each for each in export.files if each.content_type.startswith("audio/") and not is_zip(each)]
        )
        kept = list[AudioFile]()
        earlier = {each.id for each in self._kept(export)}
        try:
            for each in chosen:
                kept.append(
                    self.store.put(
                        each.path,
                        owner=owner,
                        project=export.project,
                        filename=each.name,
                        content_type=each.content_type,
                        metadata={KEPT_AS: export.id, "title": export.title},
                        idempotency_key=f"export {export.id} {each.name}",
                        as_is=True,
                    )
                )
        except BaseException:
            for file in kept:
                if file.id not in earlier:
                    self.store.delete(file)
            raise
        return tuple(kept)

    def _kept(self, export: Export) -> Iterator[AudioFile]:
        files = self.store.list(owner=export.owner, project=export.project)
        return (each for each in files if each.metadata.get(KEPT_AS) == export.id)

    def _run(
        self,
        id: str,
        owner: str,
        edit: Edit | None,
        progress: Share | None,
        cancelled: Callable[[], bool] | None,
    ) -> Export:
        folder, export = self._shelf.place(id, owner), self.get(id, owner=owner)
        if export.state == "finished":
            return export
        with on_disk(folder):
            (folder / _STOP).unlink(missing_ok=True)
            cover = (folder / _COVER).read_bytes() if (folder / _COVER).exists() else None
        facts = read_json(folder / _BOOK)
        assert facts is not None  # it was there before the note was
        export = replace(export, state="running", error=None)
        self._shelf.note(export)
        telling = _Telling(self._shelf, export, progress)
        order = Order(
            store=self.store,
            book=Book.from_dict(facts["book"]),
            options=ExportOptions.from_dict(facts["options"]),
            cover=cover,
            originals=self.originals,
            edit=edit,
            progress=telling,
            cancelled=lambda: (folder / _STOP).exists() or (cancelled is not None and cancelled()),
        )
        try:
            with self.store.events.operation("export", owner=owner, facts={"export": id}) as operation:
                done = make(order, folder / WORK)
                files = done.publish(folder / "files")
                operation.learn(bytes=sum(each.size for each in files))
        except Exception as error:
            self._note_end(replace(telling.export, state="failed", error=type(error).__name__), error)
            raise
        except BaseException as error:  # the process is asked to end: the next one goes on
            self._note_end(replace(telling.export, state="waiting"), error)
            raise
        finished = replace(
            export,
            state="finished",
            share=1.0,
            files=files,
            missing=done.missing,
            expires_at=self._now() + self.retention,
        )
        self._shelf.note(finished)
        shutil.rmtree(folder / WORK, ignore_errors=True)
        return finished

    def _note_end(self, export: Export, error: BaseException) -> None:
        _log.warning("export %s ended early: %s", export.id, error or type(error).__name__)
        try:
            self._shelf.note(replace(export, missing=tuple(getattr(error, "missing", ()))))
        except AudioStoreError as another:  # a full disk: it is found to be waiting, then
            _log.warning("the end of export %s could not be noted: %s", export.id, another)

    def _is_over(self, export: Export, *, by: timedelta = timedelta(0)) -> bool:
        return export.expires_at is not None and export.expires_at + by <= self._now()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


class _Telling:
    """Notes how far an export is, now and then, and tells whoever wants to know."""

    def __init__(self, shelf: Shelf, export: Export, progress: Share | None) -> None:
        self.export = export
        self._shelf = shelf
        self._progress = progress
        self._noted = 0.0

    def __call__(self, share: float) -> None:
        self.export = replace(self.export, share=share)
        now = time.monotonic()
        if now - self._noted >= _TOLD_EVERY:
            self._noted = now
            self._shelf.note(self.export, durable=False)
        if self._progress is not None:
            self._progress(share)
