"""Loudness: measured as FFmpeg's own program measures it, and brought to each preset."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest

from audiostore import AudioStore, UnsupportedAudio
from audiostore.audio import PRESETS, Part, acx_check, convert, join, measure, normalise, probe
from tests.audio_processing import crafted as made
from tests.audio_processing.asking import asked_of_ffmpeg
from tests.audio_processing.signals import TAKE, wav_file


@pytest.fixture(params=["speech", "music", "music in 8 channels"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "speech":
        return TAKE
    channels = 8 if "8" in request.param else 2
    return wav_file(tmp_path / "music.wav", channels=channels, rate=48_000)


def test_it_measures_what_ffmpeg_measures(recording: Path) -> None:
    ours, theirs = measure(recording), asked_of_ffmpeg(recording)
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(value, abs=0.5), name


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("to", ["wav", "mp3", "m4a", "flac", "opus"])
def test_each_preset_is_reached_in_each_format(preset: str, to: str, tmp_path: Path) -> None:
    path = tmp_path / f"made.{to}"
    normalise(TAKE, path, preset=preset, to=to)
    theirs, wished = asked_of_ffmpeg(path), PRESETS[preset]
    assert theirs[wished.measure] == pytest.approx(wished.level, abs=0.5)
    assert theirs["true_peak"] <= wished.ceiling + 0.5, "the encoder adds a little"
    assert probe(path, exact=True).duration == pytest.approx(4.5285, abs=0.03)


def test_peaks_that_would_be_too_high_are_limited_and_no_others(tmp_path: Path) -> None:
    quiet = wav_file(tmp_path / "music.wav")
    loud = normalise(quiet, tmp_path / "loud.wav", preset="podcast", to="wav")
    assert loud.true_peak <= -0.9
    gentle = normalise(quiet, tmp_path / "gentle.wav", preset="ebu_r128", to="wav")
    before = measure(quiet)
    assert gentle.true_peak - before.true_peak == pytest.approx(gentle.rms - before.rms, abs=0.1), "a gain, no more"


def test_an_acx_check_passes_what_was_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "chapter.mp3"
    normalise(TAKE, path, preset="acx", to="mp3", sample_rate=44_100, bit_rate=192_000, room_tone=True)
    check = acx_check(path)
    assert check.ok, check.issues
    loudness = measure(path)
    assert 0.5 <= loudness.head <= 1.0
    assert 1.0 <= loudness.tail <= 5.0
    assert loudness.noise_floor < -60


def test_an_acx_check_tells_what_is_wrong() -> None:
    check = acx_check(TAKE)
    wrong = {each.name for each in check.findings if not each.ok}
    assert not check.ok
    assert wrong == {"peak", "noise floor", "silence before", "silence after", "sample rate", "format"}
    assert any("22050" in each for each in check.issues)
    assert check.as_dict()["ok"] is False


def test_silence_is_measured_and_not_made_louder(tmp_path: Path) -> None:
    silence = io.BytesIO(made.wav(bytes(16_000)))
    measured = measure(silence)
    assert (measured.rms, measured.peak, measured.true_peak, measured.noise_floor) == (-120, -120, -120, -120)
    assert measured.head == pytest.approx(1.0, abs=0.02)
    with pytest.raises(UnsupportedAudio) as refused:
        normalise(silence, tmp_path / "loud.wav", to="wav")
    assert refused.value.code == "silent"


def test_head_and_tail_are_where_the_sound_is_not() -> None:
    file = io.BytesIO(made.wav(bytes(16_000) + made.PCM + bytes(32_000)))
    measured = measure(file)
    assert measured.head == pytest.approx(1.0, abs=0.1)
    assert measured.tail == pytest.approx(2.0, abs=0.2)


def test_a_store_can_keep_everything_at_one_loudness(tmp_path: Path) -> None:
    with AudioStore.local(tmp_path / "uploads", process=convert("flac", loudness="podcast")) as store:
        file = store.put(TAKE, owner="alice")
        with store.open(file) as stored:
            assert measure(stored).integrated == pytest.approx(-16, abs=0.5)


def test_the_same_recording_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("one.wav", "two.wav"):
        normalise(TAKE, tmp_path / name, preset="acx", to="wav", room_tone=True)
    assert (tmp_path / "one.wav").read_bytes()[100:] == (tmp_path / "two.wav").read_bytes()[100:]


def test_a_preset_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="podcast"):
        normalise(TAKE, tmp_path / "made.wav", preset="loud", to="wav")


# --- joined -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("to", ["wav", "mp3"])
def test_a_join_is_brought_to_a_preset_as_a_whole(preset: str, to: str, tmp_path: Path) -> None:
    quiet = Part(TAKE, gain=-12.0, gap_after=timedelta(seconds=0.5))
    joined = join([quiet, TAKE], tmp_path / f"whole.{to}", to=to, loudness=preset, sample_rate=44_100)  # type: ignore[arg-type]
    theirs, wished = asked_of_ffmpeg(joined.path), PRESETS[preset]
    assert theirs[wished.measure] == pytest.approx(wished.level, abs=0.5)
    assert theirs["true_peak"] <= wished.ceiling + 0.5, "the encoder adds a little"
    assert joined.marks[1].start == pytest.approx(4.5285 + 0.5, abs=0.001)


def test_a_chapter_is_made_so_that_the_check_has_nothing_to_say(tmp_path: Path) -> None:
    joined = join(
        [Part(TAKE, gap_after=timedelta(seconds=1)), TAKE],
        tmp_path / "chapter.mp3",
        loudness="acx",
        room_tone=True,
        sample_rate=44_100,
        bit_rate=192_000,
    )
    assert acx_check(joined.path).issues == ()
    assert joined.marks[0].start == pytest.approx(0.75, abs=0.06), "after the room tone"
    assert measure(joined.path).tail == pytest.approx(2.0, abs=0.1)
