"""Many files in one call: each has its own outcome, in order, and no more are held than are being worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from audiostore import (
    AudioStore,
    Batch,
    Event,
    FileTooLarge,
    FixedQuota,
    NewFile,
    NotFound,
    Outcome,
    QuotaExceeded,
    Unavailable,
    UnsupportedAudio,
)
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.keys import Key
from audiostore.store import batch

from .conftest import MakeStore


def test_many_are_stored_in_order_each_at_its_place(store: AudioStore) -> None:
    items = [NewFile(f"take {n}".encode(), section=n, filename=f"{n}.wav") for n in range(12)]
    files = store.put_many(items, owner="alice", project="p1", chapter=3, workers=4).results()
    assert [(each.project, each.chapter, each.section) for each in files] == [("p1", "3", str(n)) for n in range(12)]
    assert [store.get(each) for each in files] == [each.source for each in items]
    assert store.usage("alice").files == 12
    assert store.audit().ok


def test_plain_sources_do_and_an_item_wins_over_the_batch(store: AudioStore, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    path.write_bytes(b"of a path")
    other = NewFile(b"other", project="p2", metadata={"take": 2}, idempotency_key="once")
    first, second = store.put_many([path, other], owner="alice", project="p1").results()
    assert (first.filename, first.project) == ("take.wav", "p1")
    assert (second.project, second.metadata) == ("p2", {"take": 2})
    assert store.put_many([other], owner="alice").results() == (second,)


def test_one_that_fails_keeps_no_other_from_being_stored_and_no_error_is_lost(make: MakeStore) -> None:
    store = make(quota=FixedQuota(total=100, per_file=50))
    told = list[Outcome[Any]]()
    done = store.put_many([b"fits", b"", bytes(60), b"fits too"], owner="alice", workers=2, progress=told.append)
    assert [type(each.error) for each in done] == [type(None), UnsupportedAudio, FileTooLarge, type(None)]
    assert not done.ok
    assert [each.index for each in done.failed] == [1, 2]
    assert [store.get(each) for each in done.done] == [b"fits", b"fits too"]
    assert sorted(each.index for each in told) == [0, 1, 2, 3]
    assert all(each in done for each in told)
    with pytest.raises(ExceptionGroup, match="2 of 4 failed") as raised:
        done.results()
    assert list(raised.value.exceptions) == [each.error for each in done.failed]


def test_no_batch_goes_over_the_quota(make: MakeStore) -> None:
    store = make(quota=FixedQuota(total=50))
    done = store.put_many([bytes(10) + bytes([n]) for n in range(10)], owner="alice", workers=8)
    assert len(done.done) == 4
    assert {type(each.error) for each in done.failed} == {QuotaExceeded}
    assert store.usage("alice").used == 44


def test_no_more_items_are_taken_than_are_being_stored() -> None:
    store, taken, stored = AudioStore(MemoryBackend(), MemoryCatalog()), list[int](), list[int]()

    def items() -> Iterator[bytes]:
        for number in range(30):
            taken.append(number)
            assert len(taken) - len(stored) <= 3, "the items pile up"
            yield f"item {number}".encode()

    assert store.put_many(items(), owner="alice", workers=3, progress=lambda each: stored.append(each.index)).ok
    assert sorted(stored) == taken


def test_what_the_items_raise_ends_it_and_what_was_done_stays(store: AudioStore) -> None:
    def items() -> Iterator[bytes]:
        yield b"first"
        raise LookupError

    with pytest.raises(LookupError):
        store.put_many(items(), owner="alice", workers=1)
    assert store.usage("alice").files <= 1
    assert store.usage("alice").reserved == 0
    assert store.audit().ok


def test_what_progress_raises_ends_it(store: AudioStore) -> None:
    def stop(outcome: Outcome[Any]) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        store.put_many([b"first", b"second", b"third"], owner="alice", workers=1, progress=stop)
    assert store.usage("alice").files < 3
    assert store.usage("alice").reserved == 0


def test_progress_is_told_in_the_callers_thread(store: AudioStore) -> None:
    threads = set[str]()
    store.put_many([b"a", b"b"], owner="alice", progress=lambda _: threads.add(threading.current_thread().name))
    assert threads == {threading.current_thread().name}


def test_many_are_written_each_to_its_path(store: AudioStore, tmp_path: Path) -> None:
    files = store.put_many([b"one", b"two", b"three"], owner="alice").results()
    targets: list[tuple[Any, Path]] = [(each, tmp_path / f"{n}.wav") for n, each in enumerate(files)]
    targets.insert(1, ("nothing", tmp_path / "nothing.wav"))
    done = store.download_many(targets, owner="alice", workers=2)
    assert [type(each.error) for each in done] == [type(None), NotFound, type(None), type(None)]
    assert [path.read_bytes() for path in done.done] == [b"one", b"two", b"three"]
    assert not (tmp_path / "nothing.wav").exists()


def test_many_are_deleted_with_one_decision_for_hundreds(store: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    files = store.put_many([bytes([n + 1]) for n in range(9)], owner="alice").results()
    kept = store.put(b"of somebody else", owner="bob")
    hidden = list[Sequence[str]]()
    hide = store.catalog.hide

    def count(owner: str, ids: Sequence[str]) -> Any:
        hidden.append(ids)
        return hide(owner, ids)

    monkeypatch.setattr(store.catalog, "hide", count)
    monkeypatch.setattr(batch, "PAGE", 5)
    heard = list[Event]()
    store.on("delete_many.finished", heard.append)
    asked = [*(each.id for each in files), files[0].id, kept.id, "nothing"]
    told = list[Outcome[None]]()
    done = store.delete_many(asked, owner="alice", progress=told.append)
    assert [type(each.error) for each in done] == [type(None)] * 9 + [NotFound] * 3
    assert told == list(done)
    assert [len(each) for each in hidden] == [5, 4]
    assert heard[0].facts == {"files": 9, "failed": 3}
    assert store.get(kept) == b"of somebody else"
    assert store.usage("alice").used == 0
    assert {each.key for each in store.backend.list()} == {kept.key}


def test_files_know_their_owners_ids_must_be_told(store: AudioStore) -> None:
    files = [store.put(b"bytes", owner=owner) for owner in ("alice", "bob")]
    with pytest.raises(TypeError, match="who is asking"):
        store.delete_many([files[0].id])
    assert [type(each.error) for each in store.delete_many(files, owner="bob")] == [NotFound, type(None)]
    assert store.delete_many(files[:1]).ok
    assert store.usage("alice").files == store.usage("bob").files == 0


def test_asked_for_twice_a_file_is_gone_the_second_time(store: AudioStore) -> None:
    file = store.put(b"bytes", owner="alice")
    assert [type(each.error) for each in store.delete_many([file, file])] == [type(None), NotFound]


def test_a_catalog_that_is_away_is_told_for_each_of_them() -> None:
    class Away(MemoryCatalog):
        away = ""

        def find(self, files: Any) -> Any:
            self._check("find")
            return super().find(files)

        def hide(self, owner: str, files: Any) -> Any:
            self._check("hide")
            return super().hide(owner, files)

        def _check(self, call: str) -> None:
            if self.away == call:
                raise Unavailable("the catalog is away")

    catalog = Away()
    store = AudioStore(MemoryBackend(), catalog)
    files = store.put_many([b"a", b"b"], owner="alice").results()
    for call in ("find", "hide"):
        catalog.away = call
        assert [type(each.error) for each in store.delete_many(files)] == [Unavailable] * 2
    catalog.away = ""
    assert store.delete_many(files).ok


def test_bytes_that_cant_be_erased_now_wait_for_a_sweep() -> None:
    class Away(MemoryBackend):
        away = True

        def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
            if self.away:
                raise Unavailable("the backend is away")
            return super().delete(keys)

    backend = Away()
    store = AudioStore(backend, MemoryCatalog())
    files = store.put_many([b"a", b"b"], owner="alice").results()
    assert store.delete_many(files).ok
    assert list(store.list(owner="alice")) == []
    assert store.usage("alice").used == 2  # what is stored is counted


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_at_all_are_refused(store: AudioStore, workers: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        store.put_many([b"bytes"], owner="alice", workers=workers)


def test_nothing_to_do_is_done(store: AudioStore) -> None:
    for done in (store.put_many([], owner="alice"), store.download_many([]), store.delete_many([])):
        assert isinstance(done, Batch)
        assert done.ok
        assert done.results() == ()
