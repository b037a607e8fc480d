"""A call under a flag: once that is set it stops at the next chunk or page, and has undone what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audiostore import AudioStore
from audiostore.cancelling import CallerGone, Cancellation
from audiostore.sources import BLOCK
from audiostore.store import batch, changing

from .conftest import MakeStore


def blocks(cancellation: Cancellation, asked: list[int]) -> Iterator[bytes]:
    for number in range(5):
        asked.append(number)
        if number == 2:
            cancellation.cancel()
        yield bytes(BLOCK)


def test_staging_stops_at_the_next_block(store: AudioStore) -> None:
    cancellation, asked = Cancellation(), list[int]()
    with pytest.raises(CallerGone):
        cancellation.run(lambda: store.put(blocks(cancellation, asked), owner="alice"))
    assert asked == [0, 1, 2]
    assert store.usage("alice").reserved == 0


def test_a_write_stops_at_the_next_chunk_and_the_old_bytes_stay(store: AudioStore) -> None:
    file, cancellation, told = store.put(b"old", owner="alice"), Cancellation(), list[int]()

    def progress(done: int, resume: str | None) -> None:
        told.append(done)
        cancellation.cancel()

    with pytest.raises(CallerGone):
        cancellation.run(lambda: store.replace(file, bytes(2 * BLOCK), progress=progress))
    assert len(told) == 1
    assert store.get(file) == b"old"
    assert {each.key for each in store.backend.list()} == {file.key}
    assert (store.usage("alice").used, store.usage("alice").reserved) == (3, 0)


def test_a_read_stops_at_the_next_chunk(store: AudioStore) -> None:
    file, cancellation = store.put(bytes(2 * BLOCK), owner="alice"), Cancellation()

    def read() -> None:
        for _ in store.stream(file):
            cancellation.cancel()

    with pytest.raises(CallerGone):
        cancellation.run(read)


PAGED: list[tuple[Callable[[AudioStore], object], str, int]] = [
    (lambda store: store.delete_owner("alice"), "hide", 3),
    (lambda store: store.delete_many(list(store.list(owner="alice"))), "hide", 3),
    (lambda store: list(store.promote_all()), "list", 5),
    (lambda store: store.audit(), "list", 5),
]


@pytest.mark.parametrize(
    ("act", "decision", "left"), PAGED, ids=["delete_owner", "delete_many", "promote_all", "audit"]
)
def test_what_goes_through_pages_stops_at_the_next_one(
    make: MakeStore, act: Callable[[AudioStore], object], decision: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (changing, batch):
        monkeypatch.setattr(module, "PAGE", 2)
    store, cancellation = make(), Cancellation()
    for number in range(5):
        store.put(b"bytes", owner="alice", section=number)
    decide = getattr(store.catalog, decision)

    def decide_and_cancel(*args: object, **options: object) -> object:
        decided = decide(*args, **options)
        cancellation.cancel()
        return decided

    monkeypatch.setattr(store.catalog, decision, decide_and_cancel)
    with pytest.raises(CallerGone):
        cancellation.run(lambda: act(store))
    monkeypatch.undo()
    assert store.usage("alice").files == left
    assert store.audit().ok


def test_a_call_within_a_cancelled_one_is_cancelled_too() -> None:
    outer, seen = Cancellation(), list[str]()

    def call() -> None:
        inner = Cancellation()
        outer.cancel()
        assert inner.cancelled
        with pytest.raises(CallerGone):
            inner.run(lambda: seen.append("inner"))

    outer.run(call)
    assert seen == []


def test_a_flag_is_not_in_the_way_of_the_next_call(store: AudioStore) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(CallerGone):
        cancellation.run(lambda: store.put(b"bytes", owner="alice"))
    assert store.get(store.put(b"bytes", owner="alice")) == b"bytes"


def test_a_batch_takes_back_what_was_done_too_late(store: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    cancellation, commit = Cancellation(), store.catalog.commit

    def commit_and_cancel(*args: Any, **options: Any) -> Any:
        done = commit(*args, **options)
        cancellation.cancel()
        return done

    monkeypatch.setattr(store.catalog, "commit", commit_and_cancel)
    with pytest.raises(CallerGone):
        cancellation.run(lambda: store.put_many([b"bytes"], owner="alice"))
    assert store.usage("alice").files == 0
    assert list(store.backend.list()) == []
