"""Real deaths: processes killed by SIGKILL at random moments, again and again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shares import amount

SCRIPT = Path(__file__).parent / "kill_loop.py"


@pytest.mark.slow
@pytest.mark.parametrize(("world", "kills"), [("disk", amount(60, 2000)), ("cloud", amount(20, 400))])
def test_after_many_kills_nothing_is_lost_left_or_over(world: str, kills: int) -> None:
    # A process of its own: it forks, which a process with threads (pytest's) had better not.
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--world", world, "--kills", str(kills)], capture_output=True, text=True, check=False
    )
    assert ran.stdout, ran.stderr
    report = json.loads(ran.stdout)
    assert report["wrong"] == []
    assert ran.returncode == 0
    assert report["kills"] >= kills
    assert min(report["calls"].get(verb, 0) for verb in ("put", "put once", "upload", "replace", "move", "delete")) > 0
