"""Chapter seven: many files in one call. Each item has its own outcome, so that none keeps another from being done."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from audiostore.cancelling import CallerGone, Cancellation, check_cancelled
from audiostore.errors import AudioStoreError, NotFound
from audiostore.models import AudioFile, PlaceId, parse_text
from audiostore.reports import Batch, Outcome
from audiostore.sources import NewFile, Source, as_new_file
from audiostore.store.changing import Changing, sent_directly
from audiostore.store.reading import PAGE, Reading

if TYPE_CHECKING:
    from concurrent.futures import Future

_I = TypeVar("_I")
_T = TypeVar("_T")

Target: TypeAlias = tuple[AudioFile | str, str | os.PathLike[str]]
"""A file, and the path to which it is to be written."""

Told: TypeAlias = Callable[[Outcome[_T]], object]
"""Called in the caller's thread with each outcome as it comes, in no order. What it raises ends the batch."""


class Batches(Reading, Changing):
    """``put_many download_many delete_many``.

    Items may be any iterable, endless ones apart: no more are taken from it than are being worked on. What it raises
    ends the batch, as an interrupt does: what is under way is cancelled and undone, what was done stays.
    """

    def put_many(
        self,
        files: Iterable[NewFile | Source],
        *,
        owner: str,
        project: PlaceId = None,
        chapter: PlaceId = None,
        section: PlaceId = None,
        workers: int = 8,
        progress: Told[AudioFile] | None = None,
    ) -> Batch[AudioFile]:
        """Store many files for *owner*, up to *workers* at once; each is a source, or a ``NewFile`` with more facts.

        What an item does not say of its place is the batch's *project*, *chapter*, *section*. *progress* gets each
        outcome as it comes. What ``put`` raises for an item is in its outcome.

        >>> from audiostore import NewFile
        >>> batch = store.put_many([NewFile("take.wav", section=n) for n in (1, 2)], owner="alice", project="p2")
        >>> [file.section for file in batch.results()]
        ['1', '2']
        """
        parse_text("owner", owner)

        def put(item: NewFile | Source) -> AudioFile:
            file = as_new_file(item, project, chapter, section)
            return self.put(file.source, owner=owner, **file.options)

        return _each(files, put, workers, progress)

    def download_many(
        self,
        targets: Iterable[Target],
        *,
        owner: str | None = None,
        workers: int = 8,
        progress: Told[Path] | None = None,
    ) -> Batch[Path]:
        """Write many files, each to a path of its own, up to *workers* at once; each as ``download_to`` does it.

        >>> batch = store.download_many((take, f"{take.id}.wav") for take in store.list(owner="alice", project="p1"))
        >>> batch.ok
        True
        """
        return _each(targets, lambda target: self.download_to(*target, owner=owner), workers, progress)

    def delete_many(
        self,
        files: Iterable[AudioFile | str],
        *,
        owner: str | None = None,
        progress: Told[None] | None = None,
    ) -> Batch[None]:
        """Delete many files as ``delete`` does, hundreds of them in one request. It needs no workers.

        >>> store.delete_many(store.list(owner="alice", project="p1")).ok
        True

        Raises:
            TypeError: an id without *owner*.

        """
        items, outcomes = iter(files), list[Outcome[None]]()
        with self.events.operation("delete_many", owner=owner) as operation:
            while page := list(islice(items, PAGE)):
                check_cancelled()
                for error in self._delete_page(page, owner):
                    outcomes.append(Outcome(index=len(outcomes), error=error))
                    if progress is not None:
                        progress(outcomes[-1])
            batch = Batch(outcomes)
            operation.learn(facts={"files": len(batch.done), "failed": len(batch.failed)})
        return batch

    def _delete_page(self, page: Sequence[AudioFile | str], owner: str | None) -> list[AudioStoreError | None]:
        """Delete these, and tell what each met. One decision, and one request to the backend, for those of an owner."""
        if owner is None and any(isinstance(each, str) for each in page):
            raise TypeError("pass owner= with an id: who is asking? (find(id) is the look-up without an owner)")
        ids = [each.id if isinstance(each, AudioFile) else parse_text("id", each) for each in page]
        try:
            records = {record.id: record for record in self.catalog.find(sorted(set(ids)))}
        except AudioStoreError as error:
            return [error] * len(page)
        errors: list[AudioStoreError | None] = [None] * len(page)
        found: defaultdict[str, dict[int, AudioFile]] = defaultdict(dict)
        for position, (each, file_id) in enumerate(zip(page, ids, strict=True)):
            asking = each.owner if owner is None and isinstance(each, AudioFile) else owner
            record = records.get(file_id)
            if record is None or record.owner != asking:
                errors[position] = NotFound(f"file {file_id}")
            else:
                found[record.owner][position] = records.pop(file_id)  # asked for twice, it is gone the second time
        for asking, files in found.items():
            try:
                self._erase(self.catalog.hide(asking, [record.id for record in files.values()]))
                self._shut(sent_directly(files.values()))
            except AudioStoreError as error:
                for position in files:
                    errors[position] = error
        return errors


def _each(items: Iterable[_I], act: Callable[[_I], _T], workers: int, progress: Told[_T] | None) -> Batch[_T]:
    """Do *act* with each item, in up to *workers* threads; an ``Exception`` is an outcome, anything else ends it."""
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait  # it costs as much as the store to load

    if workers < 1:
        raise ValueError("workers must be at least 1")
    outcomes, batch = dict[int, Outcome[_T]](), Cancellation()
    running: dict[Future[_T], int] = {}

    def settle(most: int) -> None:
        while len(running) > most:
            for job in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = _outcome(running.pop(job), job)
                outcomes[outcome.index] = outcome
                if progress is not None:
                    progress(outcome)

    with ThreadPoolExecutor(workers, "audiostore-batch") as pool:
        try:
            for index, item in enumerate(items):
                work = partial(batch.run, partial(_one, act, item))
                running[pool.submit(copy_context().run, work)] = index
                del item, work  # a window of them is all that stays in memory
                settle(workers - 1)
            settle(0)
        except BaseException:
            batch.cancel()  # and the pool waits until all is undone
            raise
    return Batch(outcomes[index] for index in range(len(outcomes)))


def _one(act: Callable[[_I], _T], item: _I) -> _T:
    one = Cancellation()
    result = one.run(partial(act, item))
    if one.cancelled:
        one.undo()
        raise CallerGone
    return result


def _outcome(index: int, job: Future[_T]) -> Outcome[_T]:
    error = job.exception()
    if error is None:
        return Outcome(index=index, result=job.result())
    if isinstance(error, Exception):
        return Outcome(index=index, error=error)
    raise error
