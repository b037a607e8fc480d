"""Files of the time before audiostore: whose project names them, they play, are checked and exported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.apps.running import TAKE, App, Backend, running
from tests.apps.test_exports import book, finished, unzipped


@pytest.mark.parametrize(("app", "backend"), [("flask", "disk"), ("fastapi", "supabase")])
def test_an_old_file_plays_for_whom_it_is_and_for_nobody_else(tmp_path: Path, app: App, backend: Backend) -> None:
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(TAKE, old / "1699_take.wav")
    path = "old/1699_take.wav"
    with running(app, tmp_path, backend=backend, ORIGINALS_FOLDER=str(old)) as site:
        alice, bob = site.visitor("alice"), site.visitor("bob")
        alice.ok("PUT", "/api/projects/p1", json={"project_data": book(path, "old/nothing.wav")})
        link = alice.ok("GET", "/api/audio/url", params={"path": path})
        assert (link["storage_backend"], link["upload_id"]) == ("local", None)
        part = site.visitor().ask("GET", link["url"], headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"RIFF")
        checked = alice.ok("GET", "/api/audio/check", params={"project_id": "p1"})
        assert [each["status"] for each in checked["results"]] == ["ok", "missing"]
        bob.refused("GET", "/api/audio/url", 404, params={"path": path})
        export = finished(alice, alice.ok("POST", "/api/export", json={"project_id": "p1"})["exportId"])
        assert len(export["missing"]) == 1
        assert any(name.endswith(".wav") for name in unzipped(site.visitor().ask("GET", export["download_url"])))
        assert site.visitor().ask("GET", "/audio/original.x.y.z").status_code == 403
