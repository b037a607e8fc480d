"""Over a hundred hostile files, each judged in time and memory; none opens another file, none leaves anything."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audiostore.audio import probe
from audiostore.errors import UnsupportedAudio
from tests.audio_processing.hostile import CANARY, FOLDER, PORT, Case, corpus
from tests.audio_processing.signals import ROOT, SAMPLES

CASES = {case.name: case for case in corpus()}
SECONDS = 5.0
MEMORY = 256 * 1024 * 1024
LONG_AGO = 1_000_000_000


@dataclass(frozen=True)
class Judged:
    told: dict[str, dict[str, Any]]
    memory: int
    canary_was_read: bool
    visitors: int
    temporary: list[str]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder, root, outside, temporary = (tmp_path_factory.mktemp(name) for name in ("files", "store", "out", "tmp"))
    canary = outside / CANARY
    shutil.copy(SAMPLES / "speech.mp3", canary)
    os.utime(canary, (LONG_AGO, LONG_AGO + 1))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = str(server.getsockname()[1]).encode()
        for case in CASES.values():
            content = case.make().replace(PORT, port).replace(FOLDER, bytes(outside))
            (folder / (case.name + case.suffix)).write_bytes(content)
        judge = Path(__file__).with_name("judge.py")
        ran = subprocess.run(
            [sys.executable, judge, folder, root],
            env={"PATH": "", "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(temporary)},
            cwd=outside,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        visitors = _visitors(server)
    *lines, memory = map(json.loads, ran.stdout.splitlines())
    told = {each["name"]: each for each in lines}
    left = [each.name for each in temporary.iterdir()]
    return Judged(told, memory, canary.stat().st_atime != LONG_AGO, visitors, left)


def _visitors(server: socket.socket) -> int:
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(CASES) == len(corpus()) >= 80
    assert len(LISTS) > 5
    assert sum(case.accepted for case in CASES.values()) >= 15, "not everything is refused"


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_judged_rightly_and_in_time(name: str, judged: Judged) -> None:
    case, told = CASES[name], judged.told[name]
    if case.accepted or (case.either and told["accepted"]):
        assert told["accepted"], told
        assert 0 < told["duration"] <= case.lasts, "what is there, not what a header promises"
    else:
        assert told.get("error") == "UnsupportedAudio", told
        assert told["code"] != "crashed", told
        assert not case.refused or told["code"] in case.refused, told
    assert told["seconds"] < SECONDS + 1, "the limit, and what it takes to end a process"
    assert told["left"] == 0, "nothing stays in the staging place"


def test_no_file_takes_more_than_256_mib(judged: Judged) -> None:
    assert 30 * 1024 * 1024 < judged.memory < MEMORY, "a decoder alone takes the former"


def test_no_file_reaches_out_of_itself(judged: Judged, tmp_path: Path) -> None:
    assert judged.visitors == 0
    control = tmp_path / "control"
    control.write_bytes(b"x")
    os.utime(control, (LONG_AGO, LONG_AGO + 1))
    control.read_bytes()
    if control.stat().st_atime == LONG_AGO:
        pytest.skip("this file system does not record when a file was read, so the canary can't sing")
    assert not judged.canary_was_read


def test_nothing_is_left_on_disk(judged: Judged) -> None:
    assert [name for name in judged.temporary if not name.startswith("audiostore-staging")] == []


LISTS = [case for case in CASES.values() if case.refused == ("type",) and CANARY.encode() in case.make()]


@pytest.mark.parametrize("case", LISTS, ids=lambda case: case.name)
def test_a_list_is_refused_beside_the_file_it_names(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLES / "speech.mp3", tmp_path / CANARY)
    path = tmp_path / f"song{case.suffix}"
    path.write_bytes(case.make().replace(FOLDER, bytes(tmp_path)))
    for exact in (False, True):
        with pytest.raises(UnsupportedAudio):
            probe(path, exact=exact)
        with path.open("rb") as file, pytest.raises(UnsupportedAudio):
            probe(file, exact=exact)
