"""A call that is cancelled returns when it has undone what it did, whatever cancels it, and whenever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import anyio
import pytest

from audiostore import AsyncAudioStore, AudioFile, AudioStore, Unavailable
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.keys import Key
from audiostore.streams import CHUNK
from tests.aio.conftest import trickle
from tests.aio.holding import CONTENT, Committing, Held, cancel_soon, nothing_is_left, store_on, turns_of


@pytest.mark.parametrize("awaits", range(6))
def test_cancelled_at_any_await_of_its_source_a_put_leaves_nothing(awaits: int) -> None:
    astore, closed = store_on(MemoryBackend()), list[str]()

    async def source(cancel: Callable[[], object]) -> AsyncIterator[bytes]:
        try:
            for number in range(5):
                if number == awaits:
                    cancel()
                await asyncio.sleep(0)
                yield bytes(CHUNK)
            if awaits == 5:
                cancel()
                await asyncio.sleep(0)
        finally:
            closed.append("source")

    async def put() -> None:
        def cancel() -> None:
            task.cancel()

        task: asyncio.Task[AudioFile] = asyncio.create_task(astore.put(source(cancel), owner="alice"))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert closed == ["source"]  # it was cancelled in the task that reads it
        await nothing_is_left(astore)
        await astore.close()

    asyncio.run(put())


@pytest.mark.parametrize("turns", range(12))
def test_cancelled_after_any_number_of_turns_a_put_leaves_nothing(turns: int) -> None:
    astore = store_on(MemoryBackend())

    async def put() -> None:
        task = asyncio.create_task(astore.put(trickle(*[CONTENT] * 2), owner="alice"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        if not task.done():
            with pytest.raises(asyncio.CancelledError):
                await task
            await nothing_is_left(astore)
        await astore.close()

    asyncio.run(put())


async def cancel_task(astore: AsyncAudioStore, backend: Held) -> None:
    task = asyncio.create_task(astore.put(CONTENT, owner="alice"))
    await backend.until_reached()
    for _ in range(3):
        await cancel_soon(task)
        assert not task.done(), "it returned while its thread was at work"
    backend.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def time_out(astore: AsyncAudioStore, backend: Held) -> None:
    loop, timeout = asyncio.get_running_loop(), asyncio.timeout(None)

    async def end() -> None:
        await backend.until_reached()
        timeout.reschedule(loop.time())
        await turns_of(20)
        backend.go.set()

    ending = asyncio.create_task(end())
    async with timeout:
        await astore.put(CONTENT, owner="alice")
    await ending


async def fail_beside(astore: AsyncAudioStore, backend: Held) -> None:
    async def fail() -> None:
        await backend.until_reached()
        asyncio.get_running_loop().call_later(0.001, backend.go.set)
        raise TimeoutError

    async with asyncio.TaskGroup() as group:
        group.create_task(astore.put(CONTENT, owner="alice"))
        group.create_task(fail())


async def leave_a_scope(astore: AsyncAudioStore, backend: Held) -> None:
    """AnyIO, on which Starlette runs, cancels again at each turn of the loop: that is not to become a race."""
    loop: Any = asyncio.get_running_loop()
    once, turns = loop._run_once, 0

    def count() -> None:
        nonlocal turns
        turns += 1
        once()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_put, astore)
        await backend.until_reached()
        tasks.cancel_scope.cancel()
        loop._run_once = count
        loop.call_later(0.02, backend.go.set)
    assert turns < 100, "it spun while it waited"
    raise TimeoutError


@pytest.mark.parametrize("way", [cancel_task, time_out, fail_beside, leave_a_scope])
def test_whatever_cancels_it_it_returns_when_all_is_undone(way: Callable[..., Coroutine[Any, Any, None]]) -> None:
    backend = Held("write")
    astore = store_on(backend)

    async def put() -> None:
        with suppress(TimeoutError, ExceptionGroup):
            await way(astore, backend)
        assert backend.go.is_set()
        await nothing_is_left(astore)
        await astore.close()

    asyncio.run(put())


async def _put(astore: AsyncAudioStore) -> None:
    await astore.put(CONTENT, owner="alice")


def test_a_call_that_waits_for_a_thread_never_begins() -> None:
    backend, begun = Held("write"), list[str]()
    astore = store_on(backend, workers=1)
    astore.on("*", lambda event: begun.append(f"{event.owner} {event.name}"))

    async def put() -> None:
        first = asyncio.create_task(astore.put(CONTENT, owner="bob"))
        await backend.until_reached()
        second = asyncio.create_task(astore.put(CONTENT, owner="alice"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        backend.go.set()
        await first
        await nothing_is_left_of_alice(astore)
        await astore.close()

    async def nothing_is_left_of_alice(astore: AsyncAudioStore) -> None:
        assert (await astore.usage("alice")).files == 0

    asyncio.run(put())
    assert begun == ["bob put.started", "bob put.finished"]


@pytest.mark.parametrize("key", [None, "once"])
def test_done_before_the_news_came_it_is_taken_back_unless_it_can_be_asked_for_again(key: str | None) -> None:
    catalog = Committing()
    astore = AsyncAudioStore(AudioStore(MemoryBackend(), catalog))

    async def put() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(astore.put(CONTENT, owner="alice", idempotency_key=key))
        catalog.cancel = lambda: asyncio.run_coroutine_threadsafe(cancel_soon(task), loop).result()
        with pytest.raises(asyncio.CancelledError):
            await task
        if key is None:
            await nothing_is_left(astore)
        else:  # somebody else may have asked with that key meanwhile
            assert (await astore.usage("alice")).files == 1
            catalog.cancel = lambda: None
            assert await astore.get(await astore.put(CONTENT, owner="alice", idempotency_key=key)) == CONTENT
            assert (await astore.usage("alice")).files == 1
        await astore.close()

    asyncio.run(put())


def test_what_the_undoing_meets_is_told() -> None:
    class Stubborn(Held):
        def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
            raise Unavailable("the backend is away now")

    class Broken(MemoryCatalog):
        def release(self, reservation: str, *, erase: bool = True) -> Any:
            raise Unavailable("the catalog is away now")

    backend = Stubborn("write")
    astore = AsyncAudioStore(AudioStore(backend, Broken()))
    failed = list[BaseException | None]()
    astore.on("put.failed", lambda event: failed.append(event.error))

    async def put() -> None:
        task = asyncio.create_task(astore.put(CONTENT, owner="alice"))
        await backend.until_reached()
        await cancel_soon(task)
        backend.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await astore.close()

    asyncio.run(put())
    assert failed[0] is not None
    assert "could not be released" in failed[0].__notes__[0]
