"""A book goes out: begun, looked at, and saved as a ZIP that plays."""

from __future__ import annotations

import io
import json
import time
import wave
import zipfile
from typing import Any

import httpx
import pytest

from examples.shared import exporting
from tests.apps.running import ALICE, Site, Visitor


def book(*paths: str | None, **more: Any) -> dict[str, Any]:
    sections = [
        {"id": number, "name": f"Part {number}", "text": f"Text {number}", "audioPath": path, "storageBackend": "local"}
        for number, path in enumerate(paths, 1)
    ]
    flags = {"exportMetadataFlag": True, "exportAudioFlag": True, "createZipFlag": True, "audioFormat": "wav"}
    return {"title": "Gezeiten", "chapters": [{"id": 1, "name": "One", "sections": sections}], **flags, **more}


def finished(visitor: Visitor, export: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told: dict[str, Any] = visitor.ok("GET", f"/api/export/{export}")
        if told["status"] in {"finished", "failed"}:
            return told
    raise AssertionError("it does not end")


def idle(exporting: object, export: object) -> None:
    """A process that is too busy to begin."""


def unzipped(answer: httpx.Response) -> dict[str, bytes]:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as content:
        assert content.testzip() is None
        return {name: content.read(name) for name in content.namelist()}


@pytest.mark.everywhere
def test_a_book_is_exported_in_order_and_what_is_missing_is_told(
    site: Site, alice: Visitor, bob: Visitor, recording: bytes
) -> None:
    one, two = (alice.upload(recording, project_id="p1", chapter_id="1", section_id=each)["path"] for each in "12")
    foreign = bob.upload(recording, project_id="p9")["path"]
    begun = alice.ok("POST", "/api/export", json=book(one, two, foreign, None))
    told = finished(alice, begun["exportId"])
    assert (told["status"], told["progress"], told["error"]) == ("finished", 100, None)
    assert [(each["section"], each["reason"]) for each in told["missing"]] == [(2, "missing"), (3, "no_audio")]
    content = unzipped(site.visitor().ask("GET", told["download_url"]))
    assert set(content) == {each["name"] for each in told["files"]}
    (name,) = (each for each in content if each.endswith(".wav"))
    with wave.open(io.BytesIO(content[name])) as joined, wave.open(io.BytesIO(recording)) as single:
        assert joined.getnframes() == 2 * single.getnframes()
        assert joined.readframes(single.getnframes()) == single.readframes(single.getnframes())
    assert json.loads(content["metadata.json"])["title"] == "Gezeiten"
    assert unzipped(alice.ask("GET", f"/api/export/{begun['exportId']}/download")) == content
    alice.ok("DELETE", f"/api/export/{begun['exportId']}")
    alice.refused("GET", f"/api/export/{begun['exportId']}", 404)
    site.visitor().refused("GET", told["download_url"], 404)


def test_the_saved_project_is_exported_by_its_id(alice: Visitor) -> None:
    path = alice.upload(project_id="p1")["path"]
    alice.ok("PUT", "/api/projects/p1", json={"project_data": book(path)})
    begun = alice.ok("POST", "/api/export", json={"project_id": "p1", "audioFormat": "mp3"})
    told = finished(alice, begun["exportId"])
    assert [each["content_type"] for each in told["files"] if each["duration"]] == ["audio/mpeg"]
    assert [each["exportId"] for each in alice.ok("GET", "/api/export")["exports"]] == [begun["exportId"]]
    alice.refused("POST", "/api/export", 404, json={"project_id": "never"})


@pytest.mark.parametrize(
    "wrong",
    [{"chapters": 3}, {"audioFormat": "8track"}, {"exportMetadataFlag": False, "exportAudioFlag": False}],
    ids=["no book", "no format", "nothing"],
)
def test_what_cannot_be_exported_is_400(alice: Visitor, wrong: dict[str, Any]) -> None:
    alice.refused("POST", "/api/export", 400, json=book(None, **wrong))


def test_links_to_save_are_for_one_export_and_no_other_use(site: Site, alice: Visitor) -> None:
    begun = alice.ok("POST", "/api/export", json=book(None))
    finished(alice, begun["exportId"])
    for ticket in ("x", "a.b.c", alice.token):
        site.visitor().refused("GET", f"/exports/{ticket}", 403)


def test_what_is_not_finished_can_not_be_saved_yet(site: Site, alice: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting.Exporting, "_run", idle)
    begun = [alice.ok("POST", "/api/export", json=book(None))["exportId"] for _ in range(exporting.MOST)]
    told = alice.ok("GET", f"/api/export/{begun[0]}")
    assert (told["status"], told["download_url"]) == ("waiting", None)
    alice.refused("GET", f"/api/export/{begun[0]}/download", 409)
    alice.refused("POST", "/api/export", 429, json=book(None))
    assert site.visitor("bob").ok("POST", "/api/export", json=book(None))
    # Another process takes over what this one never began.
    monkeypatch.undo()
    assert finished(alice, begun[0])["status"] == "finished"
    assert site.flow.exporting.exports.get(begun[0], owner=ALICE).state == "finished"
