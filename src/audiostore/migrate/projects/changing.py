"""Which sections of a project a change is for, as the project is now, and what it makes of them."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import TypeAlias

from audiostore.migrate.documents import LOCAL, Fields, Section, edited, sections_of
from audiostore.migrate.protocols import Change, Rewriting


def changed(data: str, changes: Sequence[Change]) -> tuple[str, list[Rewriting]]:
    """Give *data* after *changes*, and what became of each.

    Raises:
        Unreadable: not the JSON of a project.
    """
    text = unwrapped(data)
    sections = sections_of(text)
    claimed = _claimed(sections, changes)
    wanted = {
        number: Fields(path=change.new, backend=change.backend, upload=change.upload_id)
        for number, change in claimed.items()
    }
    new = edited(text, wanted)
    outcomes = _outcomes(sections, claimed, changes)
    if new == text:
        return data, outcomes
    return (new if text is data else json.dumps(new, ensure_ascii=data.isascii())), outcomes


def unwrapped(data: str) -> str:
    """Give the document itself, where an app put its text into a column for JSON, and so has JSON in JSON."""
    if data.lstrip().startswith('"'):
        try:
            inner = json.loads(data)
        except ValueError:
            return data
        if isinstance(inner, str):
            return inner
    return data


def _claimed(sections: Sequence[Section], changes: Sequence[Change]) -> dict[int, Change]:
    """Give the change for each section that gets one: the very section first, else where it may have gone.

    A copy that the user made of a section names the same audio, and goes the same way.
    """
    claimed: dict[int, Change] = {}
    here = {(each.old, each.chapter, each.section): each for each in changes}
    for number, section in enumerate(sections):
        if change := here.pop((section.path, *_ids(section)), None):
            claimed[number] = change
    moved: dict[tuple[str, str | None], Change] = {
        (each.old, each.section): each for each in here.values() if each.section is not None
    }
    copied = {each.old: each for each in changes if len({_way(one) for one in changes if one.old == each.old}) == 1}
    for number, section in enumerate(sections):
        change = moved.get((section.path, _ids(section)[1])) or copied.get(section.path)
        if number not in claimed and change and not _is_another(section, change):
            claimed[number] = change
    return claimed


def _is_another(section: Section, change: Change) -> bool:
    """Tell whether this path names something that is where the change leads to: by chance, another file."""
    backend = section.backend or LOCAL
    if backend != (change.backend or LOCAL):
        return False
    return backend != LOCAL or (section.upload is None) == (change.upload_id is None)


def _outcomes(sections: Sequence[Section], claimed: Mapping[int, Change], changes: Sequence[Change]) -> list[Rewriting]:
    is_now: dict[_Way, list[Section]] = {}
    for number, change in claimed.items():
        is_now.setdefault(_way(change), []).append(sections[number])
    done = {(each.path, each.backend, each.upload) for each in sections}
    ids = {_ids(each) for each in sections}
    return [_outcome(change, is_now.get(_way(change), ()), done, ids) for change in changes]


def _outcome(change: Change, sections: Sequence[Section], done: Container[_Target], ids: Container[_Ids]) -> Rewriting:
    target = (change.new, change.backend, change.upload_id)
    if any((each.path, each.backend, each.upload) != target for each in sections):
        return "rewritten"
    if sections or target in done:
        return "already"
    return "edited" if (change.chapter, change.section) in ids else "gone"


_Ids: TypeAlias = tuple[str | None, str | None]
_Target: TypeAlias = tuple[str, str | None, str | None]
_Way: TypeAlias = tuple[str, _Target]


def _way(change: Change) -> _Way:
    return change.old, (change.new, change.backend, change.upload_id)


def _ids(section: Section) -> _Ids:
    return text_of(section.chapter), text_of(section.section)


def text_of(id: str | int | None) -> str | None:
    return None if id is None else str(id)
