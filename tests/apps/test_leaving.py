"""People who leave in the middle, and the commands by which an app starts."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest

from audiostore import AudioStore, Key
from audiostore.streams import ByteStream
from tests.apps.running import ALICE, App, Visitor, running
from tests.apps.test_uploads import begin, nothing_is_left, put

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_a_listener_who_leaves_keeps_no_file_open(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, let_go = threading.Event(), threading.Event()
    with running(app, tmp_path) as site:
        backend = site.store.backend
        read = backend.read

        def watched(key: Key, start: int = 0, end: int | None = None) -> ByteStream:
            stream = read(key, start, end)
            begun.set()

            def close() -> None:
                stream.close()
                let_go.set()

            return ByteStream(stream, stream.length, close)

        monkeypatch.setattr(backend, "read", watched)
        site.store.process = None
        take = site.store.put(b"RIFF\0\0\0\0WAVE" + bytes(40_000_000), owner=ALICE)
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            connection.sendall(f"GET {site.store.url(take)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
            assert begun.is_set()
            assert not let_go.is_set()
        assert let_go.wait(20)


def break_off(port: int, head: str, content: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"{head}\r\nHost: 127.0.0.1\r\n\r\n".encode() + content)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


# Werkzeug forgets the temporary file of a form that it could not read to its end; the collector closes it.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*SpooledTemporaryFile")
@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_an_upload_that_breaks_off_leaves_nothing(app: App, tmp_path: Path, recording: bytes) -> None:
    with running(app, tmp_path) as site:
        alice = site.visitor("alice")
        head = f"POST /api/upload HTTP/1.1\r\nContent-Length: {len(recording)}\r\nAuthorization: Bearer {alice.token}"
        form = b"--b\r\nContent-Disposition: form-data; name=audio; filename=a.wav\r\n\r\n"
        typed = f"{head}\r\nContent-Type: multipart/form-data; boundary=b"
        break_off(site.port, typed, form + recording[:50_000])
        assert nothing_is_left(site.store)
        # The same in a direct upload; its link still works.
        granted = begin(alice, recording)
        direct = f"PUT {granted['url']} HTTP/1.1\r\nContent-Type: audio/wav\r\nContent-Length: {len(recording)}"
        break_off(site.port, direct, recording[:70_000])
        alice.refused("POST", "/api/upload/finish", 404, json={"reservation": granted["reservation"]})
        assert put(alice, granted, recording).status_code == 201
        alice.ok("POST", "/api/upload/finish", json={"reservation": granted["reservation"]})
        assert site.store.audit().ok


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_more_bytes_than_were_granted_are_refused(app: App, tmp_path: Path, recording: bytes) -> None:
    with running(app, tmp_path) as site:
        alice: Visitor = site.visitor("alice")
        granted = begin(alice, recording[:100_000])
        assert put(alice, granted, recording).status_code == 413
        alice.refused("POST", "/api/upload/finish", 404, json={"reservation": granted["reservation"]})
        assert site.store.usage(ALICE).used == 0


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_one_command_starts_it_in_an_empty_folder(app: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", f"examples.{app}.app"],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(ROOT), "PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = (re.search(r"(?i)running on (http://127.0.0.1:\d+)", line) for line in process.stdout)
            url = next(match[1] for match in found if match)
            with urlopen(url, timeout=20) as page:
                assert page.status == 200
        finally:
            process.terminate()
    with AudioStore.local(tmp_path / "uploads") as store:
        assert store.audit().ok
