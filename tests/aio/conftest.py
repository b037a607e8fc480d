"""One asynchronous store of each kind, as in ``tests/store``; a test is a plain function that runs its own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from audiostore import AsyncAudioStore, AudioStore
from audiostore.backends.local import LocalBackend
from audiostore.backends.memory import MemoryBackend
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.quota import DEFAULT_QUOTA
from tests.crashes.cloud import BUCKET, shared_cloud

SECRET = "a secret of the tests, long enough"
KINDS = ["memory", "disk", "cloud"]

_T = TypeVar("_T")
MakeStore: TypeAlias = Callable[..., AsyncAudioStore]
Run: TypeAlias = Callable[[Coroutine[Any, Any, _T]], _T]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(kind: str, tmp_path: Path) -> Iterator[MakeStore]:
    made: list[AsyncAudioStore] = []

    def parts() -> tuple[Any, Any]:
        if kind == "memory":
            return MemoryBackend(), MemoryCatalog()
        if kind == "disk":
            return LocalBackend(tmp_path / "uploads"), SQLiteCatalog(tmp_path / "catalog.sqlite3")
        cloud = shared_cloud()
        cloud.empty()
        backend = SupabaseBackend(cloud.server.url, cloud.fake.service_key, BUCKET)
        return backend, PostgresCatalog.connect(cloud.database.dsn)

    def make_store(*, workers: int = 4, uploads: int = 4, **options: Any) -> AsyncAudioStore:
        given: dict[str, Any] = {"secret": SECRET, "quota": DEFAULT_QUOTA, **options}
        made.append(AsyncAudioStore(AudioStore(*parts(), **given), workers=workers, uploads=uploads))
        return made[-1]

    yield make_store
    for each in made:
        asyncio.run(each.close())


@pytest.fixture
def astore(make: MakeStore) -> AsyncAudioStore:
    return make()


async def trickle(*chunks: bytes) -> AsyncIterator[bytes]:
    """Give chunks as a request does: with a turn of the event loop before each."""
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


async def everything(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
