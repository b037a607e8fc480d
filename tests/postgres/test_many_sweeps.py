"""Four machines sweep one database and one bucket at once, in small batches, while an app goes on storing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from audiostore import AudioStore
from tests.postgres.databases import Database
from tests.supabase.project import Served, served

SWEEPERS = 4
HIDDEN, EXPIRED, LIVE = 80, 30, 12
BATCH = 7
WORK = """
import json, sys
from audiostore import AudioStore
from audiostore.store import upkeep

upkeep.PAGE = int(sys.argv[1])
with AudioStore.from_env() as store:
    print("ready", flush=True)
    sys.stdin.readline()
    report = store.{}
print(json.dumps({}))
"""
SWEEP = WORK.format("sweep()", "[report.expired, report.erased, report.postponed]")
AUDIT = WORK.format("audit()", "[each.kind for each in report.drift]")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as project:
        yield project


@pytest.fixture
def env(applied: Database, cloud: Served, tmp_path: Path) -> dict[str, str]:
    return {
        "STORAGE_BACKEND": "supabase",
        "UPLOAD_FOLDER": str(tmp_path / "uploads"),
        "DATABASE_URL": applied.dsn,
        "SUPABASE_URL": cloud.url,
        "SUPABASE_SERVICE_KEY": cloud.fake.service_key,
    }


def abandon(store: AudioStore) -> None:
    """Be a process that dies in the middle: of many deletions, and of many uploads."""
    for owner in ("alice", "bob"):
        files = [store.put(b"going", owner=owner).id for _ in range(HIDDEN // 2)]
        assert len(store.catalog.hide(owner, files)) == HIDDEN // 2
    for _ in range(EXPIRED):
        grant = store.begin_upload(owner="alice", size=4, content_type="audio/wav")
        httpx.put(grant.url, content=b"late", headers=dict(grant.headers)).raise_for_status()


def start(env: dict[str, str], folder: Path, code: str) -> subprocess.Popen[str]:
    """Start a machine that does its work once it is let go."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "HOME", "LANG"}}
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", code, str(BATCH)],
        env=kept | env | {"UPLOAD_FOLDER": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def let_go(machines: list[subprocess.Popen[str]]) -> None:
    for each in machines:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in machines:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()


def test_each_removal_is_done_once_and_nothing_that_lives_is_touched(
    env: dict[str, str], applied: Database, cloud: Served, tmp_path: Path
) -> None:
    applied.make_clock_settable()
    with AudioStore.from_env(env) as store:
        abandon(store)
        live = {store.put(b"live %d" % n, owner="carol").id: b"live %d" % n for n in range(LIVE)}
        applied.advance(timedelta(hours=3))
        sweepers = [start(env, tmp_path / f"machine {n}", SWEEP) for n in range(SWEEPERS)]
        let_go(sweepers)
        for n in range(LIVE):  # the app goes on meanwhile
            new = store.put(b"new %d" % n, owner="carol")
            live[new.id] = b"new %d" % n
        told = [json.loads(each.communicate(timeout=120)[0]) for each in sweepers]
        expired, erased, postponed = (sum(each) for each in zip(*told, strict=True))
        assert [each.returncode for each in sweepers] == [0] * SWEEPERS
        assert (expired, erased, postponed) == (EXPIRED, HIDDEN + EXPIRED, 0)
        assert max(each[1] for each in told) < HIDDEN + EXPIRED, "no machine did it all"
        assert {file: store.get(file, owner="carol") for file in live} == live
        assert len(cloud.keys()) == len(live)
        assert [store.usage(owner).used for owner in ("alice", "bob")] == [0, 0]
        assert store.usage("alice").reserved == 0
        report = store.audit()
        assert (report.ok, report.files, report.objects) == (True, len(live), len(live))
        assert applied.value("select count(*) from audiostore.removals") == 0


def test_audits_on_many_machines_report_nothing_while_files_come_and_go(env: dict[str, str], tmp_path: Path) -> None:
    with AudioStore.from_env(env) as store:
        for _ in range(LIVE):
            store.put(b"take", owner="alice")
        auditors = [start(env, tmp_path / f"machine {n}", AUDIT) for n in range(SWEEPERS)]
        let_go(auditors)
        while any(each.poll() is None for each in auditors):
            file = store.put(b"coming", owner="alice")
            store.replace(file, b"and changing")
            store.delete(file)
        assert [json.loads(each.communicate()[0]) for each in auditors] == [[]] * SWEEPERS
