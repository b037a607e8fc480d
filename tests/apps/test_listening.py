"""Recordings are played, sought in, listed, measured and deleted."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audiostore import AudioStore, Key
from tests.apps.running import ALICE, App, Site, Visitor, running

PLACE = {"project_id": "p1", "chapter_id": "1", "section_id": "2"}


@pytest.mark.everywhere
def test_a_link_plays_seeks_and_needs_no_login(site: Site, alice: Visitor, recording: bytes) -> None:
    path = alice.upload(recording, **PLACE)["path"]
    told = alice.ok("GET", "/api/audio/url", params={"path": path})
    assert 2700 <= told["expires_in"] <= 3600
    assert datetime.fromisoformat(told["expires_at"]) > datetime.now(UTC)
    stranger = site.visitor()
    whole = stranger.ask("GET", told["url"])
    assert (whole.status_code, whole.content) == (200, recording)
    assert whole.headers["Content-Type"] == "audio/wav"
    head = stranger.ask("HEAD", told["url"])
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(recording)), b"")
    known = {"If-None-Match": whole.headers["ETag"]}
    assert stranger.ask("GET", told["url"], headers=known).status_code in {200 if site.supabase else 304, 304}
    last = stranger.ask("GET", told["url"], headers={"Range": f"bytes={len(recording) - 100}-"})
    assert (last.status_code, last.content) == (206, recording[-100:])
    assert stranger.ask("GET", told["url"], headers={"Range": "bytes=999999999-"}).status_code == 416


def test_an_uploaded_file_is_played_or_saved_and_never_run(alice: Visitor, site: Site, recording: bytes) -> None:
    # What the check would refuse: it got in by other ways, before there was one.
    site.store.process = None
    page = site.store.put(b"<script>alert(1)</script>", owner=ALICE, filename="evil.mp3", project="p1")
    answer = alice.ask("GET", alice.links(str(page.key))["urls"][str(page.key)]["url"])
    assert answer.headers["Content-Type"] in {"audio/mpeg", "text/plain", "application/octet-stream"}
    if site.supabase is None:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_the_links_of_a_chapter_come_at_once_and_say_what_is_missing(alice: Visitor) -> None:
    paths = [alice.upload(project_id="p1", chapter_id="1", section_id=str(each))["path"] for each in range(3)]
    told = alice.links(*paths, "no/such/path")
    assert list(told["urls"]) == paths
    assert told["missing"] == ["no/such/path"]
    assert told["expires_at"] == min(each["expires_at"] for each in told["urls"].values())
    assert alice.ok("GET", "/api/audio/url", params={"path": [*paths, "x"]})["missing"] == ["x"]
    assert alice.links("x", "y")["urls"] == {}
    alice.refused("GET", "/api/audio/url", 404, params={"path": "no/such/path"})
    alice.refused("GET", "/api/audio/url", 400)
    alice.refused("POST", "/api/audio/url", 400, json={"paths": []})
    alice.refused("POST", "/api/audio/url", 400, json={"paths": ["x"] * 201})


@pytest.mark.settings(LINK_SECONDS="1")
def test_a_link_runs_out_when_the_settings_say(site: Site, alice: Visitor) -> None:
    path = alice.upload(**PLACE)["path"]
    told = alice.ok("GET", "/api/audio/url", params={"path": path})
    assert told["expires_in"] <= 1
    moment = datetime.fromisoformat(told["expires_at"]).timestamp()
    while time.time() < moment + 0.01:  # until then it may work
        assert alice.ask("GET", told["url"]).status_code in {200, 400, 403}
    assert alice.ask("GET", told["url"]).status_code in {400, 403}


def test_deleting_frees_the_room_and_ends_what_the_app_serves(site: Site, alice: Visitor) -> None:
    first, second = alice.upload(project_id="p1"), alice.upload(project_id="p1")
    url = alice.ok("GET", "/api/audio/url", params={"path": first["path"]})["url"]
    assert alice.ok("DELETE", f"/api/files/{first['upload_id']}")["upload_id"] == first["upload_id"]
    assert alice.ok("DELETE", "/api/files", params={"path": second["path"]})
    assert site.store.usage(ALICE).used == 0
    assert alice.ask("GET", url).status_code in {400, 404}
    alice.refused("DELETE", f"/api/files/{first['upload_id']}", 404)
    alice.refused("DELETE", "/api/files", 400)


def test_files_are_listed_page_by_page(alice: Visitor, site: Site) -> None:
    site.store.process = None  # their content is not what this is about
    for number in range(5):
        site.store.put(b"RIFF....WAVE", owner=ALICE, project=f"p{number % 2}", filename=f"{number}.wav")
    names: list[str] = []
    after = None
    for _ in itertools.count():
        page = alice.ok("GET", "/api/files", params={"limit": 2} | ({"after": after} if after else {}))
        names += [each["filename"] for each in page["files"]]
        after = page["next"]
        if after is None:
            break
    assert names == [f"{number}.wav" for number in range(5)]
    assert len(alice.ok("GET", "/api/files", params={"project_id": "p1"})["files"]) == 2
    alice.refused("GET", "/api/files", 400, params={"limit": 501})


def test_usage_is_told_in_bytes_and_in_the_words_of_the_seed(
    alice: Visitor, store: AudioStore, recording: bytes
) -> None:
    alice.upload(recording)
    told = alice.ok("GET", "/api/usage")
    assert told["used"] == len(recording)
    assert told["storage_quota_mb"] == 500
    assert told["storage_used_mb"] == 0.19
    assert told["file_count"] == 1
    assert told["percentage_used"] == 0.04
    assert told["max_file_size"] == 50 * 1024 * 1024
    store.set_quota(ALICE, None, per_file=None)
    told = alice.ok("GET", "/api/usage")
    assert (told["storage_quota_mb"], told["percentage_used"], told["max_file_size"]) == (None, None, None)


def test_a_waveform_is_measured_once(alice: Visitor) -> None:
    path = alice.upload(**PLACE)["path"]
    told = alice.ok("GET", "/api/projects/p1/peaks", params={"path": path, "points": 50})
    assert (told["length"], len(told["data"]), told["bits"]) == (50, 100, 8)
    assert max(told["data"]) > 20
    assert alice.ok("GET", "/api/projects/p1/peaks", params={"path": path, "points": 50}) == told
    assert alice.ok("GET", "/api/projects/p1/peaks", params={"path": path})["length"] == 400
    alice.refused("GET", "/api/projects/p2/peaks", 404, params={"path": path})
    alice.refused("GET", "/api/projects/p1/peaks", 400, params={"path": path, "points": 4001})


@pytest.mark.everywhere
def test_a_check_tells_missing_from_unreadable(site: Site, alice: Visitor) -> None:
    good = alice.upload(project_id="p1", chapter_id="1", section_id="1")
    lost = alice.upload(project_id="p1", chapter_id="1", section_id="2")
    backend = site.store.backends[lost["storage_backend"]]
    backend.delete([Key(lost["path"])])
    site.store.process = None
    broken = site.store.put(b"RIFF\x04\0\0\0WAVE", owner=ALICE, project="p1", filename="broken.wav")
    paths = [good["path"], lost["path"], str(broken.key), "never/there"]
    chapter = {"id": 1, "sections": [{"id": number, "audioPath": path} for number, path in enumerate(paths, 1)]}
    alice.ok("PUT", "/api/projects/p1", json={"project_data": {"chapters": [chapter, {"id": 2, "sections": [{}, 3]}]}})
    told = alice.ok("GET", "/api/audio/check", params={"project_id": "p1"})
    assert [each["status"] for each in told["results"]] == ["ok", "missing", "unreadable", "missing"]
    assert [each["section_id"] for each in told["results"]] == ["1", "2", "3", "4"]
    assert told["counts"] == {"ok": 1, "missing": 2, "unreadable": 1, "unknown": 0}
    assert told["next"] is None
    asked = alice.ok("POST", "/api/audio/check", json={"paths": paths})
    assert [each["status"] for each in asked["results"]] == [each["status"] for each in told["results"]]


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_what_an_outage_hides_is_unknown_and_never_missing(tmp_path: Path, app: App) -> None:
    with running(app, tmp_path, backend="supabase") as site:
        alice = site.visitor("alice")
        path = alice.upload()["path"]
        assert site.supabase is not None
        site.supabase.fail_next("/object/*", status=500, times=1000)
        told = alice.ok("POST", "/api/audio/check", json={"paths": [path]})
        assert told["results"][0]["status"] == "unknown"


@pytest.mark.parametrize("app", ["flask"])
def test_a_check_that_takes_too_long_ends_with_what_it_knows(tmp_path: Path, app: App) -> None:
    with running(app, tmp_path) as site:
        alice = site.visitor("alice")
        path = alice.upload()["path"]
        object.__setattr__(site.flow.checker, "seconds", 0.0)
        told = alice.ok("POST", "/api/audio/check", json={"paths": [path, "never/there"]})
        assert told["counts"]["unknown"] == 2


def test_a_long_book_is_checked_in_bounded_batches(site: Site, alice: Visitor) -> None:
    sections = [{"id": number, "audioPath": f"never/there/{number}"} for number in range(250)]
    alice.ok("PUT", "/api/projects/p1", json={"project_data": {"chapters": [{"id": 1, "sections": sections}]}})
    first = alice.ok("GET", "/api/audio/check", params={"project_id": "p1"})
    second = alice.ok("GET", "/api/audio/check", params={"project_id": "p1", "after": first["next"]})
    assert (first["checked"], second["checked"], second["next"]) == (200, 50, None)
    alice.refused("POST", "/api/audio/check", 400, json={"paths": ["x"] * 201})
