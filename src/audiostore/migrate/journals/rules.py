"""What every journal decides in the same way."""

from __future__ import annotations

from dataclasses import replace

from audiostore.migrate.protocols import Item, Outcome, Settled


def settle(item: Item, settled: Settled, *, twin: bool) -> Item:
    """Give *item* as *settled* says it is now; *twin*: another one of its owner has the same bytes."""
    outcome: Outcome = settled.outcome
    if outcome == "migrated" and (twin or item.outcome == "duplicate"):
        outcome = "duplicate"
    return replace(
        item,
        size=settled.size or item.size,
        state=settled.state,
        outcome=outcome,
        file=settled.file or item.file,
        key=settled.key or item.key,
        sha256=settled.sha256 or item.sha256,
        detail=settled.detail,
        facts={**item.facts, **settled.facts},
    )


def may_be_twin(settled: Settled) -> bool:
    """Tell whether its bytes have just come to the target, so that they may be somebody's twin."""
    return settled.outcome == "migrated" and settled.sha256 is not None


def merged(known: Item, planned: Item) -> Item:
    """Give what a plan makes of an item that is there already; *known* itself if nothing changes."""
    new = tuple(each for each in planned.references if each not in known.references)
    again = known.state in {"left", "undone"} or (known.state == "done" and _is_named_again(known, planned, bool(new)))
    if not again and not new:
        return known
    known = replace(known, references=(*known.references, *new))
    if not again:
        return known
    return replace(
        known,
        state=planned.state,
        outcome=planned.outcome,
        size=planned.size,
        detail=planned.detail,
        facts={**known.facts, **planned.facts},
    )


def _is_named_again(known: Item, planned: Item, new: bool) -> bool:
    """Tell whether a plan of what is done is news: it names more, or was made when that was done already.

    Else somebody finished it while the plan was made, from what projects said before.
    """
    return new or (bool(planned.references) and planned.fence == known.fence)
