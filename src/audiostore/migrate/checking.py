"""Afterwards: is every migrated file what it was, and does every project name it?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from audiostore.errors import AudioStoreError, NotFound
from audiostore.migrate.carrying import read_back
from audiostore.migrate.index import Index
from audiostore.migrate.protocols import Item, Outcome, Reference
from audiostore.migrate.steps import MigrationEvent, MigrationReport
from audiostore.migrate.work import Work
from audiostore.store import AudioStore


def verified(work: Work, report: MigrationReport, *, workers: int) -> Iterator[MigrationEvent]:
    """Read back every migrated file, *workers* at once."""
    index = Index.of(work.references, owner=work.owner)
    report.projects = index.projects
    items = (each for each in work.items() if each.file is not None and each.state in {"copied", "done"})
    with ThreadPoolExecutor(workers) as pool:
        while page := list(islice(items, 8 * workers)):
            for item, (outcome, detail) in zip(page, pool.map(partial(_look, work.target), page), strict=True):
                report.found += 1
                yield _event(item, *_with_references(item, index, outcome, detail))


def _look(target: AudioStore, item: Item) -> tuple[Outcome, str | None]:
    record = next(iter(target.catalog.find([item.file or ""])), None)
    if record is None or record.owner != item.owner:
        return "vanished", "its record was deleted since"
    try:
        size, digest = read_back(target.backends[record.backend], record.key, lambda _, __: None)
    except NotFound:
        return "mismatch", "there are no bytes"
    except AudioStoreError as error:
        return "failed", str(error)
    if record.key != item.key:
        return ("migrated", "replaced since") if digest == record.sha256 else ("mismatch", "other bytes")
    return ("migrated", None) if (size, digest) == (item.size, item.sha256) else ("mismatch", "other bytes")


def _with_references(item: Item, index: Index, outcome: Outcome, detail: str | None) -> tuple[Outcome, str | None]:
    if outcome != "migrated":
        return outcome, detail
    back = [each for each in item.references if _where(each) in map(_where, index.by_path.get(each.path, ()))]
    return ("waiting", f"{len(back)} sections name the original") if back else (outcome, detail)


def _where(reference: Reference) -> tuple[str, str | None, str | None]:
    return reference.project, reference.chapter, reference.section


def _event(item: Item, outcome: Outcome, detail: str | None) -> MigrationEvent:
    return MigrationEvent(
        step="verify",
        outcome=outcome,
        path=str(item.facts.get("name", item.address)),
        owner=item.owner,
        size=item.size,
        file=item.file,
        key=item.key,
        detail=detail,
        checked="read" if outcome in {"migrated", "mismatch"} else None,
    )
