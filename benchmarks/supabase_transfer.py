"""One large file up and down: SupabaseBackend, storage3 and curl, over the same loopback wire, in the same run.

    python -m benchmarks.supabase_transfer --size="500 MB" --rounds=5

Each measurement is a process of its own, which connects once before its clock starts; memory is the peak above what it
had then. "sockets" is the floor: two calls of the kernel, no HTTP. A caller's own file is hashed again while it is sent
("hashing"); one of the staging place is not. The aim: at most 1.15 times curl's wall time, and 32 MiB.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from audiostore.backends.supabase import SupabaseBackend
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.sizes import format_size, parse_size
from benchmarks._wire import BLOCK, ROOT, peak, spread, wire, zeros

KEY, BUCKET = "alice/book.wav", "audio-files"
WAYS = {
    "up": ("curl", "sockets", "backend", "backend, hashing", "backend, TUS", "storage3"),
    "down": ("curl", "sockets", "backend", "storage3"),
}


def use_curl(url: str, file: Path, way: str) -> Callable[[], object]:
    address = f"{url}/storage/v1/object/{BUCKET}/{KEY}"
    quiet = ["curl", "-s", "-S", "--fail", "--http1.1", "-H", "Expect:", "-o", "/dev/null"]
    up = [*quiet, "-X", "POST", "-T", str(file), address]
    return lambda: subprocess.run(up if way == "up" else [*quiet, address], check=True)


def use_sockets(url: str, file: Path, way: str) -> Callable[[], object]:
    size, place = file.stat().st_size, urlsplit(url)
    verb, length = ("POST", size) if way == "up" else ("GET", 0)
    head = f"{verb} /storage/v1/object/{BUCKET}/{KEY} HTTP/1.1\r\nHost: sink\r\nContent-Length: {length}\r\n\r\n"
    connection = socket.create_connection((place.hostname or "", place.port or 0))

    def act() -> None:
        connection.sendall(head.encode())
        if way == "up":
            with file.open("rb") as opened:
                connection.sendfile(opened)
            connection.recv(BLOCK)
            return
        buffer, left = bytearray(BLOCK), size
        while left > 0 and (count := connection.recv_into(buffer)):
            left -= count

    return act


def use_backend(url: str, file: Path, way: str, tus_threshold: str, *, disposable: bool = True) -> Callable[[], object]:
    import hashlib

    backend = SupabaseBackend(url, "key", BUCKET, tus_threshold=tus_threshold)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    staged = Staged(
        path=file,
        size=file.stat().st_size,
        sha256=digest,
        content_type="audio/wav",
        filename="b",
        disposable=disposable,
    )
    backend.stat(Key(KEY))  # connects, and loads what is loaded at first use

    def down() -> None:
        with backend.read(Key(KEY)) as stream:
            for _ in stream:
                pass

    return (lambda: backend.write(Key(KEY), staged)) if way == "up" else down


def use_storage3(url: str, file: Path, way: str) -> Callable[[], object]:
    import warnings

    warnings.simplefilter("ignore")
    from storage3 import SyncStorageClient

    bucket = SyncStorageClient(f"{url}/storage/v1/", {"Authorization": "Bearer key"}).from_(BUCKET)
    bucket.exists(KEY)
    return (lambda: bucket.upload(KEY, file)) if way == "up" else (lambda: bucket.download(KEY))


def measure_here(who: str, way: str, url: str, file: Path) -> None:
    """Measure one transfer in this process, and print it."""
    act = {
        "curl": lambda: use_curl(url, file, way),
        "sockets": lambda: use_sockets(url, file, way),
        "backend": lambda: use_backend(url, file, way, "1 TB"),
        "backend, hashing": lambda: use_backend(url, file, way, "1 TB", disposable=False),
        "backend, TUS": lambda: use_backend(url, file, way, "1 MB"),
        "storage3": lambda: use_storage3(url, file, way),
    }[who]()
    before, began = peak(), time.perf_counter()
    act()
    print(json.dumps({"seconds": time.perf_counter() - began, "bytes": peak() - before}))


def measure(who: str, way: str, url: str, file: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.supabase_transfer", "--one", who, way, url, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    told: dict[str, float] = json.loads(ran.stdout)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="500 MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        who, way, url, file = options.one
        measure_here(who, way, url, Path(file))
        return
    size = parse_size(options.size)
    print(f"{format_size(size)}, {options.rounds} rounds, interleaved; least / median / most\n")
    print("| way | client | seconds | x curl in the same round | memory above idle |\n|---|---|---|---|---|")
    with zeros(size) as file, wire(file) as url:
        for way, clients in WAYS.items():
            rounds = [{who: measure(who, way, url, file) for who in clients} for _ in range(options.rounds)]
            for who in clients:
                report(way, who, rounds)


def report(way: str, who: str, rounds: list[dict[str, dict[str, float]]]) -> None:
    seconds = spread([each[who]["seconds"] for each in rounds])
    ratio = spread([each[who]["seconds"] / each["curl"]["seconds"] for each in rounds])
    memory = "" if who == "curl" else format_size(int(max(each[who]["bytes"] for each in rounds)))
    print(f"| {way} | {who} | {seconds} | {ratio} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
