"""The words of a journal as JSON: the same in a file, over REST and in a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from audiostore.migrate.protocols import Count, Item, Reference, Settled


def write_item(item: Item) -> dict[str, Any]:
    return {each.name: getattr(item, each.name) for each in fields(item)} | {
        "references": write_references(item.references),
        "attempts": list(item.attempts),
        "facts": dict(item.facts),
    }


def read_item(told: Mapping[str, Any]) -> Item:
    plain = {each.name: told[each.name] for each in fields(Item)}
    return Item(
        **plain
        | {
            "references": read_references(told["references"]),
            "attempts": tuple(told["attempts"]),
            "facts": dict(told["facts"]),
        }
    )


def write_references(references: Iterable[Reference]) -> list[dict[str, Any]]:
    return [asdict(each) for each in references]


def read_references(told: Iterable[Mapping[str, Any]]) -> tuple[Reference, ...]:
    return tuple(Reference(**each) for each in told)


def write_settled(settled: Settled) -> dict[str, Any]:
    return asdict(settled)


def read_settled(told: Mapping[str, Any]) -> Settled:
    return Settled(**told)


def write_count(count: Count) -> dict[str, Any]:
    return asdict(count)


def read_count(told: Mapping[str, Any]) -> Count:
    return Count(**told)


def order_of(item: Item) -> str:
    """What items are handed out by: those of one project together, so that it is rewritten once."""
    return item.references[0].project if item.references else item.owner
