"""``audiostore fake`` on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from audiostore.testing.supabase import FakeSupabase

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "audiostore", "fake"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_stopped(ended_by: signal.Signals) -> None:
    with subprocess.Popen(COMMAND, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        facts = json.loads(running.stdout.readline())
        assert set(facts) == {"url", "service_key", "anon_key", "jwt_secret"}
        headers = {"authorization": f"Bearer {facts['service_key']}"}
        (bucket,) = httpx.get(f"{facts['url']}/storage/v1/bucket", headers=headers).json()
        assert (bucket["id"], bucket["public"], bucket["file_size_limit"]) == ("audio-files", False, None)
        running.send_signal(ended_by)
        assert running.wait(timeout=10) == 0


def test_a_port_that_is_taken_is_no_traceback() -> None:
    with FakeSupabase().serve() as server:
        port = server.url.rpartition(":")[2]
        ran = subprocess.run([*COMMAND, "--port", port], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ran.returncode
    assert f"can't listen on port {port}" in ran.stderr
    assert "Traceback" not in ran.stderr
