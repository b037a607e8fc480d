"""What sections refer to, looked up for one owner: a stored file, an old file on this disk, or nothing."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from audiostore.errors import Cancelled, NotFound, from_os_error
from audiostore.export.books import Book
from audiostore.export.results import MissingSection, Reason
from audiostore.export.sections import BookSection
from audiostore.models import AudioFile, parse_text
from audiostore.store import AudioStore

Originals: TypeAlias = Callable[[str, str], Path | None]
"""``(path, owner) -> file``: where an old local file is that only a project names; None if it is not that owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A section whose audio is known: in the store, or (``original``) a file on this disk, which is only read.

    ``size`` in bytes; ``mark`` stands for the very bytes: another one, other audio.
    """

    size: int
    mark: str
    chapter: int = 0
    section: int = 0
    name: str = ""
    path: str | None = None
    stored: AudioFile | None = None
    original: Path | None = None

    def missing(self, reason: Reason, detail: str = "") -> MissingSection:
        """Say that it can't be had after all."""
        return MissingSection(
            chapter=self.chapter, section=self.section, name=self.name, path=self.path, reason=reason, detail=detail
        )


Reference: TypeAlias = Heard | MissingSection


def resolve(
    store: AudioStore,
    book: Book,
    *,
    originals: Originals | None,
    workers: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Reference]:
    """Look up every section of *book*, in order, several at a time, for its owner alone.

    Raises:
        Unavailable: the catalog can't be asked. What is not known is not called missing.
        Cancelled: that was wished.

    """
    with ThreadPoolExecutor(workers, thread_name_prefix="audiostore-export") as pool:
        look = _Looking(store, book.owner, originals, cancelled)
        return list(pool.map(look.at, book.sections))


def chapters_of(references: Iterable[Reference], count: int) -> list[list[Reference]]:
    """Give the references of each of *count* chapters."""
    chapters: list[list[Reference]] = [[] for _ in range(count)]
    for each in references:
        chapters[each.chapter].append(each)
    return chapters


@dataclass(frozen=True, slots=True)
class _Looking:
    store: AudioStore
    owner: str
    originals: Originals | None
    cancelled: Callable[[], bool]

    def at(self, place: tuple[int, int, BookSection]) -> Reference:
        if self.cancelled():
            raise Cancelled("looking for sections")
        chapter, number, section = place
        absent = partial(MissingSection, chapter=chapter, section=number, name=section.name, path=section.path)
        if section.path is None and section.upload_id is None:
            return absent(reason="no_audio")
        found = self._stored(section) or self._original(section)
        if found is None:
            return absent(reason="missing")
        return replace(found, chapter=chapter, section=number, name=section.name, path=section.path)

    def _stored(self, section: BookSection) -> Heard | None:
        # The path comes first: it is what players play. A file that was replaced has another one, under its old id.
        stored = self._by_path(section.path) or self._by_id(section.upload_id)
        if stored is None:
            return None
        mark = stored.sha256 or f"{stored.id} {stored.key} {stored.size}"
        return Heard(size=stored.size, mark=mark, stored=stored)

    def _by_path(self, path: str | None) -> AudioFile | None:
        try:
            return None if path is None else self.store.find(path=path, owner=self.owner)
        except NotFound:
            return None

    def _by_id(self, upload_id: str | None) -> AudioFile | None:
        if upload_id is None or not _can_be_id(upload_id):
            return None
        try:
            return self.store.find(upload_id, owner=self.owner)
        except NotFound:
            return None

    def _original(self, section: BookSection) -> Heard | None:
        # What is said to be elsewhere must not be taken for a local file that happens to have its name.
        if self.originals is None or section.path is None or section.backend not in (None, "local"):
            return None
        path = self.originals(section.path, self.owner)
        if path is None:
            return None
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os_error(error, str(path)) from error
        if not stat.S_ISREG(found.st_mode):
            return None
        facts = f"{path.absolute()} {found.st_size} {found.st_mtime_ns} {found.st_ino}"
        return Heard(size=found.st_size, mark=hashlib.sha256(os.fsencode(facts)).hexdigest(), original=path)


def _can_be_id(text: str) -> bool:
    try:
        parse_text("id", text)
    except ValueError:
        return False
    return True
