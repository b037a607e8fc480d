"""Joining strangers' files in a process of its own; and that memory does not grow with what is joined."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import NotFound, UnsupportedAudio
from audiostore.audio import Chapter, Part, join, probe
from tests.audio_processing import crafted as made
from tests.audio_processing.signals import ROOT, SAMPLES, TAKE

PAUSE = timedelta(seconds=0.2)
PARTS = [
    Part(TAKE, title="Eins", fade_in=PAUSE, gap_after=PAUSE),
    Part(SAMPLES / "speech.mp3", title="Zwei", gain=3.0, trim=True, fade_out=PAUSE),
]
WISHES: dict[str, dict[str, Any]] = {
    "wav": {"to": "wav", "bit_depth": 24},
    "m4b": {"to": "m4b", "chapters": "parts", "cover": made.png_header(60, 40) + bytes(50), "tags": {"title": "Ü"}},
    "loud": {"to": "wav", "loudness": "acx", "room_tone": True},
    "chapters": {"to": "mp3", "chapters": [Chapter(start=0.0, end=1.0, title="x")], "reencode": True},
}


@pytest.mark.parametrize("wish", WISHES)
def test_another_process_makes_the_very_same_file(wish: str, tmp_path: Path) -> None:
    shares: list[float] = []
    here = join(PARTS, tmp_path / "here", **WISHES[wish])
    there = join(PARTS, tmp_path / "there", isolated=True, progress=shares.append, **WISHES[wish])
    assert there.path.read_bytes() == here.path.read_bytes()
    assert (there.how, there.duration, there.size, there.marks) == (here.how, here.duration, here.size, here.marks)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "there"]


def test_alike_parts_are_copied_there_too(tmp_path: Path) -> None:
    wave = join([TAKE] * 40, tmp_path / "whole.wav", to="wav", isolated=True)
    assert (wave.how, len(wave.marks)) == ("appended", 40)
    copied = join([SAMPLES / "speech.mp3"] * 3, tmp_path / "whole.mp3", isolated=True, reencode=False)
    assert copied.how == "copied"


def test_what_is_wrong_is_told_as_it_is_here(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedAudio) as refused:
        join([TAKE, SAMPLES / "README.md"], tmp_path / "whole.mp3", isolated=True)
    assert (refused.value.code, refused.value.part) == ("type", 1)
    with pytest.raises(NotFound, match="part 1"):
        join([TAKE, tmp_path / "missing.wav"], tmp_path / "whole.mp3", isolated=True)
    with pytest.raises(TypeError, match="part 0"):
        join([io.BytesIO(made.MP3)], tmp_path / "whole.mp3", isolated=True)
    with pytest.raises(ValueError, match="part 0: an edit"):
        join([Part(TAKE, edit=lambda segment: segment)], tmp_path / "whole.mp3", isolated=True)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_takes_too_long_is_given_up_and_nothing_is_left(tmp_path: Path) -> None:
    bomb, folder = tmp_path / "bomb.flac", tmp_path / "out"
    folder.mkdir()
    bomb.write_bytes(made.flac_bomb(hours=4, rate=44_100, channels=2))
    with pytest.raises(UnsupportedAudio) as refused:
        join([TAKE, bomb], folder / "whole.mp3", isolated=True, timeout=timedelta(seconds=1))
    assert refused.value.code == "timeout"
    with pytest.raises(UnsupportedAudio) as refused:
        join([TAKE, bomb], folder / "whole.mp3", isolated=True, max_part=timedelta(minutes=1))
    assert (refused.value.code, refused.value.part) == ("too_long", 1)
    assert list(folder.iterdir()) == []


def test_it_is_ended_with_all_that_it_made(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        if share > 0.05:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        join([TAKE] * 40, tmp_path / "whole.mp3", isolated=True, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell how much memory was used")
def test_memory_does_not_grow_with_what_is_joined(tmp_path: Path) -> None:
    """As benchmarks/audio_join.py shows for two hours of speech; here silence, which is quicker to encode."""
    quiet = tmp_path / "long.flac"
    quiet.write_bytes(made.flac_bomb(hours=0.25, rate=22_050, channels=1))
    program = """
import pathlib, sys
from datetime import timedelta
from audiostore.audio import Part, join
part = Part(sys.argv[1], fade_in=timedelta(seconds=1), fade_out=timedelta(seconds=1), gap_after=timedelta(seconds=2))
join([part, part, part], sys.argv[2], to="flac")
status = pathlib.Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""
    words = [sys.executable, "-c", program, str(quiet), str(tmp_path / "made.flac")]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert probe(tmp_path / "made.flac").duration == pytest.approx(3 * (probe(quiet, exact=True).duration + 2), abs=0.1)
    assert int(ran.stdout) < 100 * 1024, "kilobytes; the library and FFmpeg alone are half of them"
