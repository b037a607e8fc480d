"""migrate: every step from the command line, what it prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from audiostore.cli.outcomes import Outcome
from tests.cli.cloud import BUCKET, Cloud
from tests.cli.terminal import Terminal
from tests.migrate.scene import Scene

DONE, PARTLY, NOTHING, STOPPED = 0, 7, 8, 9


@pytest.fixture
def scene(terminal: Terminal, tmp_path: Path) -> Iterator[Scene]:
    with closing(Scene(tmp_path)) as scene:
        scene.store.close()
        yield scene


def migrate(terminal: Terminal, *words: str, code: int = DONE) -> list[str]:
    where = () if "--upload-folder" in words else ("--upload-folder", "uploads")
    return terminal.run("migrate", "--projects", "app.db", *where, *words, code=code).stdout.splitlines()


def answers(terminal: Terminal, *words: str, code: int = DONE) -> list[dict[str, Any]]:
    return [json.loads(line) for line in migrate(terminal, "--json", *words, code=code)]


def test_a_plan_a_run_a_look_and_the_way_back(terminal: Terminal, scene: Scene) -> None:
    for name in ("a.wav", "b.wav", "lone.mp3"):
        scene.add(name)
    project = scene.project("alice", "a.wav", "/uploads/b.wav")
    before = scene.app.texts()
    assert migrate(terminal, "plan")[:3] == [
        "+ a.wav  (alice)  waiting",
        "+ b.wav  (alice)  waiting",
        "- lone.mp3  no_reference",
    ]
    assert migrate(terminal) == [
        "- lone.mp3  no_reference",
        "found                    3 files",
        "migrated                 2 files",
        "failed                   0 files",
        "skipped (no references)  1 file",
        "data                     0.00 MB",
        "references rewritten     2",
        "verified by read         2 files",
    ]
    assert [each["storageBackend"] for each in scene.sections(project)] == ["local", "local"]
    migrate(terminal, "run", code=NOTHING)
    assert "migrated                 2 files" in migrate(terminal, "verify")
    assert "+ a.wav  (alice)  migrated" in migrate(terminal, "status")
    assert "rolled back              2 files" in migrate(terminal, "rollback")
    assert scene.app.texts() == before
    migrate(terminal, "rollback", code=NOTHING)


def test_the_words_of_the_old_script_are_taken(terminal: Terminal, scene: Scene) -> None:
    scene.uploads.rename(scene.uploads.with_name("old"))
    scene.uploads = scene.uploads.with_name("old")
    scene.add("a.wav")
    scene.project("alice", "/old/a.wav")
    scene.project("bob", "/old/a.wav")
    words = ("--user-id", "alice", "--upload-folder", "old")
    assert migrate(terminal, "--dry-run", *words)[0] == "+ a.wav  (alice)  waiting"
    assert migrate(terminal, *words)[1].split() == ["migrated", "1", "file"]


def test_json_has_a_line_for_each_file_and_the_report(terminal: Terminal, scene: Scene) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav", "gone.wav")
    *events, last = answers(terminal, code=PARTLY)
    assert {(each["symbol"], each["step"], each["outcome"]) for each in events} == {
        ("!", "plan", "vanished"),
        ("+", "copy", "migrated"),
        ("+", "rewrite", "migrated"),
    }
    assert last["report"]["outcomes"] == {"migrated": 1, "vanished": 1}


def test_files_that_were_left_are_told_and_the_code_says_so(terminal: Terminal, scene: Scene) -> None:
    scene.add("page.wav", b"<!DOCTYPE html><html></html>")
    scene.project("alice", "page.wav", "gone.wav")
    lines = migrate(terminal, code=PARTLY)
    assert "! page.wav  (alice)  not_audio: it is text/html" in lines
    assert "! gone.wav  (alice)  vanished: a project names it, and it is not there" in lines


def test_too_many_failures_stop_it(terminal: Terminal, scene: Scene) -> None:
    for n in range(5):
        scene.add(f"{n}.wav", b"")
    scene.project("alice", *(f"{n}.wav" for n in range(5)))
    lines = migrate(terminal, "--max-failures", "2", "--workers", "1", code=STOPPED)
    assert "stopped                  2 failures, max_failures is 2" in lines


def test_globs_bandwidth_and_erasing(terminal: Terminal, scene: Scene) -> None:
    for name in ("a.wav", "b.mp3"):
        scene.add(name)
    scene.project("alice", "/audio/a.wav", "/audio/b.mp3")
    words = ("--prefix", "/audio/", "--include", "*.wav", "--exclude", "x*", "--bandwidth", "1GB", "--delete-originals")
    assert "originals erased         1 file" in migrate(terminal, *words, "--journal", "journal.db")
    assert [each.name for each in scene.uploads.iterdir()] == ["b.mp3"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "where the projects are"),
        (("--projects", "supabase"), "SUPABASE_URL"),
        (("--projects", "app.db", "--from", "nowhere"), "no backend"),
        (("--projects", "app.db", "--upload-folder", "nowhere"), "no folder"),
        (("--projects", "app.db", "verify", "--dry-run"), "--dry-run"),
        (("--projects", "app.db", "--workers", "0"), "--workers"),
        (("--projects", "app.db", "--bandwidth", "fast"), "--bandwidth"),
    ],
)
def test_wrong_words_are_wrong_usage(terminal: Terminal, scene: Scene, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in terminal.run("migrate", *words, code=Outcome.USAGE).stderr


def test_a_missing_table_of_projects_is_told(terminal: Terminal, scene: Scene) -> None:
    terminal.run("migrate", "--projects", "none.db", "--upload-folder", "uploads", code=Outcome.NOT_FOUND)


def test_a_folder_that_is_the_stores_own_is_recorded_in_place(terminal: Terminal, scene: Scene) -> None:
    terminal.root = scene.uploads
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    assert "in_place" in terminal.run("migrate", "--projects", "app.db", code=Outcome.USAGE).stderr
    terminal.run("migrate", "--projects", "app.db", "--in-place")
    assert [each["key"] for each in terminal.files()] == ["a.wav"]


def test_a_backend_of_the_store_is_emptied(terminal: Terminal, cloud: Cloud) -> None:
    put = terminal.put()
    cloud.fake.create_bucket(BUCKET)
    assert cloud.run("migrate", "--from", "local", "--check", "etag").stdout.splitlines()[1].split()[1] == "1"
    (file,) = [json.loads(line) for line in cloud.run("ls", "--owner", "alice", "--json").stdout.splitlines()]
    assert (file["backend"], file["id"]) == ("supabase", put)


def test_the_cloud_of_the_settings_is_the_target_and_has_the_projects(cloud: Cloud, scene: Scene) -> None:
    columns = {"id": "text", "user_id": "text", "project_data": "text", "updated_at": "timestamptz"}
    data = json.dumps({"chapters": [{"id": 1, "sections": [{"id": 1, "audioPath": "a.wav"}]}]})
    cloud.fake.table("projects", columns, primary_key="id")
    headers = {"apikey": cloud.fake.service_key, "Authorization": f"Bearer {cloud.fake.service_key}"}
    row = {"id": "p1", "user_id": "alice", "project_data": data}
    httpx.post(f"{cloud.env['SUPABASE_URL']}/rest/v1/projects", headers=headers, json=row, trust_env=False)
    cloud.fake.create_bucket(BUCKET)
    scene.add("a.wav")
    words = ("--upload-folder", "uploads")
    assert cloud.run("migrate", *words).stdout.splitlines()[1].split() == ["migrated", "1", "file"]
    cloud.run("migrate", "verify", *words)
    assert '"storageBackend": "supabase"' in cloud.fake.rows("projects")[0]["project_data"]
