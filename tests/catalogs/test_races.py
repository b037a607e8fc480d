"""Many processes of many threads race for the last bytes of one owner's quota."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.models import Limits
from tests.catalogs.race_facts import LIMITS, OWNER, PROCESSES, STOP, THREADS
from tests.shares import amount

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SECONDS = amount(8, 60)


def start(folder: Path, role: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.catalogs.racer", str(folder), role]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    answer: dict[str, Any] = json.loads(told)
    return answer


def test_no_owner_goes_over_and_no_update_is_lost(tmp_path: Path) -> None:
    watcher = start(tmp_path, "watch")
    racers = [start(tmp_path, f"racer-{number}") for number in range(PROCESSES)]
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and all(each.poll() is None for each in (watcher, *racers)):
        time.sleep(0.1)
    (tmp_path / STOP).touch()
    told, seen = [finish(racer) for racer in racers], finish(watcher)

    assert [each["failures"] for each in told] == [[]] * PROCESSES
    assert not seen["drift"]
    assert len(seen["samples"]) > 50
    assert max(seen["samples"]) <= (LIMITS.total or 0)
    assert max(seen["samples"]) > 0.95 * (LIMITS.total or 0), "there was no race"
    assert sum(each["refused"] for each in told) > THREADS

    # Every file that somebody was told is stored is there, at the size it was told, and nothing else is charged.
    catalog = SQLiteCatalog(tmp_path / "catalog.db", clock=lambda: time.time() + 3600)
    expected = {file: size for each in told for file, size in each["files"].items()}
    assert {file.id: file.size for file in catalog.list(OWNER)} == expected
    while catalog.expire(1_000):
        pass
    catalog.forget([removal.id for removal in catalog.claim(100_000, timedelta(hours=1))])
    usage = catalog.usage(OWNER, Limits())
    assert (usage.used, usage.reserved, usage.files, usage.pending) == (sum(expected.values()), 0, len(expected), 0)
    assert not catalog.audit()
    catalog.close()
