"""One large file up and down: SupabaseBackend, storage3 and curl, over the same loopback server, in the same run.

    python benchmarks/supabase_transfer.py --size "500 MB" --rounds 3

The server takes bytes and forgets them, and gives zeros: what is measured is the client. Each measurement is a process
of its own, which connects once before its clock starts; memory is the peak above what it had then. A caller's own file
is hashed again while it is sent ("hashing"); one of the staging place is not. The aim: at most
1.15 times curl's wall time, and 32 MiB.
"""

from __future__ import annotations

import argparse
import json
import re
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from audiostore.backends.supabase import SupabaseBackend
from audiostore.keys import Key
from audiostore.models import Staged
from audiostore.sizes import format_size, parse_size

KEY, BUCKET = "alice/book.wav", "audio-files"
WAYS = ("curl", "backend", "backend, hashing", "backend, TUS", "storage3")


class Sink(BaseHTTPRequestHandler):
    """As much of the storage API as one upload and one download need."""

    protocol_version = "HTTP/1.1"
    wbufsize = 256 * 1024
    disable_nagle_algorithm = True
    size = 0
    marks: dict[str, str] = {}  # noqa: RUF012 - one server, one object
    received = 0

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def take(self) -> int:
        left = length = int(self.headers.get("content-length") or 0)
        buffer = memoryview(bytearray(256 * 1024))
        while left and (count := self.rfile.readinto(buffer[: min(left, len(buffer))])):
            left -= count
        return length - left

    def tell(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        taken = self.take()
        Sink.received = taken
        location = f"http://sink/storage/v1/upload/resumable/{'x' * 8}"
        self.tell(201 if "Tus-Resumable" in self.headers else 200, b'{"Key": "k", "Id": "i"}', Location=location)

    def do_PATCH(self) -> None:
        Sink.received = int(self.headers["Upload-Offset"]) + self.take()
        self.tell(204, Upload_Offset=str(Sink.received))

    def do_GET(self) -> None:
        if "/object/info/" in self.path:
            told: dict[str, object] = {
                "size": Sink.received,
                "last_modified": datetime.now(UTC).isoformat(),
                "metadata": {},
            }
            self.tell(200, json.dumps(told).encode())
            return
        self.send_response(200)
        self.send_header("Content-Length", str(Sink.size))
        self.end_headers()
        block, left = bytes(256 * 1024), Sink.size
        while left:
            count = min(left, len(block))
            self.wfile.write(block[:count])
            left -= count


def use_curl(url: str, file: Path, way: str) -> Callable[[], object]:
    address = f"{url}/storage/v1/object/{BUCKET}/{KEY}"
    quiet = ["curl", "-s", "-S", "--fail", "--http1.1", "-H", "Expect:", "-o", "/dev/null"]
    up = [*quiet, "-X", "POST", "-T", str(file), address]
    return lambda: subprocess.run(up if way == "up" else [*quiet, address], check=True)


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
        "backend": lambda: use_backend(url, file, way, "1 TB"),
        "backend, hashing": lambda: use_backend(url, file, way, "1 TB", disposable=False),
        "backend, TUS": lambda: use_backend(url, file, way, "1 MB"),
        "storage3": lambda: use_storage3(url, file, way),
    }[who]()
    before, began = peak(), time.perf_counter()
    act()
    print(json.dumps({"seconds": time.perf_counter() - began, "bytes": peak() - before}))


def peak() -> int:
    # Not ru_maxrss, which a process inherits from a parent that was larger.
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024


def measure(who: str, way: str, url: str, file: Path) -> dict[str, float]:
    ran = subprocess.run(
        [sys.executable, __file__, "--one", who, way, url, str(file)], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(ran.stderr)
    told: dict[str, float] = json.loads(ran.stdout)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="500 MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        who, way, url, file = options.one
        measure_here(who, way, url, Path(file))
        return
    Sink.size = Sink.received = parse_size(options.size)
    socketserver.TCPServer.allow_reuse_address = True
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "book.wav"
        with file.open("wb") as made:
            made.truncate(Sink.size)
        print(f"{format_size(Sink.size)}, median of {options.rounds} rounds, interleaved\n")
        print("| way | client | seconds | x curl | memory above idle |\n|---|---|---|---|---|")
        for way in ("up", "down"):
            report(way, [{who: measure(who, way, url, file) for who in WAYS} for _ in range(options.rounds)])
    server.shutdown()


def report(way: str, rounds: list[dict[str, dict[str, float]]]) -> None:
    for who in WAYS:
        if who in {"backend, hashing", "backend, TUS"} and way == "down":
            continue
        seconds = statistics.median(each[who]["seconds"] for each in rounds)
        ratio = statistics.median(each[who]["seconds"] / each["curl"]["seconds"] for each in rounds)
        memory = "" if who == "curl" else format_size(int(max(each[who]["bytes"] for each in rounds)))
        print(f"| {way} | {who} | {seconds:.2f} | {ratio:.2f} | {memory} |")


if __name__ == "__main__":
    main()
