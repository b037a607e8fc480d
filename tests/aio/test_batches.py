"""Many files in one awaited call: as the facade's, with asynchronous items and sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from audiostore import AsyncAudioStore, AudioFile, AudioStore, NewFile, NotFound, Outcome, UnsupportedAudio
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from tests.aio.conftest import trickle


def test_many_are_stored_fetched_and_deleted(astore: AsyncAudioStore, tmp_path: Path) -> None:
    async def items() -> AsyncIterator[Any]:
        for number in range(6):
            await asyncio.sleep(0)
            yield NewFile(trickle(b"take ", str(number).encode()), section=number) if number % 2 else b"plain"
        yield b""

    async def targets() -> AsyncIterator[tuple[AudioFile, Path]]:
        async for each in astore.list(owner="alice", project="p1"):
            yield each, tmp_path / each.id

    async def live() -> None:
        told = list[Outcome[AudioFile]]()
        done = await astore.put_many(items(), owner="alice", project="p1", workers=3, progress=told.append)
        assert [type(each.error) for each in done] == [type(None)] * 6 + [UnsupportedAudio]
        assert [await astore.get(each) for each in done.done][1::2] == [b"take 1", b"take 3", b"take 5"]
        assert [each.section for each in done.done] == [None, "1", None, "3", None, "5"]
        assert sorted(each.index for each in told) == list(range(7))
        written = await astore.download_many(targets(), workers=2)
        assert sorted(path.read_bytes() for path in written.results())[:2] == [b"plain", b"plain"]
        assert (await astore.delete_many(astore.list(owner="alice"))).ok
        gone = await astore.delete_many([each.id for each in done.done], owner="alice")
        assert {type(each.error) for each in gone} == {NotFound}
        assert (await astore.usage("alice")).used == 0
        assert (await astore.audit()).ok

    asyncio.run(live())


def test_items_that_block_are_asked_in_a_thread_and_no_more_than_are_being_stored() -> None:
    astore, taken, stored = AsyncAudioStore(AudioStore(MemoryBackend(), MemoryCatalog())), list[int](), list[int]()

    def items() -> Iterator[bytes]:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        for number in range(20):
            taken.append(number)
            assert len(taken) - len(stored) <= 3, "the items pile up"
            yield f"item {number}".encode()

    async def put() -> None:
        done = await astore.put_many(items(), owner="alice", workers=3, progress=lambda each: stored.append(each.index))
        assert done.ok
        assert [each.index for each in done] == taken
        await astore.close()

    asyncio.run(put())


def test_what_the_items_or_progress_raise_ends_it(astore: AsyncAudioStore) -> None:
    async def items() -> AsyncIterator[bytes]:
        yield b"first"
        raise LookupError

    def stop(outcome: Outcome[Any]) -> None:
        raise LookupError

    async def put() -> None:
        with pytest.raises(LookupError):
            await astore.put_many(items(), owner="alice")
        with pytest.raises(LookupError):
            await astore.put_many([b"second", b"third"], owner="alice", workers=1, progress=stop)
        with pytest.raises(ValueError, match="workers"):
            await astore.put_many([b"fourth"], owner="alice", workers=0)
        with pytest.raises(ValueError, match="owner"):
            await astore.put_many([], owner="")
        assert (await astore.usage("alice")).files <= 2
        assert (await astore.usage("alice")).reserved == 0
        assert (await astore.audit()).ok

    asyncio.run(put())
