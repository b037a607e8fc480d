"""probe, peaks, loudness: on a file of this disk, and on one in the store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal

TAKE = Path(__file__).parent.parent.parent / "examples" / "shared" / "take.wav"


@pytest.fixture
def speaking(terminal: Terminal) -> Terminal:
    shutil.copy(TAKE, terminal.take)
    return terminal


def test_probe_tells_what_a_file_is(speaking: Terminal) -> None:
    told = speaking.run("probe", speaking.take).stdout
    assert "pcm_s16le" in told
    assert "22050 Hz" in told
    assert "by its headers" in told
    facts = speaking.json("probe", speaking.take, "--exact")
    assert (facts["format"], facts["channels"], facts["exact"]) == ("wav", 1, True)


def test_a_file_in_the_store_is_told_by_its_id(speaking: Terminal) -> None:
    stored = speaking.put()
    assert speaking.json("probe", stored, "--owner", "alice")["sample_rate"] == 22_050
    assert speaking.error("probe", stored, "--owner", "bob", code=3)["error"] == "NotFound"
    assert speaking.json("loudness", stored, "--owner", "alice")["integrated"] < 0
    assert speaking.json("peaks", stored, "--owner", "alice", "--points", "9")["length"] == 9


def test_what_is_no_audio_is_refused(speaking: Terminal) -> None:
    text = speaking.folder / "notes.mp3"
    text.write_text("Dear diary,\n")
    assert speaking.error("probe", text, code=4)["code"] == "type"
    assert speaking.error("probe", speaking.folder / "missing.wav", code=3)["error"] == "NotFound"


def test_peaks_are_printed_or_written(speaking: Terminal) -> None:
    printed = json.loads(speaking.run("peaks", speaking.take, "--points", "50").stdout)
    output = speaking.folder / "take.json"
    told = speaking.run("peaks", speaking.take, "--points", "50", "--output", output).stdout
    assert "50 points" in told
    assert json.loads(output.read_text()) == printed
    assert speaking.json("peaks", speaking.take, "--output", output)["length"] == 1000
    speaking.run("peaks", speaking.take, "--output", speaking.folder / "no" / "such.json", code=3)


def test_loudness_and_the_acx_check(speaking: Terminal) -> None:
    told = speaking.run("loudness", speaking.take, "--acx").stdout
    assert "LUFS" in told
    assert "not within" in told
    checked = speaking.json("loudness", speaking.take, "--acx")
    assert checked["acx"]["ok"] is False
    assert "acx" not in speaking.json("loudness", speaking.take)
