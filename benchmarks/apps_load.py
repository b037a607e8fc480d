"""Both example apps under load: 50 people upload 20 MB each at once, then 50 listen, on gunicorn and on uvicorn.

    python -m benchmarks.apps_load                 # --quick: 4 people and 2 MB, to see that it runs

Each app runs as its README says, in processes of its own, on disk and SQLite; beside it, in turns, a bare endpoint of
the same framework on the same server, which only writes the upload to a file. Memory is that of all the server's
processes, decoders included, sampled; shared pages count once (PSS).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from audiostore.sizes import format_size, parse_size
from benchmarks._bare import FOLDER
from benchmarks._wire import ROOT, spread

SERVERS = {
    "flask": ["gunicorn", "--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--workers", "2", "--threads", "16"],
    "fastapi": ["uvicorn", "--factory", "--host", "127.0.0.1", "--port", "PORT", "--workers", "2"],
}
PIECE = 256 * 1024
MARK = "benchmark-form"


@dataclass
class Memory:
    """Samples what a process and its children take, until it is stopped."""

    process: int
    peak: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._stopped.wait(0.05):
            self.peak = max(self.peak, self.now())

    def stop(self) -> None:
        self._stopped.set()

    def now(self) -> int:
        return sum(map(_pss, _family(self.process)))


def _family(process: int) -> Iterator[int]:
    yield process
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))


def _pss(process: int) -> int:
    with contextlib.suppress(OSError, TypeError):
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


@contextmanager
def served(app: str, factory: str, settings: dict[str, str]) -> Generator[tuple[tuple[str, int], Memory]]:
    """Run the usual server; gives its address and its memory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in SERVERS[app]]
    command = [sys.executable, "-m", *words, factory + ("()" if app == "flask" else "")]
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ} | settings
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        # The server must never wait for somebody to read what it logs.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        _wait_for(port, process)
        memory = Memory(process.pid)
        watching = threading.Thread(target=memory.watch)
        watching.start()
        try:
            yield ("127.0.0.1", port), memory
        finally:
            memory.stop()
            watching.join()
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise SystemExit(f"the server ended with {process.returncode}")


def upload(at: tuple[str, int], token: str, file: Path, number: int) -> dict[str, Any]:
    """Send the form of a browser, the file piece by piece."""
    fields = {"project_id": "load", "chapter_id": "1", "section_id": str(number)}
    head = "".join(
        f'--{MARK}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += f'--{MARK}\r\nContent-Disposition: form-data; name="audio"; filename="take.wav"\r\n'
    before, behind = f"{head}Content-Type: audio/wav\r\n\r\n".encode(), f"\r\n--{MARK}--\r\n".encode()
    connection = http.client.HTTPConnection(*at, timeout=600)
    try:
        connection.putrequest("POST", "/api/upload")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={MARK}")
        connection.putheader("Content-Length", str(len(before) + file.stat().st_size + len(behind)))
        connection.putheader("Authorization", f"Bearer {token}")
        connection.endheaders(before)
        with file.open("rb") as content:
            while piece := content.read(PIECE):
                connection.send(piece)
        connection.send(behind)
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200 or told["success"] is not True:
        raise SystemExit(f"upload {number}: {answer.status} {told}")
    return told


def listen(at: tuple[str, int], size: int, link: str) -> int:
    """Read a whole recording as a player does that seeks all the time, range by range; gives the bytes."""
    connection = http.client.HTTPConnection(*at, timeout=600)
    read = 0
    try:
        while read < size:
            last = min(read + PIECE, size) - 1
            connection.request("GET", link, headers={"Range": f"bytes={read}-{last}"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 206 or len(content) != last - read + 1:
                raise SystemExit(f"a range: {answer.status}, {len(content)} bytes")
            read += len(content)
    finally:
        connection.close()
    return read


def ask(at: tuple[str, int], method: str, path: str, *, token: str = "", body: Any = None) -> Any:
    connection = http.client.HTTPConnection(*at, timeout=600)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise SystemExit(f"{method} {path}: {answer.status} {told}")
    return told


@dataclass
class Round:
    """Seconds of one round, and bytes of memory: before it, and at the most."""

    uploading: float
    listening: float = 0.0
    idle: int = 0
    peak: int = 0


def app_round(app: str, people: int, file: Path) -> Round:
    size = file.stat().st_size
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(people) as pool:
        settings = {
            "APP_ENV": "development",
            "TESTING_MODE": "on",
            "APP_SECRET": "only for this benchmark, and no more",
            "UPLOAD_FOLDER": f"{folder}/uploads",
            "EXPORT_FOLDER": f"{folder}/exports",
            "RATE_LIMIT": "0",
            "FREE_USER_QUOTA_MB": "unlimited",
            "MAX_FILE_SIZE_MB": "unlimited",
        }
        with served(app, f"examples.{app}.app:create_app", settings) as (at, memory):
            who = {"email": "test@example.com", "password": "Test123!"}
            token = ask(at, "POST", "/api/auth/login", body=who)["access_token"]
            upload(at, token, file, people)  # loads what is loaded at first use
            idle, memory.peak = memory.now(), 0
            began = time.perf_counter()
            takes = list(pool.map(partial(upload, at, token, file), range(people)))
            uploading = time.perf_counter() - began
            paths = [take["path"] for take in takes]
            told = ask(at, "POST", "/api/audio/url", token=token, body={"paths": paths})
            links = [urlsplit(str(told["urls"][path]["url"])).path for path in paths]
            began = time.perf_counter()
            read = sum(pool.map(partial(listen, at, size), links))
            listening = time.perf_counter() - began
            usage = ask(at, "GET", "/api/usage", token=token)
            assert (read, usage["files"], usage["used"]) == (people * size, people + 1, (people + 1) * size)
            return Round(uploading, listening, idle, memory.peak)


def bare_round(app: str, people: int, file: Path) -> Round:
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(people) as pool,
        served(app, f"benchmarks._bare:{app}_app", {FOLDER: folder}) as (at, memory),
    ):
        upload(at, "", file, 0)
        idle, memory.peak = memory.now(), 0
        began = time.perf_counter()
        list(pool.map(partial(upload, at, "", file), range(people)))
        return Round(time.perf_counter() - began, idle=idle, peak=memory.peak)


def recording(folder: str, size: int) -> Path:
    path = Path(folder) / "take.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 44_100, 0, "NONE", ""))
        file.writeframes(os.urandom(size))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--size", default="20 MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="4 people, 2 MB, one round")
    options = parser.parse_args()
    if options.quick:
        options.people, options.size, options.rounds = 4, "2 MB", 1
    print(f"{options.people} people, {options.size} each, {options.rounds} rounds, in turns; least / median / most\n")
    print("| app | upload, s | bare endpoint, s | ratio | listen, s | idle | peak | peak of the bare one |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = recording(folder, parse_size(options.size))
        for app in SERVERS:
            ours, bare = list[Round](), list[Round]()
            for _ in range(options.rounds):
                bare.append(bare_round(app, options.people, file))
                ours.append(app_round(app, options.people, file))
            cells = [
                spread([each.uploading for each in ours]),
                spread([each.uploading for each in bare]),
                spread([one.uploading / other.uploading for one, other in zip(ours, bare, strict=True)], 2),
                spread([each.listening for each in ours]),
                format_size(max(each.idle for each in ours)),
                " / ".join(format_size(each.peak) for each in ours),
                format_size(max(each.peak for each in bare)),
            ]
            print(f"| {app} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
