"""The seed's flow, checked from outside against each app under its usual server; and that the check can fail."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.shared.auth import User
from tests.apps.running import App, Backend, environ, running, supabase_settings

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "flask": ["gunicorn", "--bind", "127.0.0.1:0", "--worker-class", "gthread", "--threads", "4"],
    "fastapi": ["uvicorn", "--factory", "--host", "127.0.0.1", "--port", "0"],
}


@contextmanager
def served(app: App, settings: dict[str, str], folder: Path) -> Generator[str]:
    """Run the app as its README says, and give its address."""
    factory = f"examples.{app}.app:create_app"
    command = [sys.executable, "-m", *COMMANDS[app], factory + ("()" if app == "flask" else "")]
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    with subprocess.Popen(
        command, cwd=ROOT, env=kept | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        seen: list[str] = []
        try:
            for line in process.stdout:
                seen.append(line)
                if found := re.search(r"(?:Listening at:|running on) (http://127\.0\.0\.1:\d+)", line):
                    yield found[1]
                    break
            else:
                raise AssertionError("".join(seen))
        finally:
            process.terminate()
            process.stdout.read()


def check(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "flow_check.py"), url]
    return subprocess.run(command, env={}, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("backend", ["disk", "supabase"])
@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_everything_is_as_it_should_be_under_the_usual_server(app: App, backend: Backend, tmp_path: Path) -> None:
    settings = environ(tmp_path)
    if backend == "disk":
        with served(app, settings, tmp_path) as url:
            ran = check(url)
    else:
        with supabase_settings() as (fake, more), served(app, settings | more, tmp_path) as url:
            ran = check(url)
            assert fake.keys("audio-files") == []
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok ") for line in lines), ran.stdout
    assert "is refused" in ran.stdout


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("upload", "Upload: "),
        ("usage", "Quota: "),
    ],
)
def test_what_is_wrong_is_found(broken: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> dict[str, object]:
        return {"success": True, "path": "", "upload_id": "x"}

    def uncounted(user: User) -> dict[str, object]:
        return {"success": True, **site.store.usage(user.id).as_dict(), "used": 0}

    with running("flask", tmp_path) as site:
        if broken == "upload":
            monkeypatch.setattr(site.flow, "upload", lost)
        else:
            monkeypatch.setattr(site.flow, "usage", uncounted)
        ran = check(site.url)
    assert ran.returncode == 1
    assert f"WRONG {said}" in ran.stdout


def test_nobody_there_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ran = check(f"http://127.0.0.1:{port}")
    assert ran.returncode == 1
    assert "WRONG Signing in" in ran.stdout
    assert "Traceback" not in ran.stderr
