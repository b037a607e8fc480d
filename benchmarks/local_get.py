"""How long it takes to get a file off the disk, as a ratio to ``cp`` (into a file) or ``cat`` (into nothing).

    python -m benchmarks.local_get --size="200 MB" --rounds=7

They take turns, on a file that is in the page cache. ``download_to`` checks the sha256 while it copies, so its floor is
``cp a b && sha256sum a``. Memory is the peak above what the process had before, in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from audiostore import AudioFile, AudioStore, Unlimited
from audiostore.sizes import format_size, parse_size
from benchmarks._wire import peak, spread, zeros

MB = 1024 * 1024


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shell(command: str) -> float:
    return seconds(lambda: subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL))


def ways(store: AudioStore, file: AudioFile, folder: Path) -> dict[str, Callable[[], object]]:
    target = folder / "target.bin"

    def download() -> None:
        target.unlink(missing_ok=True)
        store.download_to(file, target)

    def stream() -> int:
        with store.stream(file) as chunks:
            return sum(map(len, chunks))

    def read() -> int:
        with store.open(file) as opened:
            return sum(len(block) for block in iter(lambda: opened.read(MB), b""))

    return {"download_to": download, "stream": stream, "open().read(1 MiB)": read}


def memory(folder: str, id: str, way: str) -> None:
    """Print the peak of one way, above what was there before."""
    with AudioStore.local(folder, quota=Unlimited()) as store:
        work = ways(store, store.find(id, owner="bench"), Path(folder).parent)[way]
        before = peak()
        work()
        print((peak() - before) / MB)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="200 MB")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        memory(*options.one)
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="bench-") as place:
        folder = Path(place)
        with zeros(parse_size(options.size)) as source, AudioStore.local(folder / "s", quota=Unlimited()) as store:
            file = store.put(source, owner="bench")
            bytes_of_it = folder / "s" / str(file.key)
            copy = f"rm -f {folder}/copy; cp {bytes_of_it} {folder}/copy && sha256sum {bytes_of_it}"
            floors = {"download_to": copy, "stream": f"cat {bytes_of_it}", "open().read(1 MiB)": f"cat {bytes_of_it}"}
            print(f"{format_size(file.size)}, {options.rounds} rounds, interleaved; least / median / most\n")
            print("| way | seconds | ratio to its floor | peak memory above idle |\n|---|---|---|---|")
            rounds = {
                way: [(shell(floors[way]), seconds(work)) for _ in range(options.rounds)]
                for way, work in ways(store, file, folder).items()
            }
            for way, pairs in rounds.items():
                told = subprocess.run(
                    [sys.executable, "-m", "benchmarks.local_get", "--one", str(folder / "s"), file.id, way],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                ratio = statistics.median(ours / floor for floor, ours in pairs)
                print(
                    f"| {way} | {spread([ours for _, ours in pairs])} | **{ratio:.2f}** "
                    f"{spread([ours / floor for floor, ours in pairs])} | {float(told):.1f} MiB |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
