"""A call that is cancelled returns when it has undone what it did, whatever cancels it, and whenever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from audiostore import AsyncAudioStore, AudioFile, AudioStore, Cancelled, NewFile, Unavailable
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.streams import CHUNK, ByteStream
from tests.aio.conftest import trickle

CONTENT = bytes(range(256)) * 4096  # four chunks


class Held(MemoryBackend):
    """A backend that waits in a call until it is let go."""

    def __init__(self, *calls: str) -> None:
        super().__init__()
        self.reached, self.go, self._calls = threading.Event(), threading.Event(), calls
        self.opened = self.closed = 0

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
        await _cancel(task)
        assert not task.done(), "it returned while its thread was at work"
    backend.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def time_out(astore: AsyncAudioStore, backend: Held) -> None:
    loop, timeout = asyncio.get_running_loop(), asyncio.timeout(None)

    async def end() -> None:
        await backend.until_reached()
        timeout.reschedule(loop.time())
        await _turns(20)
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


class Committing(MemoryCatalog):
    """A catalog whose commits are cancelled: too late to be stopped."""

    cancel: Callable[[], object]

    def commit(self, *args: Any, **options: Any) -> Any:
        done = super().commit(*args, **options)
        self.cancel()
        return done


@pytest.mark.parametrize("key", [None, "once"])
def test_done_before_the_news_came_it_is_taken_back_unless_it_can_be_asked_for_again(key: str | None) -> None:
    catalog = Committing()
    astore = AsyncAudioStore(AudioStore(MemoryBackend(), catalog))

    async def put() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(astore.put(CONTENT, owner="alice", idempotency_key=key))
        catalog.cancel = lambda: asyncio.run_coroutine_threadsafe(_cancel(task), loop).result()
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


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await _turns(3)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


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
        await _cancel(task)
        backend.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await astore.close()

    asyncio.run(put())
    assert failed[0] is not None
    assert "could not be released" in failed[0].__notes__[0]


def test_a_cancelled_read_ends_its_stream_which_says_so() -> None:
    backend = Held("chunk")
    astore = store_on(backend)

    async def read() -> None:
        stream = await astore.stream(await astore.put(CONTENT, owner="alice"))
        assert await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        await backend.until_reached()
        await _cancel(task)
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
        await _cancel(task)
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
        await _cancel(task)
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
        await _cancel(task)
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
            asyncio.run_coroutine_threadsafe(_cancel(task), loop).result()

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
        await _cancel(task)
        catalog.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Unavailable, match="hole"):
            await anext(files)
        await astore.close()

    asyncio.run(walk())
