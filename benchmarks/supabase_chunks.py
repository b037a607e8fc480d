"""One request against resumable chunks of several sizes, near and far: what resuming costs where nothing breaks.

    python -m benchmarks.supabase_chunks --rounds=5

Milliseconds of one write, over loopback, where each request waits for the latency once. A real line adds the same time
for the bytes to every column.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import closing
from pathlib import Path

from audiostore.backends.supabase import SupabaseBackend
from audiostore.keys import Key
from audiostore.models import Staged
from benchmarks._wire import wire, zeros

MIB = 1024 * 1024
SIZES = (1, 6, 20, 50, 200)
CHUNKS = (6, 16, 32, 64)


def write(backend: SupabaseBackend, file: Path, size: int) -> float:
    # Of the staging place, so the digest is not looked at again.
    staged = Staged(path=file, size=size, sha256="0" * 64, content_type="audio/wav", filename="b", disposable=True)
    began = time.perf_counter()
    backend.write(Key("alice/book.wav"), staged)
    return 1000 * (time.perf_counter() - began)


def row(url: str, megabytes: int, rounds: int) -> list[float]:
    """Give the medians of one size: one request, then each size of chunks."""
    size = megabytes * 1_000_000
    backends = [
        SupabaseBackend(url, "key", tus_threshold="1 TB"),
        *(SupabaseBackend(url, "key", tus_threshold=0, chunk_size=chunk * MIB) for chunk in CHUNKS),
    ]
    with zeros(size) as file:
        for each in backends:
            each.stat(Key("alice/book.wav"))  # connects
        taken = [[write(each, file, size) for each in backends] for _ in range(rounds)]
    for each in backends:
        with closing(each):
            pass
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    columns = ["one request", *(f"chunks of {chunk} MiB" for chunk in CHUNKS)]
    print(f"median milliseconds of {rounds} rounds, interleaved\n")
    print(f"| latency | size | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
    for latency in (0, 40):
        with zeros(1) as file, wire(file, latency / 1000) as url:
            for megabytes in SIZES:
                cells = " | ".join(f"{each:.0f}" for each in row(url, megabytes, rounds))
                print(f"| {latency} ms | {megabytes} MB | {cells} |", flush=True)


if __name__ == "__main__":
    main()
