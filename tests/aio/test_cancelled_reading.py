"""Reads, lists and batches that are cancelled; and what is told to whoever was at it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiostore import AsyncAudioStore, AudioStore, Cancelled, NewFile, Unavailable
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from tests.aio.conftest import trickle
from tests.aio.holding import CONTENT, Committing, Held, cancel_soon, nothing_is_left, store_on


def test_a_cancelled_read_ends_its_stream_which_says_so() -> None:
    backend = Held("chunk")
    astore = store_on(backend)

    async def read() -> None:
        stream = await astore.stream(await astore.put(CONTENT, owner="alice"))
        assert await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        await backend.until_reached()
        await cancel_soon(task)
        backend.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.closed == 1
        with pytest.raises(Unavailable, match="hole"):
            await anext(stream)
        await astore.close()

    asyncio.run(read())


def test_a_cancelled_get_stops_at_the_next_chunk() -> None:
    backend = Held("chunk")
    astore = store_on(backend)

    async def read() -> None:
        task = asyncio.create_task(astore.get(await astore.put(CONTENT, owner="alice")))
        await backend.until_reached()
        await cancel_soon(task)
        backend.reached.clear()
        backend.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not backend.reached.is_set(), "it read on"
        await astore.close()

    asyncio.run(read())


def test_a_cancelled_batch_undoes_what_is_under_way_and_keeps_what_was_done() -> None:
    backend = Held("write")
    astore = store_on(backend)

    async def put() -> None:
        backend.go.set()
        first = await astore.put(b"before", owner="alice")
        backend.go.clear()
        backend.reached.clear()
        task = asyncio.create_task(
            astore.put_many([NewFile(CONTENT), trickle(CONTENT), CONTENT], owner="alice", workers=2)
        )
        await backend.until_reached()
        await cancel_soon(task)
        backend.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [each.id async for each in astore.list(owner="alice")] == [first.id]
        assert (await astore.usage("alice")).used == len(b"before")
        assert (await astore.audit()).ok
        await astore.close()

    asyncio.run(put())


def test_the_threads_of_a_batch_are_cancelled_with_it() -> None:
    """The synchronous batch in a thread of the asynchronous store: the news reaches its own threads."""
    backend = Held("write")
    astore = store_on(backend)

    async def put() -> None:
        task = asyncio.create_task(astore.run(lambda store: store.put_many([CONTENT] * 5, owner="alice", workers=2)))
        await backend.until_reached()
        await cancel_soon(task)
        backend.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await nothing_is_left(astore)
        await astore.close()

    asyncio.run(put())


@pytest.mark.parametrize("moment", ["commit", "finished"])
def test_a_path_that_was_given_away_is_never_lost_with_the_file(moment: str, tmp_path: Path) -> None:
    catalog, path = Committing(), tmp_path / "take.wav"
    path.write_bytes(CONTENT)
    astore = AsyncAudioStore(AudioStore(MemoryBackend(), catalog))

    async def put() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(astore.put(path, owner="alice", move=True))

        def cancel() -> None:
            asyncio.run_coroutine_threadsafe(cancel_soon(task), loop).result()

        catalog.cancel = cancel if moment == "commit" else lambda: None
        if moment == "finished":
            astore.on("put.finished", lambda event: cancel())
        with pytest.raises(asyncio.CancelledError):
            await task
        kept = [await astore.get(each) async for each in astore.list(owner="alice")]
        assert (path.read_bytes() if path.exists() else None, kept) in [(CONTENT, []), (None, [CONTENT])]
        await astore.close()

    asyncio.run(put())


def test_what_takes_a_flag_is_given_one_that_tells_in_any_thread() -> None:
    astore, running, seen = store_on(MemoryBackend()), threading.Event(), list[bool]()

    def work(store: AudioStore, cancelled: Callable[[], bool] = lambda: False) -> None:
        seen.append(cancelled())
        running.set()
        other = threading.Thread(target=lambda: seen.append(_until(cancelled)))
        other.start()
        other.join()
        raise Cancelled("the work")

    async def run() -> None:
        task = asyncio.create_task(astore.run(work))
        await asyncio.to_thread(running.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as gone:
            await task
        assert not getattr(gone.value, "__notes__", [])
        await astore.close()

    asyncio.run(run())
    assert seen == [False, True]


def test_what_a_function_was_given_is_its_own_to_take_back() -> None:
    astore, recorded, done = store_on(MemoryBackend()), list[str](), threading.Event()

    def record(store: AudioStore, cancelled: Callable[[], bool] = lambda: True) -> None:
        recorded.append(store.put(CONTENT, owner="alice").id)  # in a table of the app's, say
        done.set()
        _until(cancelled)

    async def run() -> None:
        task = asyncio.create_task(astore.run(record))
        await asyncio.to_thread(done.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [each.id async for each in astore.list(owner="alice")] == recorded
        await astore.close()

    asyncio.run(run())


def _until(cancelled: Callable[[], bool]) -> bool:
    while not cancelled():
        threading.Event().wait(0.001)
    return True


def test_a_cancelled_page_is_no_end_of_the_list() -> None:
    class Slow(MemoryCatalog):
        reached, go = threading.Event(), threading.Event()

        def list(self, *given: Any, **options: Any) -> Any:
            self.reached.set()
            assert self.go.wait(30)
            return super().list(*given, **options)

    catalog = Slow()
    astore = AsyncAudioStore(AudioStore(MemoryBackend(), catalog))

    async def walk() -> None:
        await astore.put(b"bytes", owner="alice")
        files = astore.list(owner="alice")
        task = asyncio.ensure_future(anext(files))
        await asyncio.to_thread(catalog.reached.wait, 30)
        await cancel_soon(task)
        catalog.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Unavailable, match="hole"):
            await anext(files)
        await astore.close()

    asyncio.run(walk())
