"""A terminal for tests: commands run on a store of their own, on a real disk, with SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import IO, Any

from click.testing import CliRunner, Result

from audiostore import AudioStore
from audiostore.cli.commands import audiostore
from audiostore.cli.session import Session

OLD_RUNNER = "mix_stderr" in signature(CliRunner).parameters
"""Before click 8.2 its runner mixed standard error among the rest, and an end of input was an empty line."""
_APART: dict[str, Any] = {"mix_stderr": False} if OLD_RUNNER else {}
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 4


class Terminal:
    """Run commands in *folder*; the environment holds UPLOAD_FOLDER=store and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"
        self.take = folder / "take.wav"
        self.take.write_bytes(WAV)

    def run(self, *words: str | Path, code: int = 0, typed: bytes | None = None) -> Result:
        """Run one command in this process, and see how it ends."""
        return self.run_on(None, *words, code=code, typed=typed)

    def run_on(self, store: AudioStore | None, *words: str | Path, code: int = 0, typed: bytes | None = None) -> Result:
        """Run one command on a *store* that has something wrong with it."""
        result = CliRunner(env={"UPLOAD_FOLDER": str(self.root)}, **_APART).invoke(
            audiostore, [str(word) for word in words], input=typed, obj=Session(given=store)
        )
        assert result.exit_code == code, (words, result.output)
        assert "Traceback" not in result.stderr
        assert not (code and not result.stderr and code != 6), "a failure that says nothing"
        return result

    def json(self, *words: str | Path, code: int = 0, typed: bytes | None = None) -> Any:
        """Run one command with ``--json`` and give its one document."""
        return json.loads(self.run(*words, "--json", code=code, typed=typed).stdout)

    def error(self, *words: str | Path, code: int) -> dict[str, Any]:
        """Run one command with ``--json`` that fails, and give what it says about that."""
        result = self.run(*words, "--json", code=code)
        assert result.stdout == ""
        told: dict[str, Any] = json.loads(result.stderr)
        return told

    def put(self, *words: str | Path, owner: str = "alice") -> str:
        """Put the take, and give its id."""
        return self.run("put", self.take, "--owner", owner, *words).stdout.strip()

    def files(self, owner: str = "alice") -> list[dict[str, Any]]:
        """Give the records that ``ls --json`` prints."""
        return [json.loads(line) for line in self.run("ls", "--owner", owner, "--json").stdout.splitlines()]

    def process(
        self,
        *words: str | Path,
        python: tuple[str, ...] = ("-m", "audiostore"),
        typed: bytes = b"",
        out: int | IO[bytes] = subprocess.PIPE,
        **environ: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one command as a process of its own, with *environ* on top of the terminal's."""
        return subprocess.run(
            [sys.executable, *python, *(str(word) for word in words)],
            cwd=self.folder,
            env=self.environ() | environ,
            input=typed,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    def environ(self) -> dict[str, str]:
        # Not PYTHONUNBUFFERED and its like: whether output is flushed in time is what some tests are about.
        kept = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE", "PYTHONPATH"))}
        return kept | {"UPLOAD_FOLDER": str(self.root), "PATH": os.defpath, "LANG": "C.UTF-8"}
