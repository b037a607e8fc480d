"""One store, made before the fork and used by all workers: nothing is crossed, and no handle is used by two."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from audiostore import AudioStore
from audiostore.backends.local import LocalBackend
from audiostore.testing.bench import differs_at
from tests.supabase.project import Served

ROOT = Path(__file__).parent.parent.parent


def environment(project: Served, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "PYTHONWARNINGS": "error",
        "STORAGE_BACKEND": "supabase",
        "UPLOAD_FOLDER": str(folder / "uploads"),
        "SUPABASE_URL": project.url,
        "SUPABASE_SERVICE_KEY": project.fake.service_key,
    }


@pytest.fixture
def app(project: Served, tmp_path: Path) -> Iterator[str]:
    """Serve the app with two workers of four threads."""
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--threads=4", "--no-control-socket"]
    command += ["--bind=127.0.0.1:0", "tests.supabase.preforked:app"]
    log = tmp_path / "log"
    with log.open("wb") as told:
        running = subprocess.Popen(command, env=environment(project, tmp_path), cwd=tmp_path, stderr=told)
        try:
            yield wait_for(running, log)
        finally:
            running.terminate()
            code = running.wait(timeout=20)
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def wait_for(running: subprocess.Popen[bytes], log: Path) -> str:
    """Give the address, once both workers are there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and running.poll() is None:
        told = log.read_text()
        address = re.search(r"Listening at: (http://[\d.:]+)", told)
        if address and told.count("Booting worker") == 2:
            return address[1]
        time.sleep(0.02)
    raise AssertionError(log.read_text())


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at handles in /proc")
def test_workers_share_a_store_that_was_made_before_they_were(project: Served, app: str, tmp_path: Path) -> None:
    workers: dict[str, set[str]] = {}

    def round_trip(number: int) -> None:
        data = random.Random(number).randbytes(20_000 + number)
        # A connection of its own each time, so that either worker may get it.
        put = http.put(f"/{number}.wav", content=data)
        got = http.get(f"/{put.text}")
        assert (put.status_code, got.status_code) == (200, 200)
        assert differs_at(got.content, data) is None
        workers.setdefault(put.headers["x-worker"], set()).add(put.text)

    facts: dict[int, Any] = {}
    one_each = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=app, limits=one_each, timeout=20) as http, ThreadPoolExecutor(8) as pool:
        list(pool.map(round_trip, range(80)))
        for told in pool.map(http.get, ["/facts"] * 40):
            facts[told.json()["worker"]] = told.json()
    assert len(workers) == len(facts) == 2, "each worker had its share"
    assert sum(len(files) for files in workers.values()) == 80
    own = [set(each["own"].values()) for each in facts.values()]
    sockets = [{each for each in mine if each.startswith("socket:")} for mine in own]
    assert all(sockets), "each made connections of its own"
    assert sockets[0] & sockets[1] == set()
    with AudioStore.from_env(environment(project, tmp_path)) as store:
        for worker, files in workers.items():
            assert {file.id for file in store.list(owner=f"worker {worker}")} == files
            assert store.usage(f"worker {worker}").files == len(files)
        assert store.audit().ok
    assert isinstance(store.backends["local"], LocalBackend)
    assert len(project.keys()) == 81
