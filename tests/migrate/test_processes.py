"""Processes that share one run, and processes that are killed in the middle of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audiostore.migrate.protocols import ProjectRow
from tests.migrate.scene import Scene, sound
from tests.migrate.worker import migration_in
from tests.postgres.databases import Database, shared_databases

FILES, OWNERS = 40, ("alice", "bob")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Scene(tmp_path)) as scene:
        for n in range(FILES):
            scene.add(f"{n}.wav")
        for n in range(0, FILES, 10):
            for owner in OWNERS:
                scene.project(owner, *(f"/uploads/{each}.wav" for each in range(n, n + 10)))
        yield scene


@pytest.fixture
def database() -> Iterator[Database]:
    databases = shared_databases()
    with databases.made(databases.applied(databases.supabase())) as database:
        database.run(
            "insert into audiostore.plans (name) values ('free') on conflict (name) do update set total = null"
        )
        yield database


def begin(folder: Path, journal: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.migrate.worker", journal, str(folder)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def is_whole(scene: Scene, folder: Path, journal: str) -> None:
    """Every section plays what it played, and nothing is there twice."""
    store, migration = migration_in(folder, journal)
    with closing(store), closing(migration):
        scene.store.close()
        scene.store = store
        report = migration.run().report
        assert (report.ok, report.migrated) == (True, FILES * len(OWNERS)), report.as_dict()
        for n in range(FILES // 10):
            for at, owner in enumerate(OWNERS):
                played = scene.plays(f"p{2 * n + at + 1}", owner)
                assert played == [sound(f"{each}.wav") for each in range(10 * n, 10 * n + 10)]
        store.sweep()
        audit = store.audit()
        assert audit.ok, audit.drift
        assert (audit.files, audit.objects) == (FILES * len(OWNERS), FILES * len(OWNERS))
        assert [store.usage(owner).used for owner in OWNERS] == [FILES * 2000] * len(OWNERS)
        assert migration.verify().report.ok


def test_processes_of_one_machine_share_a_run(scene: Scene, tmp_path: Path) -> None:
    reports = [report_of(each) for each in [begin(tmp_path, "sqlite") for _ in range(3)]]
    assert sum(each["outcomes"].get("migrated", 0) for each in reports) == FILES * len(OWNERS)
    is_whole(scene, tmp_path, "sqlite")


def test_what_another_process_finishes_meanwhile_is_not_begun_anew(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = scene.app.table.scan

    def scan_and_let_another_run(**options: Any) -> Iterator[ProjectRow]:
        rows = list(scan(**options))
        monkeypatch.undo()
        assert scene.run().outcomes == {"migrated": FILES * len(OWNERS)}
        yield from rows

    monkeypatch.setattr(scene.app.table, "scan", scan_and_let_another_run)
    assert "migrated" not in scene.run().outcomes
    is_whole(scene, tmp_path, "sqlite")


def test_machines_share_a_run_through_the_database(scene: Scene, tmp_path: Path, database: Database) -> None:
    reports = [report_of(each) for each in [begin(tmp_path, database.dsn) for _ in range(2)]]
    assert sum(each["outcomes"].get("migrated", 0) for each in reports) == FILES * len(OWNERS)
    is_whole(scene, tmp_path, database.dsn)


@pytest.mark.parametrize("seed", range(2))
def test_killed_and_begun_again_it_ends_as_if_nothing_had_happened(scene: Scene, tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    for _ in range(4):
        with begin(tmp_path, "sqlite") as process:
            assert process.stdout is not None
            for _ in range(moments.randrange(1, 16)):
                process.stdout.readline()
            process.kill()
    is_whole(scene, tmp_path, "sqlite")


def test_killed_over_the_database_another_machine_goes_on(scene: Scene, tmp_path: Path, database: Database) -> None:
    with begin(tmp_path, database.dsn) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    is_whole(scene, tmp_path, database.dsn)
