"""pydub's segments: in and out of the store, decoded rightly, never too long, and quiet about it."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore, NotFound, QuotaExceeded, UnsupportedAudio
from audiostore.audio import probe, put_segment, read_segment, segment
from audiostore.quota import FixedQuota
from tests.audio_processing import crafted as made
from tests.audio_processing.signals import ROOT, SAMPLES, TAKE, wav_file


@pytest.fixture
def store(tmp_path: Path) -> AudioStore:
    return AudioStore.local(tmp_path / "uploads")


def test_a_stored_file_comes_as_a_segment_and_goes_back(store: AudioStore) -> None:
    take = store.put(TAKE, owner="alice")
    whole: Any = segment(store, take)
    assert (whole.frame_rate, whole.channels, whole.sample_width) == (22_050, 1, 2)
    assert whole.duration_seconds == pytest.approx(4.5285, abs=0.001)
    assert whole.raw_data == TAKE.read_bytes()[44:]
    edited = whole[:1000].fade_in(10).append(whole[2000:3000], crossfade=20)
    file = put_segment(store, edited, to="flac", owner="alice", project="p", filename="edited.flac", metadata={"a": 1})
    assert (file.filename, file.content_type, file.project) == ("edited.flac", "audio/flac", "p")
    again: Any = segment(store, file)
    assert again.raw_data == edited.raw_data


@pytest.mark.parametrize("to", ["wav", "mp3", "m4a", "flac", "opus"])
def test_a_segment_is_stored_in_every_format(to: str, store: AudioStore) -> None:
    file = put_segment(store, read_segment(TAKE), to=to, owner="alice")
    assert file.filename == f"audio.{to}"
    with store.open(file) as stored:
        info = probe(stored, exact=True)
    assert info.format == to
    assert info.duration == pytest.approx(4.5285, abs=0.03)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("speech.*")), ids=lambda path: path.name)
def test_every_format_becomes_a_segment(path: Path) -> None:
    whole: Any = read_segment(path)
    assert whole.duration_seconds == pytest.approx(1.07, abs=0.1)
    assert -40 < whole.dBFS < -5


def test_float_and_24_bit_are_read_as_what_they_are(tmp_path: Path) -> None:
    plain: Any = read_segment(wav_file(tmp_path / "a.wav"))
    for bits, is_float in ((24, False), (32, True)):
        deep: Any = read_segment(wav_file(tmp_path / "b.wav", bits=bits, is_float=is_float))
        assert deep.sample_width == 4
        assert deep.dBFS == pytest.approx(plain.dBFS, abs=0.05)


def test_a_wav_without_a_size_is_not_empty() -> None:
    whole: Any = read_segment(io.BytesIO(made.wav(declared=0)))
    assert whole.duration_seconds == pytest.approx(1.0, abs=0.01)


def test_what_is_too_long_is_refused_before_it_is_in_memory(store: AudioStore) -> None:
    take = store.put(TAKE, owner="alice")
    with pytest.raises(UnsupportedAudio) as refused:
        segment(store, take, max_duration=timedelta(seconds=2))
    assert refused.value.code == "too_long"
    liar = io.BytesIO(made.flac_bomb(hours=1, rate=44_100, channels=1, total=44_100))
    with pytest.raises(UnsupportedAudio) as refused:
        read_segment(liar, max_duration=timedelta(seconds=10))
    assert refused.value.code == "too_long"


def test_the_owner_and_the_quota_hold_for_segments(store: AudioStore, tmp_path: Path) -> None:
    take = store.put(TAKE, owner="alice")
    with pytest.raises(NotFound):
        segment(store, take.id, owner="bob")
    with pytest.raises(TypeError):
        segment(store, take.id)
    small = AudioStore.local(tmp_path / "small", quota=FixedQuota("10 KB"))
    with pytest.raises(QuotaExceeded):
        put_segment(small, read_segment(TAKE), to="wav", owner="alice")
    assert small.usage("alice").files == 0


def test_a_segment_that_can_not_be_written_is_refused(store: AudioStore) -> None:
    whole: Any = read_segment(TAKE)
    wishes: list[dict[str, Any]] = [{"to": "exe"}, {"to": "mp3", "bit_rate": 1}]
    for wrong in wishes:
        with pytest.raises(ValueError, match=r"written|bit_rate"):
            put_segment(store, whole, owner="alice", **wrong)


def test_warnings_stay_inside_and_no_program_is_looked_for() -> None:
    program = f"""
import warnings
from audiostore.audio import put_segment, read_segment, segment
print(read_segment({str(TAKE)!r}).frame_rate)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout.strip(), ran.stderr) == ("22050", "")
