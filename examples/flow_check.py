"""Check a running app from outside: sign in, upload, listen, export, and the quota, with real answers.

    python examples/flow_check.py http://127.0.0.1:5000

It needs nothing but Python, asks as the user of ``TEST_EMAIL`` and ``TEST_PASSWORD`` (default: the one of testing
mode), works in a project of its own and leaves nothing behind. Exit code 0: everything is as it should be.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
import uuid
import wave
import zipfile
from collections.abc import Callable, Mapping
from email.message import Message
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urljoin
from urllib.request import Request, urlopen

SECONDS = 120
"""How long an export may take."""


class Wrong(Exception):
    """What is not as it should be, in words."""


def expect(truth: object, otherwise: str) -> None:
    if not truth:
        raise Wrong(otherwise)


class Check:
    """One walk through the app, step by step; each step needs those before it."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self.url, self.email, self.password = url, email, password
        self.token = ""
        self.project = f"flow-check-{uuid.uuid4()}"
        self.take: dict[str, Any] = {}
        self.recording = recording()

    @property
    def steps(self) -> list[Callable[[], str]]:
        return [self.login, self.config, self.upload, self.listen, self.export, self.quota, self.clean_up]

    def login(self) -> str:
        """Signing in"""
        session = self.ask("POST", "/api/auth/login", {"email": self.email, "password": self.password})
        self.token = session["access_token"]
        expect(session["user"]["id"], "the session has no user")
        status, _, _ = self.send("GET", "/api/usage", token="")
        expect(status == 401, f"without a token /api/usage answers {status}, not 401")  # noqa: PLR2004
        return f"user {session['user']['id']}"

    def config(self) -> str:
        """Configuration"""
        told = self.ask("GET", "/api/auth/config")
        expect(told["storage_backend"] in {"local", "supabase"}, f"no such backend: {told['storage_backend']!r}")
        return f"new files go to {told['storage_backend']}"

    def upload(self) -> str:
        """Upload"""
        fields = {"project_id": self.project, "chapter_id": "1", "section_id": "1"}
        body, kind = form(fields, "test_audio.wav", self.recording)
        self.take = self.ask("POST", "/api/upload", body, kind)
        expect(self.take["success"] is True, "it does not say success")
        expect(self.take["path"] and self.take["upload_id"], "the take has no path or no id")
        expect(self.take["file_size_mb"] > 0, "the take has no size")
        return f"{self.take['path']} on {self.take['storage_backend']}"

    def listen(self) -> str:
        """Signed link"""
        told = self.ask("GET", f"/api/audio/url?path={quote(self.take['path'], safe='')}")
        expect(0 < told["expires_in"] <= 86_400, f"the link lives for {told['expires_in']} s")  # noqa: PLR2004
        url = urljoin(self.url, told["url"])
        status, headers, _ = self.send("HEAD", url, token="")
        expect(status == 200, f"HEAD of the link answers {status}")  # noqa: PLR2004
        expect(headers.get("content-type", "").startswith("audio/"), f"its type is {headers.get('content-type')}")
        status, _, content = self.send("GET", url, token="", headers={"Range": "bytes=0-43"})
        expect(status == 206, f"a range of it answers {status}, so no player could seek")  # noqa: PLR2004
        expect(len(content) == 44, f"a range of 44 bytes has {len(content)}")  # noqa: PLR2004
        return f"plays and seeks for {told['expires_in']} s"

    def export(self) -> str:
        """Export"""
        section = {"id": 1, "name": "Test Section", "text": "Test content", "audioPath": self.take["path"]}
        section["storageBackend"] = self.take["storage_backend"]
        book = {"chapters": [{"id": 1, "name": "Test Chapter", "sections": [section]}], "audioFormat": "wav"}
        flags = {"exportMetadataFlag": True, "exportAudioFlag": True, "createZipFlag": True}
        id = self.ask("POST", "/api/export", {**book, **flags})["exportId"]  # noqa: A001
        deadline = time.monotonic() + SECONDS
        while (told := self.ask("GET", f"/api/export/{id}"))["status"] in {"waiting", "running"}:
            expect(time.monotonic() < deadline, f"the export is not finished after {SECONDS} s")
            time.sleep(0.2)
        expect(told["status"] == "finished", f"the export {told['status']}: {told['error']}")
        expect(told["missing"] == [], f"sections are missing: {told['missing']}")
        status, _, content = self.send("GET", urljoin(self.url, told["download_url"]), token="")
        expect(status == 200, f"the download answers {status}")  # noqa: PLR2004
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            expect(archive.testzip() is None, "the ZIP is damaged")
            names = archive.namelist()
            (audio,) = (name for name in names if name.endswith(".wav"))
            with wave.open(io.BytesIO(archive.read(audio))) as exported:
                seconds = exported.getnframes() / exported.getframerate()
        expect(abs(seconds - 1) < 0.01, f"the exported chapter has {seconds:.2f} s, not 1")  # noqa: PLR2004
        self.ask("DELETE", f"/api/export/{id}")
        return f"{len(names)} files, {seconds:.2f} s of audio"

    def quota(self) -> str:
        """Quota"""
        usage = self.ask("GET", "/api/usage")
        expect(usage["used"] >= self.take["file_size"], f"used is {usage['used']}, less than what was uploaded")
        expect(usage["file_count"] >= 1, "no file is counted")
        if usage["available"] is None:
            return "unlimited, so nothing can be refused"
        # Room is taken as fast as an upload is begun, so no byte need be sent to come to its end.
        size = min(usage["max_file_size"] or usage["available"] + 1, usage["available"] + 1)
        taken: list[str] = []
        try:
            while (told := self.begin(size, taken)) is None:
                expect(len(taken) * size <= usage["quota"], f"{len(taken) * size} bytes fit into {usage['quota']}")
        finally:
            for reservation in taken:
                self.ask("POST", "/api/upload/cancel", {"reservation": reservation})
        after = self.ask("GET", "/api/usage")
        expect((after["used"], after["reserved"]) == (usage["used"], usage["reserved"]), "the refusal was counted")
        return f"{usage['used']} of {usage['quota']} bytes used, and what does not fit is refused: {told}"

    def begin(self, size: int, taken: list[str]) -> str | None:
        """Take room for *size* bytes, or give the words of the refusal."""
        asked = {"filename": "test_audio.wav", "size": size, "project_id": self.project}
        status, _, content = self.send("POST", "/api/upload/begin", json.dumps(asked).encode())
        told = json.loads(content)
        if status == 200:  # noqa: PLR2004
            taken.append(told["reservation"])
            return None
        expect(status in {402, 507}, f"no room left is told as {status}")
        expect(told["success"] is False and told["message"], "the refusal is not told in words")
        return str(told["message"])

    def clean_up(self) -> str:
        """Deleting"""
        before = self.ask("GET", "/api/usage")["used"]
        deleted = self.ask("DELETE", f"/api/projects/{self.project}")["deleted_files"]
        expect(deleted == 1, f"{deleted} files were deleted, not 1")
        freed = before - self.ask("GET", "/api/usage")["used"]
        expect(freed == self.take["file_size"], f"{freed} bytes were freed, not {self.take['file_size']}")
        return f"{freed} bytes freed"

    def give_up(self) -> None:
        """Leave nothing behind, as far as that can be done."""
        if self.token:
            self.send("DELETE", f"/api/projects/{self.project}")

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Ask the app, expect success, and give its JSON."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        status, _, content = self.send(method, path, sent, kind)
        expect(status == 200, f"{method} {path.partition('?')[0]} answers {status}: {content[:300]!r}")  # noqa: PLR2004
        return json.loads(content)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = kind
        if token := self.token if token is None else token:
            sent["Authorization"] = f"Bearer {token}"
        asked = Request(urljoin(self.url, path), data=body, headers=sent, method=method)  # noqa: S310 - the user's own
        try:
            with urlopen(asked, timeout=60) as answer:  # noqa: S310
                return answer.status, names(answer.headers), answer.read()
        except HTTPError as error:
            with error:
                return error.code, names(error.headers), error.read()


def names(headers: Message) -> dict[str, str]:
    """Give the headers by their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def recording() -> bytes:
    """Make one second of silence."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(bytes(2 * 22_050))
    return content.getvalue()


def form(fields: Mapping[str, str], filename: str, content: bytes) -> tuple[bytes, str]:
    mark = uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="audio"; filename="{filename}"\r\n'
    file = head.encode() + b"Content-Type: audio/wav\r\n\r\n" + content
    return b"".join([*parts, file, f"\r\n--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:5000")
    url = parser.parse_args().url
    email = os.environ.get("TEST_EMAIL", "test@example.com")  # noqa: TID251
    check = Check(url, email, os.environ.get("TEST_PASSWORD", "Test123!"))  # noqa: TID251
    for step in check.steps:
        try:
            print(f"ok    {step.__doc__}: {step()}")
        except (Wrong, OSError, ValueError, KeyError) as error:
            print(f"WRONG {step.__doc__}: {error}")
            check.give_up()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
