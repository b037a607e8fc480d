"""export: a book becomes files, from a project's JSON or from what is stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from audiostore.audio import probe
from tests.cli.terminal import Terminal
from tests.export.shelf import SPEECH, ffprobe, names_in
from tests.export.test_export import PICTURE


@pytest.fixture
def reading(terminal: Terminal) -> Terminal:
    """A store that holds the first chapter of a book, of two sections."""
    shutil.copy(SPEECH, terminal.take)
    for section in ("1", "2"):
        terminal.put("--project", "p1", "--chapter", "1", "--section", section)
    return terminal


def project_of(terminal: Terminal, **more: object) -> Path:
    """Write the JSON of a project with one section that is there, and one that is not."""
    sections = [{"audioPath": terminal.files()[0]["key"]}, {"name": "gone", "audioPath": "alice/no.wav"}]
    path = terminal.folder / "project.json"
    path.write_text(json.dumps({"title": "Tides", "chapters": [{"name": "Ebb", "sections": sections}], **more}))
    return path


def test_all_that_is_stored_in_a_project_becomes_a_book(reading: Terminal) -> None:
    told = reading.run(
        *("export", "--project", "p1", "--owner", "alice", "--to", "out", "--title", "Tides", "--author", "A. Writer"),
        *("--format", "mp3", "--format", "m4b", "--gap", "500ms", "--fade", "10ms", "--trim", "--zip"),
        *("--cover", PICTURE, "--bit-rate", "64000"),
    ).stdout
    out = reading.folder / "out"
    assert names_in(out) == ["01 - Chapter 1.mp3", "Tides.m4b", "Tides.zip", "metadata.json"]
    assert all(name in told for name in names_in(out))
    assert "out  4 files" in told
    tags = ffprobe(out / "Tides.m4b")["format"]["tags"]
    assert (tags["title"], tags["artist"]) == ("Tides", "A. Writer")
    assert probe(out / "Tides.m4b").cover is not None


def test_a_projects_json_is_a_book_and_what_is_missing_is_told(reading: Terminal) -> None:
    project = project_of(reading, audioFormat="flac", exportMetadataFlag=False)
    ran = reading.run("export", project, "--owner", "alice", "--to", "out", code=6)
    assert "1 section missing" in ran.stdout
    assert "audiostore: missing: chapter 1, section 2 (gone): missing" in ran.stderr
    assert names_in(reading.folder / "out") == ["01 - Ebb.flac"]
    told = reading.json("export", project, "--owner", "alice", "--to", "out", "--overwrite", code=6)
    assert [each["reason"] for each in told["missing"]] == ["missing"]
    assert (told["folder"], told["state"]) == ("out", "finished")


def test_it_goes_to_the_export_folder(reading: Terminal) -> None:
    reading.run("export", "--project", "p1", "--owner", "alice", "--no-audio")
    assert names_in(reading.folder / "exports") == ["p1/metadata.json"]


def test_failures_have_their_own_exit_codes(reading: Terminal) -> None:
    project = project_of(reading)
    assert reading.error("export", project, "--owner", "alice", "--strict", code=3)["error"] == "SectionsMissing"
    assert reading.error("export", project, "--owner", "alice", "--cover", project, code=4)["code"] == "cover"
    reading.run("export", "--owner", "alice", code=2)
    reading.run("export", project, "--project", "p1", "--owner", "alice", code=2)
    reading.run("export", project, "--owner", "alice", "--gap", "soon", code=2)
    reading.run("export", project, "--owner", "alice", "--no-audio", "--no-metadata", code=2)
    reading.run("export", "--project", "p1", "--owner", "alice", "--to", "out")
    assert (
        reading.error("export", "--project", "p1", "--owner", "alice", "--to", "out", code=4)["error"]
        == "AlreadyExists"
    )
    project.write_text("[]")
    assert reading.error("export", project, "--owner", "alice", code=2)["error"] == "InvalidBook"
    # Somebody else has nothing there, so there is nothing to hear.
    told = reading.json("export", "--project", "p1", "--owner", "bob", "--to", "other")
    assert [each["name"] for each in told["files"]] == ["metadata.json"]
