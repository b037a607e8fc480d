from __future__ import annotations

import errno
import fcntl
import os
from datetime import timedelta
from pathlib import Path

import pytest

from audiostore import AudioStore
from audiostore.backends.local import LocalBackend
from audiostore.events import Event
from audiostore.keys import Key
from audiostore.staging import staging_area, sweep_staging

from .conftest import Clock


def test_a_store_that_is_in_order_has_no_drift(store: AudioStore) -> None:
    for n in range(5):
        store.put(b"take %d" % n, owner="alice" if n % 2 else "bob")
    store.begin_upload(owner="alice", size=10)
    report = store.audit()
    assert (report.ok, report.files, report.objects) == (True, 5, 5)
    assert store.audit("bob").files == 3


def test_a_repair_takes_only_what_no_record_knows(store: AudioStore, clock: Clock) -> None:
    kept, short = (store.put(bytes(n), owner="alice") for n in (5, 7))
    store.backend.copy(kept.key, Key("stray/orphan.bin"))
    store.backend.delete([short.key])
    report = store.audit(repair=True)
    assert [(each.kind, each.key) for each in report.drift] == [("object_missing", short.key)]
    assert [(each.kind, each.key) for each in report.repaired] == [("object_unrecorded", "stray/orphan.bin")]
    assert store.sweep().erased == 0
    clock.advance(timedelta(days=2))
    assert store.sweep().erased == 1
    assert [each.key for each in store.backend.list()] == [kept.key]


def test_an_audit_finds_what_is_missing_what_differs_and_what_no_one_knows(store: AudioStore) -> None:
    gone, other, short = (store.put(bytes(n), owner="alice") for n in (5, 6, 7))
    store.backend.copy(other.key, Key("stray/orphan.bin"))
    store.backend.delete([gone.key, short.key])
    store.backend.copy(other.key, short.key)

    report = store.audit()

    assert not report.ok
    found = {(each.kind, each.key, each.ledger, each.truth) for each in report.drift}
    assert found == {
        ("object_missing", gone.key, 5, None),
        ("size_differs", short.key, 7, 6),
        ("object_unrecorded", "stray/orphan.bin", None, 6),
    }
    assert {each.kind for each in store.audit("alice").drift} == {"object_missing", "size_differs"}
    assert store.audit("bob").ok


def test_orphans_are_looked_at_twice_before_they_go(store: AudioStore, clock: Clock) -> None:
    file = store.put(b"take", owner="alice")
    stray = Key("stray/orphan.bin")
    store.backend.copy(file.key, stray)

    assert store.sweep().orphans == 0
    assert store.sweep(orphans=True).orphans == 0  # too young
    assert store.sweep(orphans=True, grace=timedelta(0)).orphans == 1
    assert store.get(file) == b"take"
    assert [each.key for each in store.backend.list()] == [file.key]
    assert store.audit().ok


def test_a_queued_orphan_waits_for_its_grace(store: AudioStore, clock: Clock) -> None:
    file = store.put(b"take", owner="alice")
    stray = Key("stray/orphan.bin")
    store.backend.copy(file.key, stray)
    store.catalog.discard(store.backend.name, [stray, file.key], timedelta(days=1))

    assert store.sweep().erased == 0
    assert store.audit().ok  # it waits for its removal, which is no drift
    clock.advance(timedelta(days=2))
    assert store.sweep().erased == 1
    assert store.get(file) == b"take"


def test_a_sweep_of_nothing_does_nothing(store: AudioStore) -> None:
    report = store.sweep()
    assert (report.expired, report.erased, report.postponed, report.staging, report.orphans) == (0, 0, 0, 0, 0)


def test_what_a_dead_process_left_in_staging_goes_and_a_live_put_stays(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    place = backend.capabilities.staging
    assert place is not None
    with staging_area(place) as alive:
        (alive.folder / "half").write_bytes(b"half a take")
        dead = place / "left by a kill"
        dead.mkdir()
        (dead / "half").write_bytes(b"half a take")

        assert sweep_staging(place, timedelta(hours=1)) == 0
        assert sweep_staging(place, timedelta(0)) == 1

        assert (alive.folder / "half").exists()
        assert not dead.exists()
    assert list(place.iterdir()) == []
    assert sweep_staging(tmp_path / "nowhere", timedelta(0)) == 0


def test_a_folder_that_a_sweep_took_first_leaves_no_handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, taken = fcntl.flock, [True, True, False]

    def flock(handle: int, how: int) -> None:
        if taken.pop(0):
            raise BlockingIOError
        lock(handle, how)

    before = len(list(Path("/dev/fd").iterdir()))
    monkeypatch.setattr(fcntl, "flock", flock)
    with staging_area(tmp_path) as area:
        assert area.folder.is_dir()
    assert taken == []
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_what_someone_else_has_in_staging_stays_and_stops_no_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "foreign", "z"):
        (tmp_path / name).mkdir()
    opening = os.open

    def refuse(path: Path, *arguments: int) -> int:  # root, who may run the tests, would be refused nothing
        if Path(path).name == "foreign":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opening(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    assert sweep_staging(tmp_path, timedelta(0)) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["foreign"]
    assert "foreign" in caplog.text


def test_a_sweep_asks_the_catalog_for_nothing_needless(store: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.backend.copy(store.put(b"take", owner="alice").key, Key("stray/orphan.bin"))
    store.catalog.discard(store.backend.name, [Key("stray/orphan.bin")], timedelta(0))
    asked: list[object] = []

    def postpone(removals: list[str], delay: timedelta) -> None:
        asked.append(removals)

    monkeypatch.setattr(store.catalog, "postpone", postpone)
    assert store.sweep().erased == 1
    assert asked == []


def test_events_tell_what_happened_how_long_and_to_whom(store: AudioStore) -> None:
    events: list[Event] = []
    stop = store.on("*", events.append)
    file = store.put(b"take", owner="alice")
    with pytest.raises(TypeError):
        store.put(None, owner="alice")
    store.delete(file)
    stop()
    store.sweep()

    assert [event.name for event in events] == [
        "put.started",
        "put.finished",
        "put.started",
        "put.failed",
        "delete.started",
        "delete.finished",
    ]
    finished, failed = events[1], events[3]
    assert (finished.owner, finished.file, finished.key, finished.bytes) == ("alice", file.id, file.key, 4)
    assert finished.duration is not None
    assert finished.duration > 0
    assert isinstance(failed.error, TypeError)


def test_a_handler_that_breaks_does_not_lose_a_take(store: AudioStore, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("the counter broke")

    store.on("put.finished", broken)
    file = store.put(b"take", owner="alice")
    assert store.get(file) == b"take"
    assert "put.finished" in caplog.text


def test_a_closed_store_opens_again_when_it_is_used(store: AudioStore) -> None:
    with store:
        file = store.put(b"take", owner="alice")
    assert store.get(file) == b"take"
