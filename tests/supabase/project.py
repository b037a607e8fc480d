"""A project to test against: the fake, served, so that the bytes go over a real connection."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from audiostore.backends.supabase import SupabaseBackend
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.testing.bench import stage_bytes
from audiostore.testing.supabase import FakeSupabase
from audiostore.transport import Timeouts

KIB = 1024
BUCKET = "audio-files"
QUICK = Timeouts(
    connect=timedelta(seconds=2),
    read=timedelta(seconds=2),
    write=timedelta(seconds=2),
    total=timedelta(seconds=8),
    pause=timedelta(milliseconds=5),
)


@dataclass
class Served:
    """A fake that is served, and what a test needs to speak to it."""

    fake: FakeSupabase
    url: str
    folder: Path
    timeouts: Timeouts = QUICK
    resume: str | None = None

    def backend(self, **options: Any) -> SupabaseBackend:
        given: dict[str, Any] = {
            "chunk_size": 64 * KIB,
            "tus_threshold": 128 * KIB,
            "timeouts": self.timeouts,
            **options,
        }
        return SupabaseBackend(self.url, given.pop("key", self.fake.service_key), BUCKET, **given)

    def stage(self, data: bytes) -> Staged:
        return stage_bytes(data, self.folder)

    def keys(self) -> list[str]:
        return self.fake.keys(BUCKET)

    def bytes_of(self, key: Key) -> bytes:
        return self.fake.read(BUCKET, key)

    def seen(self, method: str, route: str = "") -> int:
        return sum(each.method == method and route in each.path for each in tuple(self.fake.requests))


@contextmanager
def served(folder: Path) -> Generator[Served]:
    fake = FakeSupabase()
    fake.create_bucket(BUCKET)
    fake.apply_schema()
    with fake.serve() as server:
        yield Served(fake, server.url, folder)
