"""References follow their files: each project is written once for all of its files that are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from audiostore.errors import AudioStoreError
from audiostore.migrate.protocols import Change, Item, Outcome, Reference, References, Rewriting, Settled

Way: TypeAlias = Literal["there", "back"]

_UNFINISHED: Final[frozenset[Rewriting]] = frozenset({"conflict", "unparsable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What became of the references of one item; ``error`` is why they could not all be written."""

    item: Item
    outcomes: tuple[Rewriting, ...] = ()
    error: AudioStoreError | None = None

    @property
    def finished(self) -> bool:
        """Whether each names what it should, or something else that its user wants."""
        return self.error is None and not _UNFINISHED & set(self.outcomes)

    @property
    def detail(self) -> str | None:
        """What is worth telling: what did not simply happen."""
        if self.error is not None:
            return str(self.error)
        other = [each for each in self.outcomes if each not in {"rewritten", "already"}]
        return f"{len(self.outcomes)} references: {', '.join(sorted(other))}" if other else None


def rewrite(references: References | None, items: Sequence[Item], backend: str, way: Way) -> Iterator[Rewritten]:
    """Point the references of *items* to their copies in *backend*, or back; every project in one write."""
    changes: defaultdict[str, list[tuple[str, Change]]] = defaultdict(list)
    for item in items:
        for each in item.references:
            changes[each.project].append((item.id, _change(item, each, backend, way)))
    told: dict[str, Rewritten] = {item.id: Rewritten(item=item) for item in items}
    for project, wanted in changes.items():
        assert references is not None
        try:
            outcomes = references.rewrite(project, [change for _, change in wanted])
        except AudioStoreError as error:
            for item_id, _ in wanted:
                told[item_id] = replace(told[item_id], error=error)
            continue
        for (item_id, _), outcome in zip(wanted, outcomes, strict=True):
            told[item_id] = replace(told[item_id], outcomes=(*told[item_id].outcomes, outcome))
    yield from told.values()


def settled(rewritten: Rewritten, outcome: Outcome) -> Settled:
    """Say that the references have followed, or that the next run tries again."""
    item = rewritten.item
    if rewritten.finished:
        return Settled(id=item.id, fence=item.fence, state="done", outcome=outcome, detail=rewritten.detail, facts={})
    return Settled(id=item.id, fence=item.fence, state="left", outcome="failed", detail=rewritten.detail)


def _change(item: Item, reference: Reference, backend: str, way: Way) -> Change:
    key = item.key or ""
    if way == "back":
        return Change(
            chapter=reference.chapter,
            section=reference.section,
            old=key,
            new=reference.path,
            backend=reference.backend,
            upload_id=reference.upload_id,
        )
    return Change(
        chapter=reference.chapter,
        section=reference.section,
        old=reference.path,
        new=key,
        backend=backend,
        upload_id=item.file,
    )
