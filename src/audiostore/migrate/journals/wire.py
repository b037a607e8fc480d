"""The words of a journal as JSON: the same in a file, over REST and in a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

from audiostore.migrate.protocols import Count, Item, Journal, Reference, Settled


def write_item(item: Item) -> dict[str, Any]:
    return {each.name: getattr(item, each.name) for each in fields(item)} | {
        "references": write_references(item.references),
        "attempts": list(item.attempts),
        "facts": dict(item.facts),
    }


def read_item(told: Mapping[str, Any]) -> Item:
    read: dict[str, Any] = {each.name: told[each.name] for each in fields(Item)}
    read["references"] = read_references(told["references"])
    read["attempts"] = tuple(told["attempts"])
    read["facts"] = dict(told["facts"])
    return Item(**read)


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


def answer(journal: Journal, method: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Be the database: let *journal* decide what is asked, and write what it says."""
    job = str(request["job"])
    match method:
        case "plan":
            journal.plan(job, [read_item(each) for each in request["items"]])
            return _ok(None)
        case "claim":
            claimed = journal.claim(
                job,
                request["worker"],
                state=request["state"],
                limit=request["limit"],
                lease=timedelta(seconds=request["lease"]),
                owner=request["owner"],
                only=request["only"],
            )
            return _ok([write_item(each) for each in claimed])
        case "beat":
            journal.beat(job, request["worker"], lease=timedelta(seconds=request["lease"]))
            return _ok(None)
        case "settle":
            settled = journal.settle(job, [read_settled(each) for each in request["settled"]])
            return _ok([write_item(each) for each in settled])
        case "items":
            page = journal.items(job, after=request["after"], limit=request["limit"])
            return _ok([write_item(each) for each in page])
        case "find":
            return _ok([write_item(each) for each in journal.find(job, request["address"])])
        case _:
            return _ok([write_count(each) for each in journal.counts(job, owner=request["owner"])])


def _ok(result: Any) -> dict[str, Any]:
    return {"status": "ok", "result": result}
