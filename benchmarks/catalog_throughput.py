"""How many uploads a second SQLiteCatalog accounts for: reserve + commit, by threads and processes.

    python benchmarks/catalog_throughput.py [seconds per row]

Each caller has an owner of its own half of the time and shares one the other half: owners do not block one another any
more than SQLite's single writer does anyway.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Limits, Place
from audiostore.protocols import Request, Written

WRITTEN = Written(size=1_000, sha256="ab" * 32, content_type="audio/wav")


def request(owner: str) -> Request:
    file = new_id()
    return Request(
        id=file,
        owner=owner,
        place=Place("p1", "1", "2"),
        filename="take.wav",
        key=Key(f"{owner}/p1/chapter_1/section_2/{file}.wav"),
        backend="local",
        size=1_000,
        content_type="audio/wav",
        limits=Limits(total=10**15),
        ttl=timedelta(minutes=15),
        metadata={},
    )


def work(path: Path, threads: int, seconds: float) -> list[float]:
    """Upload until the time is over; give how long each one took, in seconds."""
    catalog = SQLiteCatalog(path)
    took: list[float] = []
    end = time.monotonic() + seconds

    def one(number: int) -> None:
        turn = 0
        while (begin := time.monotonic()) < end:
            turn += 1
            asked = request("everyone" if turn % 2 else f"owner-{number}")
            catalog.commit(catalog.reserve(asked).id, WRITTEN, limits=asked.limits)
            took.append(time.monotonic() - begin)

    workers = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    catalog.close()
    return took


def row(name: str, seconds: float, took: list[float]) -> None:
    took.sort()
    p50, p99 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99))
    print(f"{name:<24} {len(took) / seconds:8.0f} uploads/s   p50 {p50:6.1f} ms   p99 {p99:7.1f} ms", flush=True)


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for threads in (1, 8, 32):
            row(f"{threads} threads", seconds, work(Path(folder) / f"{threads}.db", threads, seconds))
        for threads in (1, 8):
            path = str(Path(folder) / f"4x{threads}.db")
            command = [sys.executable, __file__, "--worker", path, str(threads), str(seconds)]
            workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
            outputs = [worker.communicate()[0] for worker in workers]
            assert all(worker.returncode == 0 for worker in workers)
            row(f"4 processes x {threads} threads", seconds, [float(each) for out in outputs for each in out.split()])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        print(*work(Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
