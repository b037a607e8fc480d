"""The way back: projects name the originals again, and copies that nothing names go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Final

from audiostore.backends.disk import OWN_FOLDER
from audiostore.errors import AudioStoreError, NotFound, from_os_error
from audiostore.ids import new_id
from audiostore.migrate.index import Index
from audiostore.migrate.protocols import Copying, Item, Outcome, Settled
from audiostore.migrate.rewriting import Rewritten, rewrite
from audiostore.migrate.sources.folder import FolderSource
from audiostore.migrate.steps import MigrationEvent, Step
from audiostore.migrate.work import Work
from audiostore.models import AudioFile

_BATCH: Final = 200
_NAMED: Final = "a project names the copy"


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """One rollback. Killed midway, the next one goes on; any number may run at once."""

    work: Work
    lease: timedelta
    workers: int

    def events(self) -> Iterator[MigrationEvent]:
        run, held = new_id(), dict[str, Item]()
        try:
            # Each batch has a name of its own: what is stuck stays held until all others had their turn.
            for batch in self._batches(run, "done", held):
                yield from self._restore(batch)
            yield from self._remove(run, held)
        finally:
            self._settle([_as_it_was(each) for each in held.values()])

    def _restore(self, batch: Sequence[Item]) -> Iterator[MigrationEvent]:
        back, other = self._with_originals(batch)
        restored: list[Settled] = []
        for each in (*rewrite(self.work.references, back, self.work.target.backend.name, "back"), *other):
            if each.finished:
                item = each.item
                restored.append(
                    Settled(id=item.id, fence=item.fence, state="copied", outcome=item.outcome, detail=each.detail)
                )
                yield _event("restore", item, "rolled_back", each)
            else:
                yield _event("restore", each.item, "failed", each)
                yield _event("remove", each.item, "kept", each)
        self._settle(restored)

    def _remove(self, run: str, held: dict[str, Item]) -> Iterator[MigrationEvent]:
        index = Index.of(self.work.references)  # everybody's: a copy may have got into another project
        with ThreadPoolExecutor(self.workers) as pool:
            for batch in self._batches(f"{run}.remove", "copied", held):
                settled: list[Settled] = []
                for item, (outcome, detail) in zip(batch, pool.map(partial(self._removed, index), batch), strict=True):
                    if outcome == "rolled_back" or detail == _NAMED:
                        state: Copying = "undone" if outcome == "rolled_back" else "left"
                        settled.append(
                            Settled(id=item.id, fence=item.fence, state=state, outcome=outcome, detail=detail)
                        )  # the others stay copies that nothing names, for the next time
                    yield _event("remove", item, outcome, detail=detail)
                self._settle(settled)

    def _removed(self, index: Index, item: Item) -> tuple[Outcome, str | None]:
        named = index.by_path.get(item.key or "", ())
        # Where the copy is the original, those who name it without a record do what is wanted.
        if any(each.upload_id == item.file or not item.facts.get("adopted") for each in named):
            return "kept", _NAMED
        if index.unparsable:
            return "kept", "a project can't be read, and may name the copy"
        try:
            file = self.work.target.find(item.file, owner=item.owner)
            if item.facts.get("adopted"):
                self._unrecord(item, file)
            else:
                self.work.target.delete(file)
        except NotFound:
            return "rolled_back", None  # deleted since, by its owner or an earlier rollback
        except AudioStoreError as error:
            return "failed", str(error)
        return "rolled_back", None

    def _with_originals(self, batch: Sequence[Item]) -> tuple[list[Item], list[Rewritten]]:
        """Give the items whose originals are there, or are again; and those that have none, with the reason."""
        back: list[Item] = []
        other: list[Rewritten] = []
        for item in batch:
            try:
                if self.work.source.look(item, item.facts) == "gone":
                    self._bring_back(item)
                back.append(item)
            except AudioStoreError as error:
                other.append(Rewritten(item=item, error=error))
        return back, other

    def _bring_back(self, item: Item) -> None:
        source = self.work.source
        if not isinstance(source, FolderSource):
            raise NotFound(f"the original of {item.address}")
        path = source.root / item.address
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.work.target.download_to(item.file or "", path, owner=item.owner)
            if modified := item.facts.get("modified"):
                os.utime(path, ns=(modified, modified))
        except AudioStoreError:
            raise
        except OSError as error:
            raise from_os_error(error, item.address) from error

    def _unrecord(self, item: Item, file: AudioFile) -> None:
        """Forget a record whose bytes are the original itself. Should a sweep come between, a second link has them."""
        source, catalog = self.work.source, self.work.target.catalog
        assert isinstance(source, FolderSource)
        path, spare = source.root / item.address, source.root / OWN_FOLDER / f"kept-{item.id}"
        try:
            with suppress(FileExistsError):  # of a rollback that was killed
                os.link(path, spare)
            catalog.forget([each.id for each in catalog.hide(file.owner, [file.id])])
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(spare, path)
            spare.unlink()
        except FileNotFoundError as error:
            raise NotFound(item.address) from error
        except AudioStoreError:
            raise
        except OSError as error:
            raise from_os_error(error, item.address) from error

    def _batches(self, run: str, state: Copying, held: dict[str, Item]) -> Iterator[Sequence[Item]]:
        for number in count():
            batch = self.work.journal.claim(
                self.work.job,
                f"{run}/{number}",
                state=state,
                limit=_BATCH,
                lease=self.lease,
                owner=self.work.owner,
            )
            if not batch:
                return
            held |= {each.id: each for each in batch}
            yield batch

    def _settle(self, settled: Sequence[Settled]) -> None:
        self.work.journal.settle(self.work.job, settled)


def _as_it_was(item: Item) -> Settled:
    return Settled(id=item.id, fence=item.fence, state=item.state, outcome=item.outcome, detail=item.detail)


def _event(
    step: Step, item: Item, outcome: Outcome, rewritten: Rewritten | None = None, *, detail: str | None = None
) -> MigrationEvent:
    return MigrationEvent(
        step=step,
        outcome=outcome,
        path=str(item.facts.get("name", item.address)),
        owner=item.owner,
        size=item.size,
        file=item.file,
        key=item.key,
        detail=detail if rewritten is None else rewritten.detail,
        error=None if rewritten is None else rewritten.error,
        references=() if rewritten is None or step != "restore" else rewritten.outcomes,
    )
