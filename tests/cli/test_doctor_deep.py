"""doctor --deep: an owner made for it goes through all that an app does, and nothing is left of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audiostore import AudioStore
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.keys import Key
from audiostore.models import Limits, Reservation
from audiostore.protocols import Request
from audiostore.streams import ByteStream
from tests.cli.cloud import BUCKET, Cloud
from tests.cli.terminal import Terminal

STEPS = [
    "put",
    "record",
    "usage",
    "quota",
    "link",
    "replace",
    "upload",
    "delete",
    "usage after",
    "audit",
    "left behind",
]


@pytest.fixture
def sound(cloud: Cloud) -> Cloud:
    cloud.run("bucket", "ensure", "--yes")
    return cloud


def walked(terminal: Terminal, store: AudioStore) -> dict[str, dict[str, Any]]:
    """Give the checks of a walk on a *store* that has something wrong with it."""
    told = terminal.run_on(store, "doctor", "--deep", "--json", code=6).stdout
    return {each["name"]: each for each in json.loads(told)["checks"]}


def test_on_a_disk_every_step_is_ok_and_nothing_is_left(terminal: Terminal) -> None:
    checks = {each["name"]: each for each in terminal.json("doctor", "--deep")["checks"]}
    assert list(checks)[-len(STEPS) :] == STEPS
    assert all(each["ok"] for each in checks.values())
    assert checks["usage"]["detail"] == "64.0 KB in 1 file, nothing reserved"
    assert checks["usage after"]["detail"] == "0 B in 0 files, nothing reserved"
    assert terminal.json("audit") == {"ok": True, "files": 0, "objects": 0, "drift": [], "repaired": []}
    assert [each for each in terminal.root.rglob("*") if each.is_file() and ".audiostore" not in each.parts] == []


def test_without_it_nothing_of_it_is_done(terminal: Terminal) -> None:
    names = [each["name"] for each in terminal.json("doctor")["checks"]]
    assert not set(names) & set(STEPS)


def test_on_a_project_every_step_is_ok_and_nothing_is_left(sound: Cloud) -> None:
    checks = sound.doctor("--deep")
    assert list(checks)[-len(STEPS) :] == STEPS
    assert all(each["ok"] for each in checks.values())
    assert checks["link"]["detail"] == "a signed link plays from its backend, ranges included"
    assert sound.fake.keys(BUCKET) == []
    assert sound.json("audit")["ok"]


def test_an_owner_keeps_no_quota_and_no_room_of_it(terminal: Terminal) -> None:
    detail = {each["name"]: each["detail"] for each in terminal.json("doctor", "--deep")["checks"]}["put"]
    owner = detail.rpartition(" ")[2]
    assert terminal.json("quota", "show", owner)["override"] is None
    usage = terminal.json("usage", owner)
    assert (usage["used"], usage["reserved"], usage["pending"], usage["files"]) == (0, 0, 0, 0)


# --- what is wrong is seen --------------------------------------------------------------------------------------------


class Generous(MemoryCatalog):
    """A catalog that lets everyone in."""

    def reserve(self, request: Request) -> Reservation:
        return super().reserve(replace(request, limits=Limits(), owner=request.owner))

    def set_override(self, owner: str, override: Any) -> None:
        super().set_override(owner, None)


class Forgetful(MemoryBackend):
    """A backend that deletes nothing, and says that it did."""

    def delete(self, keys: Any) -> frozenset[Key]:
        return frozenset(keys)


class Deaf(MemoryBackend):
    """A backend that gives other bytes than it was given."""

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        stream = super().read(key, start, end)
        return ByteStream((bytes(len(each)) for each in stream), stream.length)


SECRET = "a secret of the tests which is long enough"


def test_a_catalog_that_lets_an_owner_go_over_is_seen(terminal: Terminal) -> None:
    checks = walked(terminal, AudioStore(MemoryBackend(), Generous(), secret=SECRET))
    assert checks["quota"]["detail"] == "an owner went over its quota"
    assert checks["record"]["ok"]
    assert checks["left behind"]["detail"] == "nothing"


def test_bytes_that_stay_are_seen(terminal: Terminal) -> None:
    checks = walked(terminal, AudioStore(Forgetful(), MemoryCatalog(), secret=SECRET))
    assert checks["replace"]["detail"] == "the bytes that were replaced are still there"
    assert checks["delete"]["detail"] == "the bytes of a deleted file are still there"


def test_other_bytes_are_seen(terminal: Terminal) -> None:
    checks = walked(terminal, AudioStore(Deaf(), MemoryCatalog(), secret=SECRET))
    assert not checks["link"]["ok"]


REFUSED = {
    "POST /rest/v1/rpc/audiostore_commit": "put",
    "POST /rest/v1/rpc/audiostore_list": "put",
    "POST /rest/v1/rpc/audiostore_audit": "audit",
    "POST /object/sign/*": "link",
    "POST /object/upload/sign/*": "upload",
    "PUT /object/upload/sign/*": "upload",
}
"""Routes, and the step that shows first that they are refused."""


@pytest.mark.parametrize("route", REFUSED)
def test_whatever_fails_is_a_line_and_it_is_tidied_up(sound: Cloud, route: str) -> None:
    sound.fake.fail_next(route, status=403, times=999)
    assert REFUSED[route] in sound.wrong("--deep")
    sound.fake._faults.clear()
    sound.run("sweep")
    assert sound.fake.keys(BUCKET) == []
    assert sound.json("audit") == {"ok": True, "files": 0, "objects": 0, "drift": [], "repaired": []}


def test_of_what_a_killed_one_left_the_next_that_comes_by_takes_it_away(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiostore.cli.deep._OWNERS", 1)
    left = terminal.put(owner="audiostore-doctor-00")
    told = terminal.json("doctor", "--deep", code=6)
    assert "too many doctors" in str(told), "it may be at work still"
    assert [each["id"] for each in terminal.files("audiostore-doctor-00")] == [left]
    monkeypatch.setattr("audiostore.cli.deep._KILLED", timedelta(0))
    terminal.run("doctor", "--deep")
    assert terminal.files("audiostore-doctor-00") == []
