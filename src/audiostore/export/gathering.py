"""A book out of the catalog: what an owner has in a project, in the order in which people count."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import PurePosixPath
from typing import Literal

from audiostore.export.sections import BookChapter, BookSection
from audiostore.models import AudioFile, PlaceId
from audiostore.store import AudioStore

KEPT_AS = "audiostore_export"
"""In the metadata of a file that is itself an export: it is no section of the book."""

Takes = Literal["latest", "all"]


def gather_chapters(store: AudioStore, *, owner: str, project: PlaceId, takes: Takes) -> tuple[BookChapter, ...]:
    """Give the chapters of a project; *takes* says what becomes of several files at one place.

    Files without a section of their own come first in their chapter, and those without a chapter first of all, each
    as a section, oldest first. Places come in natural order: 2 before 10.
    """
    if takes not in ("latest", "all"):
        raise ValueError(f'takes is "latest" or "all", not {takes!r}')
    files = [each for each in store.list(owner=owner, project=project) if KEPT_AS not in each.metadata]
    # Sorting is stable, and the list comes oldest first.
    files.sort(key=lambda file: (natural(file.chapter), natural(file.section)))
    return tuple(
        BookChapter(
            id=chapter,
            name="" if chapter is None else f"Chapter {chapter}",
            sections=tuple(_section(each) for each in _chosen(list(group), takes)),
        )
        for chapter, group in groupby(files, key=lambda file: file.chapter)
    )


def natural(place: str | None) -> tuple[tuple[int, int, str], ...]:
    """Give a sort key by which ``2`` comes before ``10``, ``part 2`` before ``part 10``, and None before all.

    >>> sorted(["10", "2", "1b", "1a"], key=natural)
    ['1a', '1b', '2', '10']
    """
    if place is None:
        return ()
    pieces = re.findall(r"([0-9]+)|([^0-9]+)", place)
    # Numbers of any length compare by length first, so that no huge one is ever parsed.
    return (*((_number(digits) if digits else (1, 0, text.casefold())) for digits, text in pieces), (-1, 0, place))


def _number(digits: str) -> tuple[int, int, str]:
    plain = digits.lstrip("0")
    return (0, len(plain), plain)


def _chosen(files: list[AudioFile], takes: Takes) -> list[AudioFile]:
    if takes == "all":
        return files
    latest = {file.section: file.id for file in files}
    return [file for file in files if file.section is None or latest[file.section] == file.id]


def _section(file: AudioFile) -> BookSection:
    return BookSection(
        id=file.section,
        name=PurePosixPath(file.filename).stem,
        path=str(file.key),
        backend=file.backend,
        upload_id=file.id,
    )
