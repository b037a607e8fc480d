"""``export``: a book becomes files in a folder, in one call."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict, Unpack

from audiostore.errors import AlreadyExists, Cancelled, Unavailable
from audiostore.export.books import Book
from audiostore.export.chapters import Edit, Share
from audiostore.export.covers import Cover, read_cover
from audiostore.export.journal import claimed, on_disk, read_json, write_json
from audiostore.export.making import Order, check, make, plan_names
from audiostore.export.options import ExportOptions, Loudness, OnMissing
from audiostore.export.references import Originals
from audiostore.export.results import Export
from audiostore.ids import new_id
from audiostore.sizes import Size
from audiostore.store import AudioStore

WORK = ".audiostore-export"
"""The folder, in the target, of what is not finished."""
_SEEN = "seen.json"


class Wishes(TypedDict, total=False):
    """What can be wished of an export; ``ExportOptions`` says what each is."""

    formats: tuple[str, ...] | list[str] | str
    sample_rate: int | None
    channels: int | None
    bit_rate: int | None
    bit_depth: int | None
    gap: timedelta
    chapter_gap: timedelta
    fade: timedelta
    trim: bool
    loudness: Loudness | None
    room_tone: bool
    metadata: bool
    audio: bool
    zip: bool
    on_missing: OnMissing
    workers: int
    ahead: Size


def export(
    store: AudioStore,
    book: Book,
    *,
    to: str | os.PathLike[str],
    options: ExportOptions | None = None,
    cover: Cover | None = None,
    originals: Originals | None = None,
    edit: Edit | None = None,
    overwrite: bool = False,
    progress: Share | None = None,
    cancelled: Callable[[], bool] | None = None,
    **wishes: Unpack[Wishes],
) -> Export:
    """Make *book* into files in the folder *to*: audio, ``metadata.json``, texts, perhaps a ZIP of it all.

    *wishes* are those of ``ExportOptions``: ``formats= gap= loudness= zip=`` …, and win over *options*. *cover* is a
    picture: bytes, a path, or an ``AudioFile``. *originals* knows old local files that only a project names. *edit*
    is ``AudioSegment -> AudioSegment``, done to each section. *progress* gets the share that is done; *cancelled* is
    asked all the time, and ends it.

    What is done is seen in *to* when all is done, and nothing before. If the process dies, or anything fails, finished
    chapters are kept in a hidden folder there, and the same call goes on with them; after ``Cancelled`` it is gone.

    >>> from datetime import timedelta
    >>> from audiostore import AudioStore
    >>> from audiostore.export import Book, export
    >>> store = AudioStore.local("uploads")
    >>> take = store.put("take.wav", owner="alice", project="p1", chapter=1, section=1)
    >>> book = Book.from_catalog(store, owner="alice", project="p1", title="Tides")
    >>> done = export(store, book, to="tides", formats="wav", gap=timedelta(seconds=1))
    >>> [file.name for file in done.files], done.missing
    (['01 - Chapter 1.wav', 'metadata.json'], ())

    Raises:
        SectionsMissing: with ``on_missing="raise"``, if any are.
        AlreadyExists: a file that it would write is there, and *overwrite* is not said.
        Cancelled; StorageFull, PermissionDenied; Unavailable: also if another process is exporting into *to*.
        ConfigurationError: audio is wanted, and the extra is missing: ``pip install "audiostore[audio]"``.
        ValueError: a wish that can't be.

    """
    wanted = parse_options(options, wishes)
    check(book, wanted)
    folder = Path(to)
    plan = plan_names(book)
    ours_already = (read_json(folder / WORK / _SEEN) or {}).get("names", [])
    taken = [name for name in plan.names(book, wanted) if os.path.lexists(folder / name) and name not in ours_already]
    if taken and not overwrite:
        raise AlreadyExists(str(folder / taken[0]))
    order = Order(
        store=store,
        book=book,
        options=wanted,
        cover=read_cover(store, cover, owner=book.owner),
        originals=originals,
        edit=edit,
        progress=progress,
        cancelled=cancelled,
    )
    work = folder / WORK
    with on_disk(work):
        work.mkdir(parents=True, exist_ok=True)
    with claimed(work) as ours, store.events.operation("export", owner=book.owner) as operation:
        if not ours:
            raise Unavailable(f"an export into {folder} is going on already", retryable=True)
        try:
            done = make(order, work)
            # If we are killed in the middle of it, the next call knows which files are not somebody else's.
            write_json(work / _SEEN, {"names": [each.name for each in done.files]})
            files = done.publish(folder)
        except Cancelled:
            shutil.rmtree(work, ignore_errors=True)
            raise
        operation.learn(bytes=sum(each.size for each in files))
        shutil.rmtree(work, ignore_errors=True)
    return Export(
        id=new_id(),
        owner=book.owner,
        title=book.title or book.file_name,
        project=book.project,
        state="finished",
        share=1.0,
        created_at=datetime.now(UTC),
        files=files,
        missing=done.missing,
    )


def parse_options(options: ExportOptions | None, wishes: Wishes) -> ExportOptions:
    """Give *wishes*, over *options* where there are any."""
    return ExportOptions(**wishes) if options is None else replace(options, **wishes)  # type: ignore[arg-type]
