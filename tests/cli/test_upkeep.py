"""sweep, audit and doctor: an operator looks after a store."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from audiostore import AudioStore
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.sizes import format_size
from tests.cli.terminal import WAV, Terminal

HOUR_AGO = time.time() - 3600


class TestSweep:
    def test_with_nothing_to_do_it_says_so(self, terminal: Terminal) -> None:
        terminal.put()
        assert terminal.run("sweep").stdout == "nothing to do\n"
        assert terminal.json("sweep") == {
            "expired": 0,
            "erased": 0,
            "postponed": 0,
            "staging": 0,
            "orphans": 0,
            "exports": 0,
        }

    def test_what_a_dead_process_left_goes(self, terminal: Terminal) -> None:
        terminal.put()
        _leave_staging(terminal)
        assert terminal.run("sweep").stdout == "1  folders of dead processes removed\n"

    def test_orphans_are_looked_for_when_asked(self, terminal: Terminal) -> None:
        terminal.put()
        orphan = terminal.root / "alice" / "orphan.wav"
        orphan.write_bytes(WAV)
        assert terminal.json("sweep")["orphans"] == 0
        assert terminal.json("sweep", "--orphans")["orphans"] == 0, "it is not a day old"
        assert terminal.json("sweep", "--orphans", "--grace", "0s")["orphans"] == 1
        terminal.run("sweep")
        assert not orphan.exists()

    def test_grace_is_for_orphans(self, terminal: Terminal) -> None:
        terminal.put()
        terminal.run("sweep", "--grace", "1h", code=2)
        terminal.run("sweep", "--orphans", "--grace", "a while", code=2)


class TestAudit:
    def test_all_agree(self, terminal: Terminal) -> None:
        terminal.put()
        assert terminal.run("audit").stdout == "1 file, 1 object: all agree\n"
        assert terminal.json("audit") == {"ok": True, "files": 1, "objects": 1, "drift": [], "repaired": []}

    def test_each_kind_of_finding_is_a_line(self, terminal: Terminal) -> None:
        keys = {name: _key(terminal, name) for name in ("missing", "longer")}
        (terminal.root / keys["missing"]).unlink()
        (terminal.root / keys["longer"]).write_bytes(WAV + b"more")
        (terminal.root / "strange.wav").write_bytes(WAV)
        with closing(sqlite3.connect(terminal.root / ".audiostore" / "catalog.sqlite3")) as catalog, catalog:
            catalog.execute("UPDATE accounts SET committed = committed + 7")
        lines = terminal.run("audit", code=6).stdout.splitlines()
        assert lines[-1] == "2 files, 2 objects: 4 findings"
        told = {line.split()[0]: line for line in lines[:-1]}
        assert f"{keys['missing']}" in told["object_missing"]
        assert f"recorded with {len(WAV)} bytes, is {len(WAV) + 4}" in told["size_differs"]
        assert "strange.wav" in told["object_unrecorded"]
        assert f"the ledger says {2 * len(WAV) + 7}, the records say {2 * len(WAV)}" in told["committed_bytes"]

    def test_what_can_be_repaired_is_when_asked(self, terminal: Terminal) -> None:
        key = _key(terminal, "missing")
        terminal.put()
        (terminal.root / key).unlink()
        (terminal.root / "strange.wav").write_bytes(WAV)
        with closing(sqlite3.connect(terminal.root / ".audiostore" / "catalog.sqlite3")) as catalog, catalog:
            catalog.execute("UPDATE accounts SET committed = committed + 7, files = files - 1")
        lines = terminal.run("audit", "--repair", code=6).stdout.splitlines()
        assert [line.split("  ")[0] for line in lines] == [
            "object_missing",
            "repaired: committed_bytes",
            "repaired: file_count",
            "repaired: object_unrecorded",
            "2 files, 2 objects: 1 finding",
        ]
        (finding,) = terminal.json("audit", code=6)["drift"]
        assert (finding["kind"], finding["key"]) == ("object_missing", key)
        assert (terminal.root / "strange.wav").exists(), "it has a day"

    def test_json_has_the_facts(self, terminal: Terminal) -> None:
        key = _key(terminal, "missing")
        (terminal.root / key).unlink()
        told = terminal.json("audit", "--owner", "alice", code=6)
        assert (told["ok"], [each["kind"] for each in told["drift"]]) == (False, ["object_missing"])
        assert (told["drift"][0]["key"], told["drift"][0]["owner"]) == (key, "alice")
        assert terminal.json("audit", "--owner", "bob")["ok"]


class TestPromote:
    def test_what_lies_elsewhere_comes_home(self, terminal: Terminal) -> None:
        spare, catalog = MemoryBackend(name="spare"), MemoryCatalog()
        first = AudioStore(spare, catalog)
        for n in range(2):
            first.put(WAV, owner="alice", section=n)
        gone = first.put(WAV, owner="bob")
        spare.delete([gone.key])
        store = AudioStore(MemoryBackend(name="home"), catalog, backends=[spare])
        size = 2 * len(WAV)
        assert terminal.run_on(store, "promote", "--owner", "carol").stdout == "nothing to do\n"
        told = terminal.run_on(store, "promote", code=3)
        assert told.stdout == f"promoted 2 files, {format_size(size)}, 1 file left\n"
        assert told.stderr.startswith(f"audiostore: {gone.id} stays in spare: not found")
        answer = json.loads(terminal.run_on(store, "promote", "--from", "spare", "--json", code=3).stdout)
        assert (answer["promoted"], answer["bytes"]) == (0, 0)
        assert [(each["id"], each["error"]) for each in answer["failed"]] == [(gone.id, "NotFound")]
        assert {file.backend for file in store.list(owner="alice")} == {"home"}

    def test_a_backend_that_is_not_there_is_a_mistake(self, terminal: Terminal) -> None:
        terminal.put()
        terminal.run("promote", "--from", "nowhere", code=2)


class TestDoctor:
    def test_a_sound_store_is_ok_throughout(self, terminal: Terminal) -> None:
        terminal.put()
        told = terminal.json("doctor")
        assert told["ok"]
        assert [each["name"] for each in told["checks"]][-2:] == ["secret", "round trip"]
        assert {line.split()[0] for line in terminal.run("doctor").stdout.splitlines()} == {"ok"}

    def test_a_new_store_is_made_and_left_clean(self, terminal: Terminal) -> None:
        terminal.run("doctor")
        terminal.run("doctor")
        assert terminal.json("audit") == {"ok": True, "files": 0, "objects": 0, "drift": [], "repaired": []}
        assert [each for each in terminal.root.rglob("*") if each.is_file() and ".audiostore" not in each.parts] == []

    def test_its_round_trip_works_where_nobody_may_store_anything(self, terminal: Terminal) -> None:
        (terminal.folder / "env").write_text("FREE_USER_QUOTA_MB=0\nUPLOAD_FOLDER=store\n")
        terminal.run("doctor", "--env-file", "env")

    @pytest.mark.parametrize("name", ["secret", "private", "staging", "schema", "integrity", "clock", "sqlite"])
    def test_what_is_wrong_is_found_and_told_how_to_fix(self, terminal: Terminal, name: str) -> None:
        terminal.put()
        _BREAK[name](terminal)
        told = terminal.json("doctor", code=6)
        wrong = {each["name"]: each for each in told["checks"] if not each["ok"]}
        assert name in wrong or "store" in wrong
        assert all(each["fix"] for each in wrong.values())
        _BREAK[name](terminal)
        line = next(line for line in terminal.run("doctor", code=6).stdout.splitlines() if line.startswith("fix"))
        assert " -> " in line

    def test_the_secret_itself_is_never_told(self, terminal: Terminal) -> None:
        terminal.put()
        _BREAK["secret"](terminal)
        secret = (terminal.root / ".audiostore" / "secret").read_text()
        assert secret not in terminal.run("doctor", code=6).output

    def test_a_secret_from_the_settings_needs_no_file(self, terminal: Terminal) -> None:
        (terminal.folder / "env").write_text("AUDIOSTORE_SECRET='0123456789abcdef'\nUPLOAD_FOLDER=store\n")
        checks = terminal.json("doctor", "--env-file", "env")["checks"]
        assert {"name": "secret", "ok": True, "detail": "from the settings", "fix": None} in checks

    def test_a_full_disk_is_seen_before_it_is_full(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal.put()
        monkeypatch.setattr(shutil, "disk_usage", _almost_full)
        wrong = [each for each in terminal.json("doctor", code=6)["checks"] if not each["ok"]]
        assert [each["name"] for each in wrong] == ["space"]

    def test_a_disk_without_hard_links_is_no_finding(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal.put()
        monkeypatch.setattr(os, "link", _refuse)
        checks = {each["name"]: each for each in terminal.json("doctor")["checks"]}
        assert "renamed into place" in checks["hard links"]["detail"]

    def test_a_disk_that_does_not_sync_is_one(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal.put()
        monkeypatch.setattr(os, "fsync", _refuse)
        wrong = {each["name"] for each in terminal.json("doctor", code=6)["checks"] if not each["ok"]}
        assert wrong == {"fsync", "round trip"}

    def test_a_folder_that_is_a_file_is_one(self, terminal: Terminal) -> None:
        terminal.root.write_text("no folder")
        told = terminal.json("doctor", code=6)
        assert [each["name"] for each in told["checks"]] == ["store"]

    def test_other_parts_get_the_round_trip(self, terminal: Terminal) -> None:
        store = AudioStore(MemoryBackend(), MemoryCatalog(), secret="0123456789abcdef")
        assert terminal.run_on(store, "doctor").stdout.startswith("ok  round trip")


def _key(terminal: Terminal, project: str) -> str:
    file_id = terminal.put("--project", project)
    return str(terminal.json("show", file_id)["key"])


def _leave_staging(terminal: Terminal) -> None:
    left = terminal.root / ".audiostore" / "staging" / "left"
    left.mkdir(exist_ok=True)
    os.utime(left, (HOUR_AGO, HOUR_AGO))


def _open_secret(terminal: Terminal) -> None:
    (terminal.root / ".audiostore" / "secret").chmod(0o644)


def _open_folder(terminal: Terminal) -> None:
    (terminal.root / ".audiostore").chmod(0o755)


def _newer_schema(terminal: Terminal) -> None:
    _in_catalog(terminal, "PRAGMA user_version = 99")


def _damage(terminal: Terminal) -> None:
    path = terminal.root / ".audiostore" / "catalog.sqlite3"
    with path.open("r+b") as file:
        file.seek(4096 * 3 + 8)
        file.write(b"\xff" * 2000)


def _set_clock_back(terminal: Terminal) -> None:
    os.utime(terminal.root / ".audiostore" / "catalog.sqlite3", (time.time(), time.time() + 3600))


def _no_database(terminal: Terminal) -> None:
    (terminal.root / ".audiostore" / "catalog.sqlite3").write_bytes(b"not a database, but long enough to be one" * 99)


def _in_catalog(terminal: Terminal, statement: str) -> None:
    catalog = sqlite3.connect(terminal.root / ".audiostore" / "catalog.sqlite3")
    catalog.execute(statement)
    catalog.close()


def _almost_full(_: object) -> shutil._ntuple_diskusage:
    return shutil._ntuple_diskusage(1024**3, 1024**3 - 1024, 1024)


def _refuse(*_: Any, **__: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


_BREAK: dict[str, Callable[[Terminal], None]] = {
    "secret": _open_secret,
    "private": _open_folder,
    "staging": _leave_staging,
    "schema": _newer_schema,
    "integrity": _damage,
    "clock": _set_clock_back,
    "sqlite": _no_database,
}
