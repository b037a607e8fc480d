"""A stored file that is opened: read here and there, awaited, on every backend."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import Any

import pytest

from audiostore import AsyncAudioStore, AsyncFile, NotFound
from audiostore.backends.memory import MemoryBackend
from tests.aio.conftest import MakeStore
from tests.aio.holding import CONTENT, Held, cancel_soon, store_on


def opened(astore: AsyncAudioStore, use: Any) -> None:
    async def run() -> None:
        take = await astore.put(CONTENT, owner="alice", filename="take.wav")
        async with await astore.open(take.id, owner="alice") as file:
            await use(file)
        await astore.close()

    asyncio.run(run())


def test_it_reads_on_and_here_and_there(astore: AsyncAudioStore) -> None:
    async def use(file: AsyncFile) -> None:
        assert (file.name, file.size) == ("take.wav", len(CONTENT))
        assert [await file.read(5), await file.read(3), await file.tell()] == [CONTENT[:5], CONTENT[5:8], 8]
        assert await file.seek(-10, os.SEEK_END) == len(CONTENT) - 10
        assert [await file.read(100), await file.read(100)] == [CONTENT[-10:], b""]
        assert await file.seek(300_000) == 300_000
        assert await file.seek(7, os.SEEK_CUR) == 300_007
        assert await file.read() == CONTENT[300_007:]
        assert await file.seek(0) == 0
        assert await file.read(0) == b""
        assert await file.read() == CONTENT
        assert await file.seek(10, os.SEEK_END) == len(CONTENT) + 10
        assert await file.read() == b""

    opened(astore, use)


def test_a_wrong_place_is_refused_and_changes_nothing(astore: AsyncAudioStore) -> None:
    async def use(file: AsyncFile) -> None:
        await file.seek(4)
        for offset, whence in ((-5, os.SEEK_CUR), (-1, os.SEEK_SET), (0, 9)):
            with pytest.raises(ValueError, match=r"seek position|whence"):
                await file.seek(offset, whence)
        assert await file.tell() == 4

    opened(astore, use)


def test_it_never_reads_more_than_there_is(astore: AsyncAudioStore) -> None:
    async def use(file: AsyncFile) -> None:
        for size in (-2, 1 << 40, 1 << 70):
            await file.seek(-7, os.SEEK_END)
            assert await file.read(size) == CONTENT[-7:]

    opened(astore, use)


def test_a_seek_waits_for_the_read_before_it(astore: AsyncAudioStore) -> None:
    async def use(file: AsyncFile) -> None:
        reading = asyncio.create_task(file.read(500_000))
        await asyncio.sleep(0)
        assert await file.seek(5) == 5
        assert len(await reading) == 500_000
        assert await file.read(3) == CONTENT[5:8]

    opened(astore, use)


def test_closed_it_reads_nothing(astore: AsyncAudioStore) -> None:
    async def use(file: AsyncFile) -> None:
        await file.aclose()
        await file.aclose()
        for call in (file.read, file.tell, lambda: file.seek(0)):
            with pytest.raises(ValueError, match="closed"):
                await call()

    opened(astore, use)


def test_a_file_of_someone_else_is_not_found(astore: AsyncAudioStore) -> None:
    async def run() -> None:
        take = await astore.put(b"bytes", owner="alice")
        with pytest.raises(NotFound):
            await astore.open(take.id, owner="bob")
        with pytest.raises(TypeError, match="owner="):
            await astore.open(take.id)
        await astore.close()

    asyncio.run(run())


def test_it_is_a_source_of_another_file(make: MakeStore) -> None:
    async def run() -> None:
        astore = make()
        take = await astore.put(CONTENT, owner="alice", filename="take.wav")
        async with await astore.open(take) as file:
            await file.seek(1000)
            rest = await astore.put(file, owner="bob")
        assert (rest.filename, rest.size) == ("take.wav", len(CONTENT) - 1000)
        assert await astore.get(rest) == CONTENT[1000:]
        await astore.close()

    asyncio.run(run())


def test_reads_at_once_take_turns(astore: AsyncAudioStore) -> None:
    async def use(file: AsyncFile) -> None:
        assert b"".join(await asyncio.gather(*(file.read(100_000) for _ in range(12)))) == CONTENT

    opened(astore, use)


def test_a_cancelled_read_has_read_nothing() -> None:
    backend = Held("chunk")
    astore = store_on(backend)

    async def run() -> None:
        async with await astore.open(await astore.put(CONTENT, owner="alice")) as file:
            assert await file.read(10) == CONTENT[:10]
            task = asyncio.create_task(file.read())
            await backend.until_reached()
            await cancel_soon(task)
            backend.go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await file.tell() == 10
            assert await file.read() == CONTENT[10:]
        await astore.close()

    asyncio.run(run())


def test_an_open_that_is_cancelled_leaves_nothing_open() -> None:
    closed: list[Any] = []

    astore = store_on(MemoryBackend())
    real = astore.store.open

    async def run() -> None:
        take = await astore.put(CONTENT, owner="alice")
        loop = asyncio.get_running_loop()

        def slowly(*given: Any, **options: Any) -> Any:
            file = real(*given, **options)
            asyncio.run_coroutine_threadsafe(cancel_soon(task), loop).result()
            closed.append(file)
            return file

        astore.store.open = slowly  # type: ignore[method-assign]
        task = asyncio.create_task(astore.open(take))
        with pytest.raises(asyncio.CancelledError):
            await task
        await astore.close()

    asyncio.run(run())
    assert [file.closed for file in closed] == [True]


@pytest.mark.parametrize("way", ["closed", "dropped"])
def test_it_lets_go_in_a_thread(way: str) -> None:
    backend = Held()
    astore = store_on(backend)

    async def run() -> None:
        file: AsyncFile | None = await astore.open(await astore.put(CONTENT, owner="alice"))
        assert file is not None
        assert await file.read(460_000) == CONTENT[:460_000]
        assert (backend.opened, backend.closed) == (4, 3), "it reads ahead by now, in pieces"
        backend.closed_in.clear()
        if way == "closed":
            await file.aclose()
        del file
        gc.collect()
        await asyncio.sleep(0)
        await astore.close()
        assert backend.closed == 4

    asyncio.run(run())
    assert backend.closed_in
    assert threading.get_ident() not in backend.closed_in
