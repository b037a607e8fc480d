"""The life of a removal: queued, handed out, and forgotten once the bytes are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from audiostore.catalogs import rules
from audiostore.catalogs.rows import Decision, Queued, Record
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Removal


def queue(
    at: Decision, backend: str, key: Key, *, owner: str | None, delay: timedelta, file: str | None = None
) -> Removal:
    """Queue an object for removal, due after *delay*; *file* is the hidden record that goes with it."""
    removal = Removal(id=new_id(), backend=backend, key=key, owner=owner)
    at.tables.add_queued(Queued(removal=removal, due=rules.later(at.now, delay), file=file))
    return removal


def hide(at: Decision, owner: str, files: Sequence[str]) -> Sequence[Removal]:
    removals: list[Removal] = []
    for each in files:
        record = at.tables.record(each)
        if record is None or record.hidden or record.file.owner != owner:
            continue
        at.tables.change_record(replace(record, hidden=True))
        file = record.file
        removals.append(queue(at, file.backend, file.key, owner=owner, delay=at.removal_delay, file=file.id))
    return removals


def forget(at: Decision, removals: Sequence[str]) -> None:
    for each in removals:
        queued = at.tables.queued(each)
        if queued is None:
            continue
        record = None if queued.file is None else at.tables.record(queued.file)
        if record is not None and record.hidden:
            _drop(at, record)
        at.tables.drop_queued(each)


def postpone(at: Decision, removals: Sequence[str], delay: timedelta) -> None:
    due = rules.later(at.now, delay)
    for each in removals:
        queued = at.tables.queued(each)
        if queued is not None:
            at.tables.change_queued(replace(queued, due=due))


def claim(at: Decision, limit: int, lease: timedelta) -> Sequence[Removal]:
    until = rules.later(at.now, lease)
    claimed: list[Removal] = []
    while len(claimed) < limit:
        due = at.tables.due(at.now, limit - len(claimed))
        for queued in due:
            removal = queued.removal
            if at.tables.holders(removal.backend, removal.key) & {"record", "pending"}:
                at.tables.drop_queued(removal.id)
                continue
            handed = replace(removal, attempts=removal.attempts + 1)
            at.tables.change_queued(replace(queued, removal=handed, due=until))
            claimed.append(handed)
        if not due or lease <= timedelta(0):
            break
    return claimed


def discard(at: Decision, backend: str, keys: Sequence[Key], delay: timedelta) -> None:
    for key in keys:
        if not at.tables.holders(backend, key):
            queue(at, backend, key, owner=None, delay=delay)


def _drop(at: Decision, record: Record) -> None:
    at.tables.drop_record(record.file.id)
    at.tables.charge(record.file.owner, committed=-record.file.size, files=-1)
