"""A run that stops: by a limit, by whoever makes it, by what is away; and the next one goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore, Limits
from audiostore.errors import PermissionDenied, Unavailable
from audiostore.migrate import SQLiteJournal, crew
from audiostore.migrate.carrying import Halted, Throttle
from tests.migrate.scene import Scene, sound


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Scene(tmp_path)) as scene:
        yield scene


def outcomes(scene: Scene, **options: Any) -> dict[str, int]:
    return dict(scene.run(**options).outcomes)


def test_too_many_failures_stop_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    room = {"total": 0}
    store = AudioStore.local(tmp_path / "store", quota=lambda owner: Limits(total=room["total"]))
    with closing(Scene(tmp_path, store)) as scene:
        for n in range(20):
            scene.add(f"{n}.wav")
        scene.project("alice", *(f"{n}.wav" for n in range(20)))
        report = scene.run(max_failures=3, workers=1)
        assert (report.stopped, report.failed, report.waiting) == ("3 failures, max_failures is 3", 3, 17)
        assert not report.ok
        room["total"] = 10**6
        assert outcomes(scene) == {"migrated": 20}


def test_leaving_off_in_the_middle_loses_and_doubles_nothing(scene: Scene) -> None:
    for n in range(12):
        scene.add(f"{n}.wav")
    project = scene.project("alice", *(f"{n}.wav" for n in range(12)))
    for _ in range(3):
        run = scene.migration(workers=2).run()
        next(iter(run))
        run.close()
    report = scene.run()
    assert report.ok
    assert scene.plays(project, "alice") == [sound(f"{n}.wav") for n in range(12)]
    assert scene.store.usage("alice").files == 12
    assert scene.store.audit().ok


def test_a_table_that_is_away_at_the_end_is_written_the_next_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add("a.wav")
    project = scene.project("alice", "a.wav")

    def away(*_: Any) -> Any:
        raise Unavailable("the projects")

    monkeypatch.setattr(type(scene.app.table), "rewrite", away)
    report = scene.run()
    assert (report.outcomes, report.migrated) == ({"failed": 1}, 0)
    assert scene.sections(project)[0]["audioPath"] == "a.wav"
    monkeypatch.undo()
    assert outcomes(scene) == {"migrated": 1}
    assert scene.store.usage("alice").files == 1


@pytest.mark.parametrize("part", ["plan", "claim", "settle"])
def test_a_journal_that_is_away_ends_the_run_with_a_report(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")

    def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("the journal")

    monkeypatch.setattr(crew, "_ASKS", 1)
    monkeypatch.setattr(SQLiteJournal, part, away)
    report = scene.run(workers=1)
    assert (report.stopped, report.ok) == ("unavailable: the journal", False)
    monkeypatch.undo()
    assert outcomes(scene) == {"migrated": 1}
    assert scene.store.usage("alice").files == 1


def test_projects_that_may_not_be_read_end_the_run_with_a_report(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionDenied("the projects")

    monkeypatch.setattr(type(scene.app.table), "scan", refused)
    report = scene.run()
    assert (report.stopped, report.ok, type(report.error)) == (
        "permission denied: the projects",
        False,
        PermissionDenied,
    )
    monkeypatch.undo()
    assert outcomes(scene) == {"migrated": 1}


def test_what_another_run_is_about_to_finish_is_not_begun_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    plan, rewrite = SQLiteJournal.plan, type(scene.app.table).rewrite
    looked, finished = threading.Event(), threading.Event()
    outcomes: list[Mapping[str, int]] = []
    second = threading.Thread(target=lambda: outcomes.append(scene.run().outcomes))

    def plan_when_the_first_is_done(*arguments: Any) -> None:
        if threading.current_thread() is second:
            looked.set()
            assert finished.wait(60)
        plan(*arguments)

    def rewrite_when_the_second_has_looked(*arguments: Any) -> Any:
        if not second.is_alive():
            second.start()
            assert looked.wait(60)
            monkeypatch.setattr(type(scene.app.table), "rewrite", rewrite)
        return rewrite(*arguments)

    monkeypatch.setattr(SQLiteJournal, "plan", plan_when_the_first_is_done)
    monkeypatch.setattr(type(scene.app.table), "rewrite", rewrite_when_the_second_has_looked)
    assert scene.run(workers=1).outcomes == {"migrated": 1}
    finished.set()
    second.join()
    assert outcomes == [{"already": 1}]


def test_wrong_bytes_in_the_target_are_never_recorded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.add("a.wav")
    project = scene.project("alice", "a.wav")
    write = type(scene.store.backend).write

    def cut(self: Any, key: Any, *rest: Any, **others: Any) -> Any:
        stat = write(self, key, *rest, **others)
        path = self.root / key
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1])
        return stat

    monkeypatch.setattr(type(scene.store.backend), "write", cut)
    assert outcomes(scene) == {"mismatch": 1}
    assert scene.sections(project)[0]["audioPath"] == "a.wav"
    monkeypatch.undo()
    scene.store.sweep()
    assert scene.store.audit().ok
    assert outcomes(scene) == {"migrated": 1}


def test_a_mistake_in_a_worker_is_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")

    def mistaken(*_: Any) -> Any:
        raise KeyError("a mistake")

    monkeypatch.setattr("audiostore.migrate.carrying.take_over", mistaken)
    with pytest.raises(KeyError):
        scene.run()
    monkeypatch.undo()
    assert outcomes(scene) == {"migrated": 1}


class _Halt(threading.Event):
    """Waits for nothing, and notes how long it should have been."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return self.is_set()


def test_bandwidth_is_a_limit_for_all_workers_together() -> None:
    halt = _Halt()
    throttle = Throttle(1000, halt)
    first, second = throttle.progress(), throttle.progress()
    for progress, done in ((first, 60_000), (second, 30_000), (first, 70_000), (second, 30_000)):
        progress(done, None)
    assert [round(each) for each in halt.waited] == [60, 90, 100]


def test_a_run_that_is_halted_ends_in_the_middle_of_a_file() -> None:
    halt = _Halt()
    halt.set()
    with pytest.raises(Halted):
        Throttle(None, halt).progress()(1, None)
