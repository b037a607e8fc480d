"""The migration as an app makes it: plan, run, verify, rollback, status, each of them told as it happens."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeAlias

from audiostore.backends.disk import OWN_FOLDER
from audiostore.errors import ConfigurationError, NotSupported, PermissionDenied, Unavailable
from audiostore.ids import new_id
from audiostore.migrate.carrying import Carrier, Checking, Throttle
from audiostore.migrate.checking import verified
from audiostore.migrate.crew import Crew
from audiostore.migrate.erasing import erased
from audiostore.migrate.index import Index
from audiostore.migrate.planning import Survey, in_pages
from audiostore.migrate.protocols import Item, Journal, References
from audiostore.migrate.rewriting import rewrite, settled
from audiostore.migrate.sources.bucket import BucketSource
from audiostore.migrate.sources.folder import FolderSource
from audiostore.migrate.sources.protocol import MigrationSource, title_of
from audiostore.migrate.sources.records import RecordSource
from audiostore.migrate.steps import MigrationEvent, MigrationReport, Steps
from audiostore.migrate.undoing import Undoing
from audiostore.migrate.work import Work
from audiostore.models import AudioFile, parse_text
from audiostore.protocols import Backend
from audiostore.sizes import Size, parse_size
from audiostore.store import AudioStore

From: TypeAlias = str | os.PathLike[str] | AudioStore | Backend

LEASE: Final = timedelta(seconds=60)
_FINAL: Final = frozenset({"copied", "done"})


class Migration:
    """Move a live app's audio from *source* to *target*, and what its projects say of it::

        migration = Migration("uploads", store, ProjectsTable.sqlite("app.db"))
        for event in migration.run():
            print(event.symbol, event.path)

    Every file is copied, read back and recorded before any project names it in its new place; the original is erased
    last, if at all. Stopped or killed at any moment, the next ``run`` goes on: no record, object or charge is doubled.

    Args:
        source: a folder, a backend (a bucket whose objects nobody recorded), or a store. A backend that *target* reads
            already, or *target* itself: its records keep their ids, and only their bytes move.
        target: the store that takes the files, each charged to its owner. Its processor does not run.
        references: where projects name their audio, e.g. ``ProjectsTable``. Whose a file is, only they know, unless
            the source has records. A file that several owners name is copied for each of them.
        journal: what was done, default: in the target's database, or else a file beside the source or the target.
        owner: only this owner's files.
        include: globs over names in the source; ``*`` goes across folders.
        exclude: globs of what is left out all the same.
        workers: threads; any number of processes may run the same migration at once.
        bandwidth: bytes a second for this process, or e.g. ``"10 MB"``.
        delete_originals: erase each original in the end, if nothing names it any more.
        max_failures: stop at so many.
        in_place: *source* is the folder of the target itself: its files are recorded where they are.
        check: ``"read"``: verify size and sha256 by reading back; ``"etag"``: trust the target's md5 where it has one.
        prefixes: what the app puts before a file's name in its projects, e.g. ``"/audio/"``.
        job: a name; default: made of source and target.
        lease: how long a worker of another machine counts as alive without a sign of life.

    """

    def __init__(
        self,
        source: From,
        target: AudioStore,
        references: References | None = None,
        journal: Journal | None = None,
        *,
        owner: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        workers: int = 4,
        bandwidth: Size | None = None,
        delete_originals: bool = False,
        max_failures: int | None = None,
        in_place: bool = False,
        check: Checking = "read",
        prefixes: Sequence[str] = (),
        job: str | None = None,
        lease: timedelta = LEASE,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        owner = None if owner is None else parse_text("owner", owner)
        opened = _source(source, target, owner, prefixes)
        if references is None and not isinstance(opened, RecordSource):
            raise ConfigurationError("whose the files are, only projects tell: pass references=")
        _check_place(opened, target, in_place=in_place)
        title = f"{opened.title}|{title_of(target.backend)}"
        self._work = Work(
            job=job or hashlib.sha256(title.encode()).hexdigest()[:16],
            source=opened,
            target=target,
            references=references,
            journal=journal or _default_journal(opened, target),
            owner=owner,
            in_place=in_place,
        )
        self._survey = Survey(source=opened, target=target, owner=owner, include=tuple(include), exclude=tuple(exclude))
        self._workers = workers
        self._bandwidth = None if bandwidth is None else parse_size(bandwidth)
        self._deletes = delete_originals
        self._max_failures = max_failures
        self._check: Checking = check
        self._lease = lease

    def plan(self) -> Steps:
        """Tell what a run would do, and change nothing: an event for each file and owner.

        ``waiting`` would be copied, ``already`` is there; the rest is what can't be. Raises Unavailable.
        """
        report = MigrationReport()
        return Steps(self._plan(report), report)

    def run(self) -> Steps:
        """Do it, or go on with it. What an earlier run had to leave is tried again.

        A file that can't come is told and keeps no other waiting. What stops the whole run, a journal or a table of
        projects that can't be reached, is in ``report.stopped``.
        """
        report = MigrationReport()
        return Steps(_told_if_stopped(self._run(report), report), report)

    def verify(self) -> Steps:
        """Compare every migrated file with what the target holds: record, bytes (read back), and references.

        ``migrated`` is as it should be; ``vanished``: its record was deleted since; ``mismatch``: other bytes, or none;
        ``waiting``: a project names the original (again): run once more.
        """
        report = MigrationReport()
        return Steps(verified(self._work, report, workers=self._workers), report)

    def rollback(self) -> Steps:
        """Let projects name the originals again, then remove the copies that nothing names.

        What users changed since stays as it is. An original that was erased is brought back first, into a folder;
        elsewhere its copy is ``kept``.

        Raises:
            NotSupported: the records only got their bytes elsewhere; the way back is a migration back.

        """
        if self._work.source.switches:
            raise NotSupported("rollback (migrate back instead)", "a store that only moved its own bytes")
        report = MigrationReport()
        undoing = Undoing(work=self._work, lease=self._lease, workers=self._workers)
        return Steps(undoing.events(), report)

    def status(self) -> Steps:
        """Tell what the journal knows of each file, without looking at files or projects."""
        report = MigrationReport()
        return Steps(self._status(report), report)

    def bring(self, path: str, *, owner: str) -> AudioFile | None:
        """Bring one file over now, since somebody wants to hear it: the read-through of an app that points to *target*.

        *path* is what the project says. None: no project of *owner* names it, it can't come, or somebody brings it at
        this moment; the original still plays.
        """
        item = self._named(path, owner)
        if item is None:
            return None
        worker = f"{new_id()}/bring"
        if item.state == "open":
            for each in self._work.journal.claim(
                self.job, worker, state="open", limit=1, lease=self._lease, owner=owner, only=item.id
            ):
                self._work.journal.settle(self.job, [self._carrier(threading.Event()).carry(each).settled])
        for each in self._work.journal.claim(
            self.job, worker, state="copied", limit=1, lease=self._lease, owner=owner, only=item.id
        ):
            for done in rewrite(self._work.references, [each], self._work.target.backend.name, "there"):
                self._work.journal.settle(self.job, [settled(done, each.outcome)])
        latest = {each.owner: each for each in self._work.journal.find(self.job, item.address)}.get(owner)
        if latest is None or latest.file is None or latest.state not in _FINAL:
            return None
        return self._work.target.find(latest.file, owner=owner)

    def close(self) -> None:
        """Let go of the journal and of the projects; the stores are their maker's."""
        self._work.journal.close()
        self._work.source.close()
        if self._work.references is not None:
            self._work.references.close()

    @property
    def job(self) -> str:
        """What the journal knows this migration by."""
        return self._work.job

    def _named(self, path: str, owner: str) -> Item | None:
        for address in self._work.source.candidates(path):
            for item in self._work.journal.find(self.job, address):
                if item.owner == owner and item.state not in {"left", "undone"}:
                    return item
        for each in self._survey.planned(Index.of(self._work.references, owner=owner)):
            if isinstance(each, Item) and each.owner == owner and path in {one.path for one in each.references}:
                self._work.journal.plan(self.job, [each])
                there = self._work.journal.find(self.job, each.address)
                return next((item for item in there if item.owner == owner), None)
        return None

    def _plan(self, report: MigrationReport) -> Iterator[MigrationEvent]:
        index = Index.of(self._work.references, owner=self._work.owner)
        report.projects = index.projects
        known = {(each.address, each.owner): each for each in self._work.items() if _has_come(each)}
        seen = set[tuple[str, str]]()
        survey = replace(self._survey, arrived={each.address for each in known.values()})
        for each in survey.with_quota(survey.planned(index)):
            if isinstance(each, MigrationEvent):
                yield each
                continue
            done = known.get((each.address, each.owner))
            here = done is not None and done.state == "done" and not each.references
            seen.add((each.address, each.owner))
            yield _planned(each, "already" if here else each.outcome)
        report.found = len({address for address, _ in seen | known.keys()})
        for where in sorted(known.keys() - seen):
            yield _planned(known[where], "already" if known[where].state == "done" else "waiting")

    def _run(self, report: MigrationReport) -> Iterator[MigrationEvent]:
        # Looked at before the projects are: what another process finishes after that is not named again.
        fences = {(each.address, each.owner): each.fence for each in self._work.items() if each.state == "done"}
        index = Index.of(self._work.references, owner=self._work.owner)
        report.projects = index.projects
        come = [each for each in self._work.items() if _has_come(each)]
        addresses = {each.address for each in come}
        # Copied, but who knows what became of their references: perhaps nothing names the original any more. What
        # another process finishes meanwhile, under the fence that it has now, stays finished.
        unsure = (replace(each, state="open", outcome="waiting", fence=0) for each in come if each.state != "done")
        for some in in_pages(unsure):
            self._work.journal.plan(self.job, [each for each in some if isinstance(each, Item)])
        del come
        for page in in_pages(replace(self._survey, arrived=set(addresses)).planned(index)):
            items = [each for each in page if isinstance(each, Item)]
            self._work.journal.plan(
                self.job, [replace(each, fence=fences.get((each.address, each.owner), 0)) for each in items]
            )
            addresses |= {each.address for each in items}
            for each in page:
                if isinstance(each, MigrationEvent):
                    yield each
                elif each.state == "left":
                    yield _planned(each, each.outcome)
        report.found = len(addresses)
        del index, addresses, fences
        done = {each.id for each in self._work.items() if each.state == "done"}
        halt = threading.Event()
        crew = Crew(
            job=self.job,
            journal=self._work.journal,
            carrier=self._carrier(halt),
            references=self._work.references,
            report=report,
            workers=self._workers,
            lease=self._lease,
            max_failures=self._max_failures,
            halt=halt,
            owner=self._work.owner,
        )
        yield from crew.events()
        if self._deletes and report.stopped is None:
            yield from erased(self._work)
        for item in self._work.items():
            if item.id in done and item.state == "done":
                yield _planned(item, "already")
            report.waiting += item.state in {"open", "copied"}

    def _status(self, report: MigrationReport) -> Iterator[MigrationEvent]:
        for item in self._work.items():
            report.found += 1
            report.waiting += item.state in {"open", "copied"}
            report.bytes += item.size if item.state in _FINAL else 0
            yield replace(_planned(item, "waiting" if item.state == "copied" else item.outcome), step="status")

    def _carrier(self, halt: threading.Event) -> Carrier:
        return Carrier(
            job=self.job,
            source=self._work.source,
            target=self._work.target,
            throttle=Throttle(self._bandwidth, halt),
            check=self._check,
            in_place=self._work.in_place,
            erases=self._deletes,
        )


