"""The other end of the wire: as much of the storage API as uploads and downloads need, in a process of its own.

It takes bytes and forgets them, and sends zeros straight from the kernel: what is measured is the client.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socketserver
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BLOCK = 256 * 1024
PREFIX = "/storage/v1"


class Sink(BaseHTTPRequestHandler):
    """Remembers of each object its size. ``source`` is the file that every download gets."""

    protocol_version = "HTTP/1.1"
    wbufsize = BLOCK
    disable_nagle_algorithm = True
    latency = 0.0
    source = 0
    sizes: dict[str, int] = {}  # noqa: RUF012 - one server, one bucket

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def take(self) -> int:
        left = length = int(self.headers.get("content-length") or 0)
        buffer = memoryview(bytearray(min(BLOCK, length)))
        while left and (count := self.rfile.readinto(buffer[: min(left, BLOCK)])):
            left -= count
        time.sleep(self.latency)
        return length - left

    def tell(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        taken = self.take()
        if "Tus-Resumable" not in self.headers:
            self.sizes[self.path.rpartition("/object/")[2]] = taken
            self.tell(200, b'{"Key": "k", "Id": "i"}')
            return
        facts = dict(each.split() for each in self.headers["Upload-Metadata"].split(","))
        bucket, key = (base64.b64decode(facts[name]).decode() for name in ("bucketName", "objectName"))
        upload = base64.urlsafe_b64encode(f"{bucket}/{key}".encode()).decode()
        self.tell(201, Location=f"http://sink{PREFIX}/upload/resumable/{upload}")

    def do_PATCH(self) -> None:
        reached = int(self.headers["Upload-Offset"]) + self.take()
        self.sizes[base64.urlsafe_b64decode(self.path.rpartition("/")[2]).decode()] = reached
        self.tell(204, Upload_Offset=str(reached))

    def do_DELETE(self) -> None:
        names = json.loads(self.rfile.read(int(self.headers["content-length"])))["prefixes"]
        time.sleep(self.latency)
        self.tell(200, json.dumps([{"name": each} for each in names]).encode())

    def do_GET(self) -> None:
        self.take()
        size = os.fstat(self.source).st_size
        _, info, name = self.path.rpartition("/object/info/")
        if info:
            told: dict[str, object] = {
                "size": self.sizes.get(name, size),
                "last_modified": datetime.now(UTC).isoformat(),
                "metadata": {},
            }
            self.tell(200, json.dumps(told).encode())
            return
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.flush()
        sent = 0
        while sent < size:
            sent += os.sendfile(self.connection.fileno(), self.source, sent, size - sent)


class Wire(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hangs up is no news; everything else is.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def run(source: str, latency: str) -> None:
    socketserver.TCPServer.allow_reuse_address = True
    socketserver.TCPServer.request_queue_size = 128
    Sink.source, Sink.latency = os.open(source, os.O_RDONLY), float(latency)
    server = Wire(("127.0.0.1", 0), Sink)
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextmanager
def wire(source: Path, latency: float = 0.0) -> Generator[str]:
    """Run the other end; give its address. Each request waits *latency* seconds, as one round trip far away does."""
    command = [sys.executable, "-m", "benchmarks._wire", str(source), str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        try:
            yield f"http://127.0.0.1:{int(other.stdout.readline())}"
        finally:
            other.kill()


@contextmanager
def zeros(size: int) -> Generator[Path]:
    """Make a file of *size* bytes that are really there, and in the page cache."""
    with tempfile.NamedTemporaryFile() as made:
        for at in range(0, size, BLOCK):
            made.write(bytes(min(BLOCK, size - at)))
        made.flush()
        yield Path(made.name)


def peak() -> int:
    """The most memory this process ever had; not ``ru_maxrss``, which is inherited from a parent that was larger."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024


def spread(numbers: Sequence[float], digits: int = 2) -> str:
    """Least, median and most: this machine may not be ours alone."""
    return " / ".join(f"{each:.{digits}f}" for each in (min(numbers), statistics.median(numbers), max(numbers)))


if __name__ == "__main__":
    run(*sys.argv[1:])
