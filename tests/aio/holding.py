"""A store whose calls wait until they are let go, to be cancelled at just that moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

from audiostore import AsyncAudioStore, AudioStore
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.streams import ByteStream

CONTENT = bytes(range(256)) * 4096  # four chunks


class Held(MemoryBackend):
    """A backend that waits in a call until it is let go."""

    def __init__(self, *calls: str) -> None:
        super().__init__()
        self.reached, self.go, self._calls = threading.Event(), threading.Event(), calls
        self.opened = self.closed = 0
        self.closed_in = set[int]()

    def write(self, key: Key, staged: Staged, *, resume: str | None = None, progress: Any = None) -> Any:
        self._hold("write")
        return super().write(key, staged, resume=resume, progress=progress)

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        inner = super().read(key, start, end)
        self.opened += 1

        def chunks() -> Any:
            for number, chunk in enumerate(inner):
                if number:
                    self._hold("chunk")
                yield chunk

        def close() -> None:
            self.closed += 1
            self.closed_in.add(threading.get_ident())

        return ByteStream(chunks(), inner.length, close)

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        self._hold("delete")
        return super().delete(keys)

    def _hold(self, call: str) -> None:
        if call in self._calls:
            self.reached.set()
            assert self.go.wait(30)

    async def until_reached(self) -> None:
        await asyncio.to_thread(self.reached.wait, 30)


def store_on(backend: MemoryBackend, **numbers: int) -> AsyncAudioStore:
    return AsyncAudioStore(AudioStore(backend, MemoryCatalog()), **numbers)


async def nothing_is_left(astore: AsyncAudioStore) -> None:
    usage = await astore.usage("alice")
    assert (usage.used, usage.reserved, usage.files, usage.pending) == (0, 0, 0, 0)
    assert list(astore.store.backend.list()) == []
    assert (await astore.audit()).ok


class Committing(MemoryCatalog):
    """A catalog whose commits are cancelled: too late to be stopped."""

    cancel: Callable[[], object]

    def commit(self, *args: Any, **options: Any) -> Any:
        done = super().commit(*args, **options)
        self.cancel()
        return done


async def cancel_soon(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await turns_of(3)


async def turns_of(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
