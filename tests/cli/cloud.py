"""A terminal whose settings lead to a Supabase project: the fake, served."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from click.testing import Result

from audiostore.testing.supabase import FakeSupabase
from tests.cli.terminal import Terminal

BUCKET = "audio-files"


@dataclass
class Cloud:
    """Commands are run with the settings in ``env``, which a test may change."""

    terminal: Terminal
    fake: FakeSupabase
    env: dict[str, str] = field(default_factory=dict[str, str])

    def run(self, *words: str, code: int = 0, typed: bytes | None = None) -> Result:
        return self.terminal.run(*words, *self._settings(), code=code, typed=typed)

    def json(self, *words: str, code: int = 0) -> Any:
        return self.terminal.json(*words, *self._settings(), code=code)

    def error(self, *words: str, code: int) -> dict[str, Any]:
        return self.terminal.error(*words, *self._settings(), code=code)

    def doctor(self, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """Give what the doctor found, by the name of the check."""
        return {each["name"]: each for each in self.json("doctor", *words, code=code)["checks"]}

    def wrong(self, *words: str) -> dict[str, str]:
        """Give what is to be fixed: detail and fix as one text."""
        checks = self.doctor(*words, code=6)
        return {name: f"{each['detail']} -> {each['fix']}" for name, each in checks.items() if not each["ok"]}

    def row(self, bucket: str = BUCKET) -> tuple[bool, int | None, list[str] | None]:
        """Give the bucket as the server has it."""
        found = self.fake._project.buckets[bucket]
        return found.public, found.file_size_limit, found.allowed_mime_types

    def changes(self) -> list[str]:
        """Give the requests that may change something, in order."""
        return [f"{each.method} {each.path}" for each in self.fake.requests if each.method in {"POST", "PUT", "DELETE"}]

    def _settings(self) -> tuple[str, ...]:
        path = self.terminal.folder / "env"
        path.write_text("".join(f"{name}={value}\n" for name, value in self.env.items()))
        return "--env-file", str(path)


@contextmanager
def cloud_of(terminal: Terminal, fake: FakeSupabase | None = None) -> Generator[Cloud]:
    if fake is None:
        fake = FakeSupabase()
        fake.apply_schema()
    with fake.serve() as server:
        env = {
            "STORAGE_BACKEND": "supabase",
            "UPLOAD_FOLDER": str(terminal.root),
            "SUPABASE_URL": server.url,
            "SUPABASE_ANON_KEY": fake.anon_key,
            "SUPABASE_SERVICE_KEY": fake.service_key,
        }
        yield Cloud(terminal, fake, env)
