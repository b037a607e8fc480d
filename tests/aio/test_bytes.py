"""Bytes both ways, a chunk at a time."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import UploadFile

from audiostore import AsyncAudioStore, AudioStore, FixedQuota, QuotaExceeded, Unavailable, UnsupportedAudio
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.keys import Key
from audiostore.streams import CHUNK, ByteStream
from tests.aio.conftest import MakeStore, everything, trickle

CONTENT = os.urandom(3 * CHUNK + 17)


class Reads:
    """A file whose ``read`` is awaited, as aiofiles and asyncio make them; iterated over, it gives lines."""

    name = "/home/alice/take.wav"

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    async def read(self, size: int = -1) -> bytes:
        await asyncio.sleep(0)
        return self._file.read(size)

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("by line")


def sources(folder: Path) -> dict[str, Any]:
    path = folder / "take.wav"
    path.write_bytes(CONTENT)
    return {
        "an asynchronous iterator": trickle(CONTENT[:10], b"", CONTENT[10:]),
        "an asynchronous file": Reads(CONTENT),
        "a Starlette upload": UploadFile(io.BytesIO(CONTENT), filename="take.wav"),
        "bytes": CONTENT,
        "a path": path,
        "an open file": io.BytesIO(CONTENT),
        "an iterator": iter([CONTENT[:10], CONTENT[10:]]),
    }


def test_it_takes_every_kind_of_source(astore: AsyncAudioStore, tmp_path: Path) -> None:
    async def put_all() -> None:
        for name, source in sources(tmp_path).items():
            file = await astore.put(source, owner="alice", project="p1")
            assert (file.size, file.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest()), name
            if "file" in name or "upload" in name or "path" in name:
                assert file.filename == ("take.wav" if "open" not in name else "audio"), name
            await astore.delete(file)

    asyncio.run(put_all())


def test_a_stream_tells_its_length_and_gives_every_byte(astore: AsyncAudioStore) -> None:
    async def read() -> None:
        take = await astore.put(trickle(CONTENT), owner="alice")
        stream = await astore.stream(take)
        assert stream.length == len(CONTENT)
        assert await everything(stream) == CONTENT
        assert await everything(stream) == b""
        part = await astore.stream(take.id, 5, 15, owner="alice")
        assert (part.length, await everything(part)) == (10, CONTENT[5:15])

    asyncio.run(read())


def test_one_stream_is_the_source_of_another_put_and_nothing_locks_up(make: MakeStore) -> None:
    async def copy_all() -> None:
        astore = make(workers=1, uploads=2)
        take = await astore.put(CONTENT, owner="alice")
        streams = [await astore.stream(take) for _ in range(6)]
        copies = await asyncio.gather(*(astore.put(each, owner="bob") for each in streams))
        assert {each.sha256 for each in copies} == {take.sha256}

    asyncio.run(copy_all())


def test_no_more_is_read_than_is_being_stored() -> None:
    """Back-pressure: a source of more bytes than memory is asked for one block at a time."""
    astore = AsyncAudioStore(AudioStore(Counting(), MemoryCatalog()))
    ahead = list[int]()

    async def many() -> AsyncIterator[bytes]:
        for given in range(100):
            ahead.append(given * CHUNK)
            yield bytes(CHUNK)

    async def put() -> None:
        await astore.close()
        tracemalloc.start()
        with pytest.raises(Unavailable):
            await astore.put(many(), owner="alice")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * CHUNK
        assert len(ahead) == 100

    asyncio.run(put())


class Counting(MemoryBackend):
    def write(self, *_: Any, **__: Any) -> Any:
        raise Unavailable("nothing is kept here")


def test_too_much_is_refused_before_the_source_is_read_to_its_end(make: MakeStore) -> None:
    asked = list[int]()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            asked.append(1)
            yield bytes(CHUNK)

    async def put() -> None:
        astore = make(quota=FixedQuota(total=2 * CHUNK))
        with pytest.raises(QuotaExceeded):
            await astore.put(endless(), owner="alice")
        assert len(asked) == 3
        assert (await astore.usage("alice")).reserved == 0

    asyncio.run(put())


def test_what_the_source_raises_comes_back_as_it_is_and_nothing_is_stored(astore: AsyncAudioStore) -> None:
    class Hung(Exception):
        """The client's end is gone."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise Hung

    async def text() -> AsyncIterator[Any]:
        yield "text"

    async def put() -> None:
        with pytest.raises(Hung):
            await astore.put(broken(), owner="alice")
        with pytest.raises(TypeError, match="gives bytes, not str"):
            await astore.put(text(), owner="alice")
        with pytest.raises(UnsupportedAudio, match="no bytes"):
            await astore.put(trickle(), owner="alice")
        assert (await astore.usage("alice")).used == 0
        assert (await astore.audit()).ok

    asyncio.run(put())


@pytest.mark.parametrize("kind", ["memory", "disk"])  # Supabase serves its own links
def test_served_it_plays_seeks_and_is_closed(make: MakeStore) -> None:
    async def play() -> None:
        astore = make()
        take = await astore.put(CONTENT, owner="alice", filename="take.wav")
        token = (await astore.url(take)).rpartition("/")[2]
        whole = await astore.serve(token, body=trickle())
        assert (whole.status, await everything(whole.body)) == (200, CONTENT)
        async with await astore.serve(token, "GET", {"Range": "bytes=7-9"}) as part:
            assert (part.status, part.headers["Content-Length"]) == (206, "3")
            assert await everything(part.body) == CONTENT[7:10]
        head = await astore.serve(token, "HEAD")
        assert (head.status, head.body.length, await everything(head.body)) == (200, 0, b"")
        assert (await astore.serve("no token")).status == 403

    asyncio.run(play())


class Watched(MemoryBackend):
    """Tells which streams are still open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        inner = super().read(key, start, end)
        self.open += 1

        def close() -> None:
            self.open -= 1
            inner.close()

        return ByteStream(inner, inner.length, close)


@pytest.mark.parametrize("way", ["aclose", "with", "end", "dropped"])
def test_a_stream_lets_go_of_what_is_behind_it(way: str) -> None:
    backend = Watched()
    astore = AsyncAudioStore(AudioStore(backend, MemoryCatalog()))

    async def read() -> None:
        take = await astore.put(CONTENT, owner="alice")
        stream = await astore.stream(take)
        assert await anext(stream)
        assert backend.open == 1
        if way == "aclose":
            await stream.aclose()
            await stream.aclose()
        elif way == "with":
            async with stream:
                pass
        elif way == "end":
            await everything(stream)
        else:
            del stream
            gc.collect()
            await asyncio.sleep(0)
        await astore.close()
        assert backend.open == 0

    asyncio.run(read())


def test_dropped_after_its_loop_a_stream_still_lets_go() -> None:
    backend = Watched()
    astore = AsyncAudioStore(AudioStore(backend, MemoryCatalog()))

    async def begin() -> Any:
        return await astore.stream(await astore.put(CONTENT, owner="alice"))

    stream = asyncio.run(begin())
    assert stream.length
    del stream
    gc.collect()
    assert backend.open == 0
    asyncio.run(astore.close())


def test_pages_come_one_at_a_time(astore: AsyncAudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiostore.store.reading.PAGE", 2)

    async def walk() -> None:
        ids = [(await astore.put(b"bytes", owner="alice", section=n)).id for n in range(5)]
        assert [each.id async for each in astore.list(owner="alice")] == ids
        assert [each.id async for each in astore.list(owner="alice", after=ids[3])] == ids[4:]

    asyncio.run(walk())