def _told_if_stopped(events: Iterator[MigrationEvent], report: MigrationReport) -> Iterator[MigrationEvent]:
    """Let what is away, or refuses, for now end a run with a report: the next one goes on."""
    try:
        yield from events
    except (Unavailable, PermissionDenied) as error:
        report.stopped, report.error = report.stopped or str(error), report.error or error


def _has_come(item: Item) -> bool:
    """Tell whether its bytes are recorded in the target."""
    return item.state in {"done", "copied"} or (item.state == "left" and item.file is not None)


def _planned(item: Item, outcome: str) -> MigrationEvent:
    return MigrationEvent(
        step="plan",
        outcome=outcome,  # type: ignore[arg-type]
        path=str(item.facts.get("name", item.address)),
        owner=item.owner,
        size=item.size,
        file=item.file,
        key=item.key,
        project=item.references[0].project if item.references else None,
        detail=item.detail,
    )


def _source(source: From, target: AudioStore, owner: str | None, prefixes: Sequence[str]) -> MigrationSource:
    if isinstance(source, str | os.PathLike):
        return FolderSource(source, prefixes=prefixes)
    if isinstance(source, AudioStore):
        if source is target:
            raise ConfigurationError("source and target are one store: name the backend to empty as the source")
        if _is_one_catalog(source, target):
            return _switching(source.backend, target, owner)
        return RecordSource(source, owner=owner)
    if any(each is source for each in target.backends.values()):
        return _switching(source, target, owner)
    return BucketSource(source, prefixes=prefixes)


