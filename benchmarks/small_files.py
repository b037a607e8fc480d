"""Many small files through ``AudioStore.put`` into Supabase Storage, with several workers, near and far.

    python -m benchmarks.small_files --files=500 --rounds=3

The catalog is SQLite on disk; the other end of the wire is a process of its own. Each request waits for the latency.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audiostore import AudioStore
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.sizes import format_size, parse_size
from benchmarks._wire import spread, wire, zeros

WORKERS = (1, 4, 8, 16)


def put_all(url: str, data: bytes, files: int, workers: int) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        AudioStore(SupabaseBackend(url, "key"), SQLiteCatalog(Path(folder, "catalog.db"))) as store,
        ThreadPoolExecutor(workers) as pool,
    ):

        def put(number: int) -> None:
            store.put(data, owner="alice", filename=f"{number}.wav")

        list(pool.map(put, range(-workers, 0)))  # connects, and loads what is loaded at first use
        began = time.perf_counter()
        list(pool.map(put, range(files)))
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--size", default="40 kB")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = b"RIFF" + bytes(parse_size(options.size) - 4)
    told = f"{options.files} files of {format_size(len(data))}, {options.rounds} rounds, interleaved"
    print(f"{told}; least / median / most\n")
    print("| latency | workers | seconds | times as fast as one worker in the same round |\n|---|---|---|---|")
    for latency in (0, 40):
        with zeros(1) as file, wire(file, latency / 1000) as url:
            rounds = [
                {workers: put_all(url, data, options.files, workers) for workers in WORKERS}
                for _ in range(options.rounds)
            ]
        for workers in WORKERS:
            seconds = spread([each[workers] for each in rounds])
            ratio = spread([each[1] / each[workers] for each in rounds], 1)
            print(f"| {latency} ms | {workers} | {seconds} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
