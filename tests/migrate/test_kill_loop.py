"""Real deaths: workers killed by SIGKILL at random moments, and an end as if nobody had died."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "kill_loop.py"


@pytest.mark.slow
def test_after_kills_the_end_is_that_of_a_quiet_run() -> None:
    # A process of its own: it forks, which a process with threads (pytest's) had better not.
    command = [sys.executable, str(SCRIPT), "--kills", "5", "--files", "200"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout, ran.stderr
    report = json.loads(ran.stdout)
    assert report["wrong"] == []
    assert report["kills"] >= 1
    assert report["records"] > 150
