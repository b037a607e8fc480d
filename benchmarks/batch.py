"""Many small files: ``put_many``, ``download_many``, ``delete_many`` against the loop one would write, near and far.

    python -m benchmarks.batch --files=200 --rounds=3

Loop and batches take turns, so a slow moment meets all of them. The catalog is SQLite on disk; the other end of the
wire is a process of its own, and each request to it waits for the latency.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from audiostore import AsyncAudioStore, AudioFile, AudioStore, Unlimited
from audiostore.backends.local import LocalBackend
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.protocols import Backend
from audiostore.sizes import format_size, parse_size
from benchmarks._wire import spread, wire, zeros

Seconds: TypeAlias = Mapping[str, float]
STEPS = ("put", "download", "delete")


def timed(store: AudioStore, folder: Path, acts: Sequence[Callable[[], object]]) -> Seconds:
    told = dict[str, float]()
    for step, act in zip(STEPS, acts, strict=True):
        began = time.perf_counter()
        act()
        told[step] = time.perf_counter() - began
        assert (store.usage("alice").files > 0) == (step != "delete")
    assert any(folder.iterdir())
    for each in folder.iterdir():
        each.unlink()
    return told


def loop(store: AudioStore, source: Path, count: int, folder: Path) -> Seconds:
    files = list[AudioFile]()
    return timed(
        store,
        folder,
        [
            lambda: files.extend([store.put(source, owner="alice") for _ in range(count)]),
            lambda: [store.download_to(each, folder / each.id) for each in files],
            lambda: one_by_one(store.delete, files),
        ],
    )


def one_by_one(delete: Callable[[AudioFile], None], files: Sequence[AudioFile]) -> None:
    for each in files:
        delete(each)


def batches(store: AudioStore, source: Path, count: int, folder: Path, workers: int) -> Seconds:
    files = list[AudioFile]()
    return timed(
        store,
        folder,
        [
            lambda: files.extend(store.put_many([source] * count, owner="alice", workers=workers).results()),
            lambda: store.download_many([(each, folder / each.id) for each in files], workers=workers).results(),
            lambda: store.delete_many(files).results(),
        ],
    )


def awaited(store: AudioStore, source: Path, count: int, folder: Path, workers: int) -> Seconds:
    astore, files, run = AsyncAudioStore(store, workers=workers), list[AudioFile](), asyncio.run

    async def put() -> None:
        files.extend((await astore.put_many([source] * count, owner="alice", workers=workers)).results())

    async def download() -> None:
        (await astore.download_many([(each, folder / each.id) for each in files], workers=workers)).results()

    async def delete() -> None:
        (await astore.delete_many(files)).results()

    return timed(store, folder, [lambda: run(put()), lambda: run(download()), lambda: run(delete())])


def compare(world: str, backend: Backend, source: Path, count: int, rounds: int) -> None:
    ways: Mapping[str, Callable[[AudioStore, Path, int, Path], Seconds]] = {
        "loop": loop,
        "4 workers": partial(batches, workers=4),
        "8 workers": partial(batches, workers=8),
        "16 workers": partial(batches, workers=16),
        "awaited, 16 workers": partial(awaited, workers=16),
    }
    told: list[dict[str, Seconds]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "written")
        folder.mkdir()
        catalog = SQLiteCatalog(Path(name, "catalog.sqlite3"))
        with AudioStore(backend, catalog, quota=Unlimited()) as store:
            loop(store, source, 2, folder)  # loads what is loaded at first use
            told.extend({way: run(store, source, count, folder) for way, run in ways.items()} for _ in range(rounds))
    for step in STEPS:
        for way in ways:
            if step == "delete" and way in {"4 workers", "16 workers"}:
                continue  # it needs none: one request does it
            seconds = spread([each[way][step] for each in told])
            ratio = spread([each["loop"][step] / each[way][step] for each in told], 1)
            print(f"| {world} | {step} | {way} | {seconds} | {ratio} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--size", default="40 kB")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = parse_size(options.size)
    print(
        f"{options.files} files of {format_size(size)}, {options.rounds} rounds, interleaved; least / median / most\n"
    )
    print("| where | what | how | seconds | times as fast as the loop in the same round |\n|---|---|---|---|---|")
    with zeros(size) as source:
        with tempfile.TemporaryDirectory() as folder:
            compare("disk", LocalBackend(folder), source, options.files, options.rounds)
        for latency in (0, 40):
            with wire(source, latency / 1000) as url:
                backend = SupabaseBackend(url, "key")
                compare(f"Supabase, {latency} ms", backend, source, options.files, options.rounds)


if __name__ == "__main__":
    main()