def _is_one_catalog(source: AudioStore, target: AudioStore) -> bool:
    """Tell whether both keep one set of records, perhaps over two connections."""
    if source.catalog is target.catalog:
        return True
    one = source.catalog.list(None, limit=1)
    return bool(one) and list(target.catalog.find([one[0].id])) == list(one)


def _switching(backend: Backend, target: AudioStore, owner: str | None) -> RecordSource:
    if backend.name == target.backend.name:
        raise ConfigurationError("source and target are one backend")
    if backend.name not in target.backends:
        raise ConfigurationError(f"the target must be able to read {backend.name!r}: AudioStore(…, backends=[…])")
    return RecordSource(target, owner=owner, backend=backend.name, switches=True)


def _check_place(source: MigrationSource, target: AudioStore, *, in_place: bool) -> None:
    root = getattr(target.backend, "root", None)
    same = isinstance(source, FolderSource) and root is not None and source.root.resolve() == Path(root).resolve()
    if in_place and not same:
        raise ConfigurationError("in_place: the source must be the folder that the target keeps its own files in")
    if same and not in_place:
        raise ConfigurationError("the files lie in the target's own folder already: in_place=True records them there")


def _default_journal(source: MigrationSource, target: AudioStore) -> Journal:
    from audiostore.catalogs.postgres import PostgresCatalog
    from audiostore.migrate.journals.postgres import PostgresJournal
    from audiostore.migrate.journals.sqlite import SQLiteJournal

    if isinstance(target.catalog, PostgresCatalog):
        return PostgresJournal(target.catalog)
    root = getattr(target.backend, "root", None) or getattr(source, "root", None)
    if root is None:
        raise ConfigurationError("say where to write down what was done: journal=SQLiteJournal(path)")
    return SQLiteJournal(Path(root) / OWN_FOLDER / "migration.db")
