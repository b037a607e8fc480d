"""Files that only projects name: found by those whose projects name them, by nobody else, and nothing besides."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore, PermissionDenied, Unavailable, serve_file
from audiostore.migrate.originals import Originals
from audiostore.migrate.protocols import ProjectRow
from tests.migrate.apps import SqliteApp

SOUND = b"RIFF\x24\0\0\0WAVEfmt " + bytes(range(256)) * 2000


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    (folder / "old").mkdir(parents=True)
    for name in ("a.wav", "aa.wav", "b c.wav", "b%20c.wav", "ü.mp3", "old/a.wav", "notes.txt", ".hidden.wav"):
        (folder / name).write_bytes(SOUND)
    (tmp_path / "outside.wav").write_bytes(SOUND)
    return folder


@pytest.fixture
def app(tmp_path: Path) -> SqliteApp:
    return SqliteApp(tmp_path / "app.sqlite3")


def project(*paths: str, **others: Any) -> str:
    sections = [{"id": number, "audioPath": path, **others} for number, path in enumerate(paths)]
    return json.dumps({"chapters": [{"id": 1, "sections": sections}]})


def names(originals: Originals, owner: str, *paths: str) -> list[str | None]:
    found = (originals(path, owner) for path in paths)
    return [None if each is None else each.name for each in found]


def test_a_file_is_found_in_each_spelling_that_an_app_has_for_it(folder: Path, app: SqliteApp) -> None:
    app.add([("1", "alice", project("/uploads/a.wav", "/uploads/b%20c.wav", "ü.mp3", "uploads/old/a.wav"))])
    originals = Originals(folder, app.table)
    assert names(originals, "alice", "/uploads/a.wav", "uploads/a.wav", "a.wav") == ["a.wav"] * 3
    assert names(originals, "alice", "/uploads/%C3%BC.mp3", str(folder / "ü.mp3")) == ["ü.mp3"] * 2
    assert originals("old/a.wav", "alice") == folder / "old" / "a.wav"


def test_it_is_found_for_those_whose_projects_name_it_and_nobody_else(folder: Path, app: SqliteApp) -> None:
    app.add([("1", "alice", project("/uploads/a.wav")), ("2", "bob", project("/uploads/aa.wav")), ("3", None, "{")])
    originals = Originals(folder, app.table)
    assert names(originals, "alice", "a.wav", "aa.wav", "old/a.wav") == ["a.wav", None, None]
    assert names(originals, "bob", "a.wav", "aa.wav") == [None, "aa.wav"]
    assert names(originals, "", "a.wav") == names(originals, "carol", "a.wav") == [None]


def test_of_two_files_a_reference_means_one(folder: Path, app: SqliteApp) -> None:
    app.add([("1", "alice", project("b c.wav")), ("2", "bob", project("b%20c.wav"))])
    originals = Originals(folder, app.table)
    assert names(originals, "alice", "b c.wav", "b%20c.wav") == ["b c.wav", None]
    assert names(originals, "bob", "b c.wav", "b%20c.wav") == [None, "b%20c.wav"]


ASTRAY = (
    "../outside.wav /uploads/../outside.wav ..%2foutside.wav %2e%2e/outside.wav /etc/passwd .hidden.wav notes.txt "
    "link.wav door/outside.wav pipe.wav old a.wav/x.wav / .audiostore/secret old/../a.wav none.wav"
)


@pytest.mark.parametrize(
    "path", [*ASTRAY.split(), "", "a\0.wav", "x" * 5000, "y" * 300 + ".wav"], ids=lambda path: repr(path[:20])
)
def test_a_project_may_name_what_it_likes(path: str, folder: Path, app: SqliteApp) -> None:
    (folder / "link.wav").symlink_to(folder.parent / "outside.wav")
    (folder / "door").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe.wav")
    app.add([("1", "alice", project(path or "x", str(folder.parent / "outside.wav")))])
    originals = Originals(folder, app.table)
    assert originals(path, "alice") is None
    assert originals(str(folder.parent / "outside.wav"), "alice") is None


def test_what_a_store_recorded_is_the_stores(folder: Path, app: SqliteApp) -> None:
    with AudioStore.local(folder) as store:
        take = store.put(SOUND, owner="alice", filename="take.wav")
        path = f"/uploads/{take.key}"
        app.add([("1", "alice", project(path, uploadId=take.id)), ("2", "bob", project(path, "a.wav"))])
        originals = Originals(folder, app.table, store=store)
        assert names(originals, "alice", path) == [None]
        assert names(originals, "bob", path, "a.wav") == [None, "a.wav"]
        assert Originals(folder, app.table)(path, "bob") is not None, "only the store knows whose it is"


def test_paths_in_a_bucket_are_no_files(folder: Path, app: SqliteApp) -> None:
    app.add([("1", "alice", project("a.wav", storageBackend="supabase"))])
    assert Originals(folder, app.table)("a.wav", "alice") is None


class Counting:
    """References that count how often they are read."""

    def __init__(self, app: SqliteApp) -> None:
        self._table = app.table
        self.scans = 0
        self.find = self._table.find
        self.rewrite = self._table.rewrite
        self.close = self._table.close

    def scan(self, *, owner: str | None = None) -> Iterator[ProjectRow]:
        self.scans += 1
        return self._table.scan(owner=owner)


def test_projects_are_not_read_for_each_request(folder: Path, app: SqliteApp) -> None:
    app.add([("1", "alice", project("a.wav"))])
    counting, clock = Counting(app), Clock()
    originals = Originals(folder, counting, refresh=timedelta(seconds=30), clock=clock)
    for _ in range(50):
        assert names(originals, "alice", "a.wav", "none.wav", "../x.wav") == ["a.wav", None, None]
    assert counting.scans == 1
    for _ in range(50):
        assert names(originals, "alice", "aa.wav") == [None]
    assert counting.scans == 1
    app.write("1", project("aa.wav"))
    clock.now += 2
    assert names(originals, "alice", "a.wav", "aa.wav") == ["a.wav", "aa.wav"]
    assert counting.scans == 2
    assert names(originals, "alice", "a.wav") == [None]
    clock.now += 31
    assert names(originals, "alice", "aa.wav") == ["aa.wav"]
    originals.forget("alice")
    assert names(originals, "alice", "aa.wav") == ["aa.wav"]
    assert counting.scans == 4


def test_without_the_folder_or_the_table_nothing_is_found_out(folder: Path, app: SqliteApp) -> None:
    app.add([("1", "alice", project("a.wav"))])
    gone = Originals(folder.parent / "none", app.table)
    with pytest.raises(Unavailable):
        gone("none/a.wav", "alice")
    app.path.rename(app.path.with_suffix(".away"))
    with pytest.raises(FileNotFoundError):
        Originals(folder, app.table)("a.wav", "alice")


# --- over HTTP --------------------------------------------------------------------------------------------------------


def body(path: Path | None, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    with serve_file(path, method, {name.replace("_", "-"): value for name, value in headers.items()}) as reply:
        return reply.status, reply.headers, b"".join(reply.body)


def test_a_file_is_sent_whole_or_in_part(folder: Path) -> None:
    status, headers, whole = body(folder / "a.wav")
    assert (status, whole) == (200, SOUND)
    assert headers["Content-Type"] == "audio/wav"
    assert headers["Content-Length"] == str(len(SOUND))
    assert headers["Content-Disposition"] == 'inline; filename="a.wav"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private, no-cache"
    status, headers, part = body(folder / "a.wav", Range="bytes=1000-400000")
    assert (status, part) == (206, SOUND[1000:400_001])
    assert headers["Content-Range"] == f"bytes 1000-400000/{len(SOUND)}"
    assert body(folder / "a.wav", Range=f"bytes={len(SOUND)}-")[0] == 416


def test_who_has_it_already_is_told_so(folder: Path) -> None:
    headers = body(folder / "a.wav", "HEAD")[1]
    assert headers["Content-Length"] == str(len(SOUND))
    assert body(folder / "a.wav", If_None_Match=headers["ETag"])[0] == 304
    assert body(folder / "a.wav", If_Modified_Since=headers["Last-Modified"])[0] == 304
    (folder / "a.wav").write_bytes(SOUND + b"x")
    assert body(folder / "a.wav", If_None_Match=headers["ETag"])[0] == 200
    assert body(folder / "a.wav", Range="bytes=0-1", If_Range=headers["ETag"])[0] == 200


def test_what_is_no_audio_is_sent_to_be_saved(folder: Path) -> None:
    (folder / "page.wav").write_bytes(b"<!doctype html><script>alert(1)</script>")
    _, headers, _ = body(folder / "page.wav")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")


def test_what_is_not_there_is_404_and_what_is_no_file_is_for_the_log(folder: Path) -> None:
    assert body(None)[0] == body(folder / "none.wav")[0] == 404
    assert body(folder / "a.wav", "PUT")[0] == 405
    (folder / "link.wav").symlink_to(folder / "a.wav")
    with pytest.raises(PermissionDenied):
        serve_file(folder / "link.wav")


def test_no_file_stays_open(folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for headers in ({}, {"Range": "bytes=0-5"}, {"Range": "bytes=99999999-"}, {"If-None-Match": "*"}):
        for method in ("GET", "HEAD"):
            serve_file(folder / "a.wav", method, headers).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
