"""How long a local put takes, as a ratio to ``cp a b && sync b && sha256sum b`` in the same run.

    python benchmarks/local_put.py [--folder DIR] [--sizes 1,50,1024] [--repeat 7]

Both sides end with the bytes safe on the disk and their sha256 known; ours has also reserved, recorded and counted
them. They take turns, so that a slow moment of the disk meets both. Peak memory is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from audiostore import AudioFile, AudioStore, Unlimited

MB = 1024 * 1024
# The peak that getrusage tells is that of whoever started the process, if it was larger; the kernel's own high-water
# mark can be set back (Linux).
PEAK = """
import pathlib, re, sys
from audiostore import AudioStore, Unlimited

def memory(field):
    return int(re.search(field + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 1024

with AudioStore.local(sys.argv[1], quota=Unlimited()) as store:
    store.put(b"warm", owner="bench")
    idle = memory("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    store.delete(store.put(sys.argv[2], owner="bench"))
    print(memory("VmHWM") - idle)
"""


def timed(work: Callable[[], object]) -> tuple[float, object]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def floor(source: Path, folder: Path) -> float:
    target = folder / "floor.bin"
    command = f"cp {source} {target} && sync {target} && sha256sum {target}"
    seconds, _ = timed(lambda: subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL))
    target.unlink()
    return seconds


def ours(store: AudioStore, source: Path, *, as_file: bool) -> float:
    def put() -> AudioFile:
        if not as_file:
            return store.put(source, owner="bench")
        with source.open("rb") as file:
            return store.put(file, owner="bench")

    seconds, file = timed(put)
    assert isinstance(file, AudioFile)
    store.delete(file)
    return seconds


def row(store: AudioStore, folder: Path, megabytes: int, repeat: int, *, as_file: bool) -> str:
    source = folder / "source.bin"
    with source.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(MB))
        file.flush()
        os.fsync(file.fileno())
    pairs = [(floor(source, folder), ours(store, source, as_file=as_file)) for _ in range(repeat)]
    ratios = [put / copy for copy, put in pairs]
    copies, puts = ([pair[side] for pair in pairs] for side in (0, 1))
    peak = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder / "store"), str(source)], check=True, capture_output=True, text=True
    ).stdout
    return (
        f"| {megabytes} MB, {'file object' if as_file else 'path'} | {statistics.median(copies):.3f} s "
        f"| {statistics.median(puts):.3f} s | **{statistics.median(ratios):.2f}** "
        f"| {min(ratios):.2f} - {max(ratios):.2f} | {float(peak):.1f} MiB |"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk that is to be measured")
    arguments.add_argument("--sizes", default="1,50,1024", help="in MB")
    arguments.add_argument("--repeat", type=int, default=7)
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="bench-"))
    print("| put of | cp + sync + sha256sum | put | ratio | spread | peak memory above idle |")
    print("|---|---|---|---|---|---|")
    try:
        with AudioStore.local(folder / "store", quota=Unlimited()) as store:
            store.put(b"warm", owner="bench")
            for size in options.sizes.split(","):
                repeat = options.repeat if int(size) < 500 else min(3, options.repeat)
                for as_file in (False, True):
                    print(row(store, folder, int(size), repeat, as_file=as_file), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
