"""Waveforms: audiowaveform's JSON, every peak where it belongs, in memory that does not grow."""

from __future__ import annotations

import array
import io
import json
import struct
from datetime import timedelta
from pathlib import Path

import pytest

from audiostore import AudioStore, NotFound, UnsupportedAudio
from audiostore.audio import join, peaks, transcode, waveform
from tests.audio_processing import crafted as made
from tests.audio_processing.signals import SAMPLES, TAKE, encode, wav_file


def test_it_is_what_audiowaveform_writes() -> None:
    wave = peaks(TAKE, points=500)
    assert list(wave) == ["version", "channels", "sample_rate", "samples_per_pixel", "bits", "length", "data"]
    assert (wave["version"], wave["channels"], wave["sample_rate"], wave["bits"]) == (2, 1, 22_050, 8)
    assert (wave["length"], len(wave["data"])) == (500, 1000)
    assert wave["samples_per_pixel"] == round(99_853 / 500)
    assert all(-128 <= value <= 127 for value in wave["data"])
    assert json.loads(json.dumps(wave)) == wave


@pytest.mark.parametrize("points", [1, 7, 100, 1000, 3000])
def test_every_point_is_the_lowest_and_highest_of_its_samples(points: int) -> None:
    samples = array.array("h", TAKE.read_bytes()[44:])
    wave = peaks(TAKE, points=points, bits=16)
    assert (min(wave["data"]), max(wave["data"])) == (min(samples), max(samples))
    width = len(samples) / points
    slack = int(width / 4) + 2
    for point in range(points):
        low, high = wave["data"][2 * point : 2 * point + 2]
        start, end = int(point * width), int((point + 1) * width)
        around = samples[max(0, start - slack) : end + slack]
        assert min(around) <= low <= high <= max(around)


def test_a_click_is_where_it_was() -> None:
    samples = [0] * 80_000
    samples[60_000] = 32_000
    wave = peaks(io.BytesIO(made.wav(struct.pack("<80000h", *samples))), points=100)
    assert [at for at, value in enumerate(wave["data"][1::2]) if value] == [75]


def test_fewer_samples_than_points_are_as_many_points() -> None:
    wave = peaks(io.BytesIO(made.wav(struct.pack("<5h", 1, -2, 3000, -4000, 5))), points=1000, bits=16)
    assert (wave["length"], wave["samples_per_pixel"]) == (5, 1)
    assert wave["data"][4:8] == [3000, 3000, -4000, -4000]


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF])
def test_a_header_that_lies_about_the_length_does_no_harm(declared: int) -> None:
    wave = peaks(io.BytesIO(made.wav(made.PCM, declared=declared)), points=200)
    honest = peaks(io.BytesIO(made.wav(made.PCM)), points=200)
    assert wave["length"] == 200
    assert wave["data"] == honest["data"]


def test_more_bins_than_there_is_room_for_are_folded() -> None:
    long = made.flac_bomb(hours=0.5, rate=44_100, channels=1, total=44_100)
    wave = peaks(io.BytesIO(long), points=10)
    assert (wave["length"], set(wave["data"])) == (10, {0})


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "flac", "ogg", "opus", "webm"])
def test_every_format_has_a_waveform(suffix: str) -> None:
    wave = peaks(SAMPLES / f"speech.{suffix}", points=50)
    assert max(wave["data"]) > 40
    assert wave["length"] == 50


def test_float_is_not_taken_for_noise(tmp_path: Path) -> None:
    whole = peaks(wav_file(tmp_path / "a.wav"), points=50)["data"]
    float_ = peaks(wav_file(tmp_path / "b.wav", bits=32, is_float=True), points=50)["data"]
    assert max(abs(one - other) for one, other in zip(whole, float_, strict=True)) <= 1


def test_a_wav_that_is_read_as_it_is_looks_like_one_that_is_decoded(tmp_path: Path) -> None:
    same = join([TAKE], tmp_path / "same.flac", to="flac").path
    for points in (1, 300):
        assert peaks(TAKE, points=points, bits=16) == peaks(same, points=points, bits=16)


@pytest.mark.parametrize("suffix", ["mp3", "m4a"])
def test_what_is_decoded_frame_by_frame_has_the_peaks_of_its_samples(suffix: str, tmp_path: Path) -> None:
    # The WAV is written frame by frame; the waveform takes many at a time.
    transcode(SAMPLES / f"speech.{suffix}", tmp_path / "same.wav", to="wav", channels=1, bit_depth=16)
    one, other = (peaks(each, points=100, bits=16) for each in (SAMPLES / f"speech.{suffix}", tmp_path / "same.wav"))
    assert one["data"] == other["data"]


def test_a_recording_that_becomes_stereo_on_the_way_is_seen_to_its_end(tmp_path: Path) -> None:
    loud = encode(
        wav_file(tmp_path / "a.wav"), tmp_path / "a.mp3", "libmp3lame", rate=44_100, layout="mono", muxer="mp3"
    )
    then = encode(tmp_path / "a.wav", tmp_path / "b.mp3", "libmp3lame", rate=44_100, layout="stereo", muxer="mp3")
    (tmp_path / "c.mp3").write_bytes(loud.read_bytes() + then.read_bytes())
    wave, half = peaks(tmp_path / "c.mp3", points=60), peaks(loud, points=30)
    assert wave["samples_per_pixel"] == pytest.approx(half["samples_per_pixel"], rel=0.02)
    assert all(max(wave["data"][at : at + 12]) > 20 for at in range(0, 120, 12))


def test_a_stored_file_has_one(tmp_path: Path) -> None:
    with AudioStore.local(tmp_path / "uploads") as store, store.open(store.put(TAKE, owner="alice")) as stored:
        assert peaks(stored, points=20) == peaks(TAKE, points=20)


def test_what_is_no_number_of_points_is_refused() -> None:
    for points, bits in ((0, 8), (10_000_000, 8), (100, 12)):
        with pytest.raises(ValueError, match="points"):
            peaks(TAKE, points=points, bits=bits)


# --- in a process of its own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["speech.mp3", "speech.flac", "speech.opus", "speech.wav"])
def test_another_process_draws_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = peaks(SAMPLES / name, points=300, bits=16)
    monkeypatch.setattr(waveform, "opened", None)  # what reads here, reads no more
    assert peaks(str(SAMPLES / name), points=300, bits=16, isolated=True) == here


def test_another_process_tells_how_far_it_is_and_is_bounded(tmp_path: Path) -> None:
    shares: list[float] = []
    many = peaks(TAKE, points=90_000, isolated=True, progress=shares.append)
    assert (many["length"], shares == sorted(shares)) == (90_000, True)
    bomb = tmp_path / "bomb.flac"
    bomb.write_bytes(made.flac_bomb(hours=4, rate=192_000, channels=8))
    with pytest.raises(UnsupportedAudio) as refused:
        peaks(bomb, isolated=True, timeout=timedelta(seconds=1))
    assert refused.value.code == "timeout"


def test_another_process_refuses_as_this_one_does(tmp_path: Path) -> None:
    for refused, source in (
        (UnsupportedAudio, SAMPLES / "README.md"),
        (NotFound, tmp_path / "missing.wav"),
        (TypeError, io.BytesIO(made.MP3)),
    ):
        with pytest.raises(refused):
            peaks(source, isolated=True)
