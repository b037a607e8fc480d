"""The plan: what is found in the source, put together with what projects name, in one pass over each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final, TypeAlias

from audiostore.errors import QuotaExceeded
from audiostore.ids import new_id
from audiostore.migrate.index import Index
from audiostore.migrate.protocols import Item, Reference
from audiostore.migrate.sources.protocol import Found, MigrationSource
from audiostore.migrate.steps import MigrationEvent
from audiostore.store import AudioStore

PAGE: Final = 500

Planned: TypeAlias = Item | MigrationEvent
"""An item to be brought over or left, or something to tell that is no item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Looks through a source and the projects that name its files.

    ``include`` and ``exclude`` are globs over a file's whole name in the source; ``*`` goes across folders. ``arrived``
    are addresses of files that were migrated before.
    """

    source: MigrationSource
    target: AudioStore
    owner: str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    arrived: AbstractSet[str] = frozenset()

    def planned(self, index: Index) -> Iterator[Planned]:
        """Give an item for each file and owner, and an event for each thing that can't be one."""
        for each in index.unparsable:
            yield MigrationEvent(
                step="plan", outcome="unparsable", path="", owner=each.owner, project=each.project, detail=each.reason
            )
        found = {each.name: each for each in self.source.scan() if self._is_wanted(each.name)}
        named, missing = self._resolved(index, found)
        for name in list(found):
            yield from self._items(found.pop(name), named.pop(name, ()))
        for owner, path in sorted({(each.owner, each.path) for each in missing}):
            yield MigrationEvent(
                step="plan",
                outcome="vanished",
                path=path,
                owner=owner,
                detail="a project names it, and it is not there",
            )

    def with_quota(self, planned: Iterator[Planned]) -> Iterator[Planned]:
        """Say beforehand of which items there will be no room for, as far as can be known."""
        room: dict[str, int | None] = {}
        for each in planned:
            if not isinstance(each, Item) or each.state != "open" or self.source.switches:
                yield each
                continue
            if each.owner not in room:
                room[each.owner] = self._room(each.owner)
            left = room[each.owner]
            if left is not None and each.size > left:
                yield replace(each, state="left", outcome="quota", detail="there is no room for it")
                continue
            if left is not None:
                room[each.owner] = left - each.size
            yield each

    def _room(self, owner: str) -> int | None:
        try:
            return self.target.usage(owner).available
        except QuotaExceeded:  # no numbers for this owner: refused
            return 0

    def _items(self, found: Found, references: Sequence[Reference]) -> Iterator[Planned]:
        if found.problem is not None:
            outcome, detail = found.problem
            yield MigrationEvent(step="plan", outcome=outcome, path=found.address, detail=detail)
            return
        by_owner: defaultdict[str, list[Reference]] = defaultdict(list)
        for each in references:
            by_owner[each.owner].append(each)
        if found.owner is not None:
            for owner in sorted(by_owner.keys() - {found.owner}):
                yield MigrationEvent(
                    step="plan",
                    outcome="foreign",
                    path=found.name,
                    owner=owner,
                    project=by_owner[owner][0].project,
                    detail="the file is somebody else's",
                )
            by_owner = defaultdict(list, {found.owner: by_owner[found.owner]})
        for owner, mine in sorted(by_owner.items()):
            yield _item(found, owner, mine)
        if by_owner or found.address in self.arrived or self.owner is not None:
            return
        if self.source.is_audio(found):
            yield replace(_item(found, "", ()), state="left", outcome="no_reference")

    def _resolved(
        self, index: Index, found: dict[str, Found]
    ) -> tuple[dict[str, tuple[Reference, ...]], list[Reference]]:
        """Put references together with the files that they name; give those that name nothing apart."""
        named: defaultdict[str, tuple[Reference, ...]] = defaultdict(tuple)
        missing: list[Reference] = []
        arrived = self._arrived(index)
        for path, references in index.by_path.items():
            here = tuple(each for each in references if self._lies_here(each) and each not in arrived)
            if not here:
                continue
            name = next((each for each in self.source.candidates(path) if each in found), None)
            if name is not None:
                named[name] += here
            elif self.source.backends is not None and self._is_wanted(path):
                missing += here
        return named, missing

    def _lies_here(self, reference: Reference) -> bool:
        return self.source.backends is None or reference.backend in self.source.backends

    def _arrived(self, index: Index) -> frozenset[Reference]:
        """Those that name a record of the target already: a migration, or the app itself, has written them."""
        target = self.target.backend.name
        claims = {
            each.upload_id: each
            for references in index.by_path.values()
            for each in references
            if each.upload_id and each.backend == target
        }
        ids, there = iter(claims), set[tuple[str, str, str]]()
        while page := list(islice(ids, PAGE)):
            there |= {(each.id, each.owner, str(each.key)) for each in self.target.catalog.find(page)}
        return frozenset(
            each
            for references in index.by_path.values()
            for each in references
            if each.backend == target and (each.upload_id, each.owner, each.path) in there
        )

    def _is_wanted(self, name: str) -> bool:
        if any(fnmatchcase(name, each) for each in self.exclude):
            return False
        return not self.include or any(fnmatchcase(name, each) for each in self.include)


def _item(found: Found, owner: str, references: Sequence[Reference]) -> Item:
    return Item(
        id=new_id(),
        address=found.address,
        owner=owner,
        size=found.size,
        references=tuple(references),
        facts={"name": found.name} if found.name != found.address else {},
    )


def in_pages(planned: Iterator[Planned]) -> Iterator[list[Planned]]:
    """Give what is planned by the page, as a journal takes it."""
    while page := list(islice(planned, PAGE)):
        yield page
