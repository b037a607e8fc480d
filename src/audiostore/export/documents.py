"""What an export says in words: ``metadata.json``, and the text of each chapter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audiostore.export.books import Book
from audiostore.export.journal import MadeChapter
from audiostore.export.results import MissingSection
from audiostore.export.sections import BookChapter


def metadata_of(
    book: Book,
    *,
    files: Mapping[str, str],
    chapter_files: Mapping[int, Mapping[str, str]],
    made: Mapping[int, MadeChapter],
    starts: Mapping[int, float],
    missing: Iterable[MissingSection],
) -> dict[str, Any]:
    """Give the facts of ``metadata.json``: the book as it was exported, times in seconds, names of files by format."""
    absent = {(each.chapter, each.section): each for each in missing}
    return {
        "title": book.title,
        "author": book.author,
        "narrator": book.narrator,
        "language": book.language,
        "project": book.project,
        "files": dict(files),
        "chapters": [
            {
                "number": number + 1,
                "id": chapter.id,
                "name": chapter.name,
                "files": dict(chapter_files.get(number, {})),
                "duration": _rounded(made[number].duration) if number in made else None,
                "start": _rounded(starts[number]) if number in starts else None,
                "sections": _sections(number, chapter, made.get(number), absent),
            }
            for number, chapter in enumerate(book.chapters)
        ],
        "missing": [each.as_dict() for each in absent.values()],
    }


def text_of(chapter: BookChapter) -> str:
    """Give the text of a chapter, section by section; empty if nobody wrote any."""
    if not any(section.text.strip() for section in chapter.sections):
        return ""
    pieces = [chapter.name] if chapter.name else []
    for section in chapter.sections:
        pieces += [each for each in (section.name, section.text.strip()) if each]
    return "\n\n".join(pieces) + "\n"


def written(facts: Mapping[str, Any]) -> bytes:
    """Give *facts* as JSON that people can read."""
    return (json.dumps(facts, ensure_ascii=False, indent=2) + "\n").encode()


def _sections(
    number: int,
    chapter: BookChapter,
    made: MadeChapter | None,
    absent: Mapping[tuple[int, int], MissingSection],
) -> Sequence[dict[str, Any]]:
    heard = {each.section: each for each in made.sections} if made is not None else {}
    listed: list[dict[str, Any]] = []
    for index, section in enumerate(chapter.sections):
        sounding, gone = heard.get(index), absent.get((number, index))
        listed.append(
            {
                "number": index + 1,
                "id": section.id,
                "name": section.name,
                "text": section.text,
                "status": section.status,
                "start": None if sounding is None else _rounded(sounding.start),
                "end": None if sounding is None else _rounded(sounding.end),
                "missing": None if gone is None else gone.reason,
            }
        )
    return listed


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
