"""Many clients of one asynchronous store at once, and a watch on the event loop's thread: it must never block.

    python -m tests.aio.load --clients 64 --seconds 10

What is watched: each call across a seam (backend, catalog), the interpreter's own audit events (files, sockets,
databases, processes, sleeps), and, with ``--slow``, asyncio's log of callbacks that took longer than so many seconds.
It prints a report; ``blocked`` and ``slow`` must be empty.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

from starlette.datastructures import UploadFile

from audiostore import AsyncAudioStore, AudioFile, AudioStore, Unlimited
from audiostore.backends.local import LocalBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.protocols import Backend, Catalog
from audiostore.streams import ByteStream

BLOCKING = (
    *("open", "os.", "shutil.", "tempfile.", "fcntl.", "sqlite3.", "subprocess.", "time.sleep"),
    *("socket.connect", "socket.getaddrinfo", "socket.sendto", "http.client", "ctypes.dlopen", "import"),
)
SIZE = 300_000
NOISE = random.Random(0).randbytes(SIZE)

Deed: TypeAlias = Callable[["Client"], Awaitable[object]]


@dataclass
class Watch:
    """What was done in the watched thread that may block."""

    thread: int | None = None
    blocked: Counter[str] = field(default_factory=Counter[str])

    def note(self, what: str) -> None:
        if threading.get_ident() == self.thread:
            self.blocked[what] += 1

    def part(self, part: Any) -> Any:
        return _Watched(part, self)


WATCH = Watch()


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    # asyncio's own log of slow callbacks looks at the source.
    if WATCH.thread is not None and event.startswith(BLOCKING) and not str(arguments[:1]).endswith(".py',)"):
        WATCH.note(f"{event} {arguments[:1]}")


sys.addaudithook(_hook)  # there is no way to remove one


class _Watched:
    """A part that tells when it is called."""

    def __init__(self, part: Any, watch: Watch) -> None:
        self._part = part
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._watch.note(f"{type(self._part).__name__}.{name}")
            answer = found(*arguments, **options)
            return self._stream(answer) if isinstance(answer, ByteStream) else answer

        return call

    def _stream(self, stream: ByteStream) -> ByteStream:
        def chunks() -> Any:
            for chunk in stream:
                self._watch.note("a chunk")
                yield chunk

        def close() -> None:
            self._watch.note("closing a stream")
            stream.close()

        return ByteStream(chunks(), stream.length, close)


class Client:
    """One that puts, plays, replaces and deletes files of its own."""

    def __init__(self, astore: AsyncAudioStore, number: int, folder: Path) -> None:
        self.astore = astore
        self.owner = f"owner {number}"
        self.folder = folder
        self.chance = random.Random(number)
        self.files: list[AudioFile] = []

    async def live(self, until: Callable[[], bool], done: Counter[str]) -> None:
        while not until():
            deed = self.chance.choice(DEEDS if self.files else DEEDS[:3])
            await deed(self)
            done[deed.__name__] += 1

    def content(self) -> bytes:
        return NOISE[self.chance.randrange(SIZE) :]

    def pick(self) -> AudioFile:
        return self.chance.choice(self.files)


async def put(client: Client) -> None:
    client.files.append(await client.astore.put(client.content(), owner=client.owner, filename="take.wav"))


async def put_a_stream(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0)
            yield client.content()

    client.files.append(await client.astore.put(body(), owner=client.owner))


async def put_an_upload(client: Client) -> None:
    spooled = await asyncio.to_thread(tempfile.SpooledTemporaryFile[bytes], 1000)
    await asyncio.to_thread(spooled.write, client.content())
    await asyncio.to_thread(spooled.seek, 0)
    client.files.append(await client.astore.put(UploadFile(cast("Any", spooled), filename="a.wav"), owner=client.owner))
    await asyncio.to_thread(spooled.close)


async def replace(client: Client) -> None:
    await client.astore.replace(client.pick(), client.content())


async def get(client: Client) -> None:
    await client.astore.get(client.pick())


async def play(client: Client) -> None:
    token = (await client.astore.url(client.pick())).rpartition("/")[2]
    async with await client.astore.serve(token, "GET", {"Range": "bytes=100-"}) as reply:
        async for _ in reply.body:
            if client.chance.random() < 0.3:
                break


async def stop_listening(client: Client) -> None:
    stream = await client.astore.stream(client.pick())
    await anext(stream, None)  # and let it drop


async def read_here_and_there(client: Client) -> None:
    file = await client.astore.open(client.pick())
    await file.seek(client.chance.randrange(file.size))
    await file.read(100)
    if client.chance.random() < 0.5:
        await file.aclose()  # else let it drop


async def look(client: Client) -> None:
    assert {each.id for each in client.files} == {each.id async for each in client.astore.list(owner=client.owner)}
    assert (await client.astore.usage(client.owner)).files == len(client.files)


async def hang_up(client: Client) -> None:
    task = asyncio.create_task(client.astore.put([client.content()] * 5, owner=client.owner))
    for _ in range(client.chance.randrange(9)):
        await asyncio.sleep(0)
    task.cancel()
    (put,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(put, AudioFile):  # it was done already
        client.files.append(put)
    else:
        assert isinstance(put, asyncio.CancelledError)


async def batch(client: Client) -> None:
    files = (await client.astore.put_many([b"one", b"two"], owner=client.owner, workers=2)).results()
    targets = [(each, client.folder / f"{each.id}.wav") for each in files]
    assert (await client.astore.download_many(targets, workers=2)).ok
    assert (await client.astore.delete_many(files)).ok


async def delete(client: Client) -> None:
    file = client.pick()
    client.files.remove(file)
    await client.astore.delete(file)


async def sweep(client: Client) -> None:
    await client.astore.sweep()


DEEDS: Sequence[Deed] = (
    *(put, put_a_stream, put_an_upload),
    *(replace, get, play, stop_listening, read_here_and_there, look, hang_up, batch, delete, sweep),
)


async def load(store: AudioStore, folder: Path, *, clients: int, until: Callable[[], bool]) -> Counter[str]:
    """Let so many *clients* work at once; everything must agree in the end."""
    done = Counter[str]()
    async with AsyncAudioStore(store, workers=8, uploads=8) as astore:
        WATCH.blocked.clear()
        WATCH.thread = threading.get_ident()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(clients):
                    group.create_task(Client(astore, number, folder).live(until, done))
        finally:
            WATCH.thread = None
        report = await astore.audit()
        assert report.ok, report.drift
        assert all(each.reserved == 0 for each in [await astore.usage(f"owner {n}") for n in range(clients)])
    return done


def watched_store(root: Path) -> AudioStore:
    backend, catalog = LocalBackend(root, fsync=False), SQLiteCatalog(root / ".audiostore" / "catalog.sqlite3")
    parts = cast("Backend", WATCH.part(backend)), cast("Catalog", WATCH.part(catalog))
    return AudioStore(*parts, quota=Unlimited(), secret="a secret of the load")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--slow", type=float, default=0.1)
    options = parser.parse_args()
    slow = list[str]()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            slow.append(record.getMessage())

    logging.getLogger("asyncio").addHandler(Keep(logging.WARNING))
    with tempfile.TemporaryDirectory() as name, asyncio.Runner(debug=True) as runner:
        runner.get_loop().slow_callback_duration = options.slow
        end, folder = time.monotonic() + options.seconds, Path(name)
        store = watched_store(folder / "audio")
        done = runner.run(load(store, folder, clients=options.clients, until=lambda: time.monotonic() > end))
    sys.stdout.write(json.dumps({"done": done, "blocked": WATCH.blocked, "slow": slow}, indent=2) + "\n")


if __name__ == "__main__":
    main()
