"""fake, as a newcomer starts it: it prints its facts, and writes the settings that lead to it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiostore.cli.session import read_env_file
from tests.cli.terminal import Terminal


@contextmanager
def serving(terminal: Terminal, *words: str) -> Generator[dict[str, Any]]:
    """Run the command until the block ends; gives its first line."""
    command = [sys.executable, "-m", "audiostore", "fake", "--port", "0", *words]
    environ = {name: value for name, value in terminal.environ().items() if not name.startswith("COVERAGE")}
    with subprocess.Popen(
        command, cwd=terminal.folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            assert running.stdout is not None
            yield json.loads(running.stdout.readline())
        finally:
            running.terminate()


def test_the_settings_it_writes_lead_to_it(terminal: Terminal) -> None:
    path = terminal.folder / ".env"
    path.write_text("what was there before\n")
    with serving(terminal, "--json", "--write-env", ".env") as facts:
        settings = read_env_file(path)
        assert (settings["STORAGE_BACKEND"], settings["SUPABASE_URL"]) == ("supabase", facts["url"])
        assert terminal.json("bucket", "show", "--env-file", path)["ok"]
        take = terminal.put("--env-file", str(path))
        link = terminal.run("url", take, "--owner", "alice", "--env-file", path).stdout
        assert link.startswith(facts["url"])
        assert terminal.json("doctor", "--env-file", path)["ok"]
    assert sorted(each.name for each in terminal.folder.glob(".*")) == [".env"]


def test_its_first_line_is_json_in_any_case(terminal: Terminal) -> None:
    with serving(terminal) as facts:
        assert set(facts) == {"url", "service_key", "anon_key", "jwt_secret"}


def test_the_table_of_projects_is_there_as_the_example_apps_have_it(terminal: Terminal) -> None:
    with serving(terminal) as facts:
        key = facts["service_key"]
        url = f"{facts['url']}/rest/v1/projects?select=id,user_id,project_data,updated_at"
        asked = urllib.request.Request(url, headers={"apikey": key, "Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer) == []


def test_settings_that_cannot_be_written_are_told(terminal: Terminal) -> None:
    ran = terminal.process("fake", "--write-env", Path("no") / "such" / "folder" / ".env")
    assert ran.returncode == 2
    assert b"can't write no/such/folder/.env" in ran.stderr
    assert b"Traceback" not in ran.stderr
