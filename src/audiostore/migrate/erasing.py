"""The originals go last, and only those that nothing can want any more."""

from __future__ import annotations

from collections.abc import Iterator

from audiostore.errors import AudioStoreError
from audiostore.migrate.index import Index
from audiostore.migrate.protocols import Item, Outcome
from audiostore.migrate.steps import MigrationEvent
from audiostore.migrate.work import Work


def erased(work: Work) -> Iterator[MigrationEvent]:
    """Erase the original of each file that has arrived for all its owners.

    Projects are read once more for that, everybody's: what any of them names stays. If one can't be read, nobody knows
    what it names, and everything stays.
    """
    if work.source.switches or work.in_place:
        return  # nothing lies there that is not the file itself, or has gone with its references
    index = Index.of(work.references)
    named = {name for path in index.by_path for name in work.source.candidates(path)}
    waiting, ready = set[str](), dict[str, Item]()
    for item in work.everyones_items():
        if item.state == "done":
            ready.setdefault(item.address, item)
        elif item.owner:
            waiting.add(item.address)
    for item in ready.values():
        if work.owner not in {None, item.owner}:
            continue
        if index.unparsable:
            yield _event(item, "kept", "a project can't be read, and may name it")
        elif item.address in waiting:
            yield _event(item, "kept", "somebody else's copy is not there yet")
        elif str(item.facts.get("name", item.address)) in named:
            yield _event(item, "kept", "a project names it (again)")
        else:
            yield from _erased(work, item)


def _erased(work: Work, item: Item) -> Iterator[MigrationEvent]:
    try:
        if work.source.erase(item):
            yield _event(item, "migrated", None)
        elif work.source.look(item, item.facts) == "changed":
            yield _event(item, "kept", "it changed since it was copied")
    except AudioStoreError as error:
        yield _event(item, "failed", str(error), error)


def _event(item: Item, outcome: Outcome, detail: str | None, error: AudioStoreError | None = None) -> MigrationEvent:
    return MigrationEvent(
        step="erase",
        outcome=outcome,
        path=str(item.facts.get("name", item.address)),
        owner=item.owner,
        size=item.size,
        detail=detail,
        error=error,
    )
