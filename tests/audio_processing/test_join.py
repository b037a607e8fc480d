"""Joining by encoding once: what is done to each part, what all parts become, and what is told of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import Cancelled, NotFound, UnsupportedAudio
from audiostore.audio import Part, join, probe
from tests.audio_processing import crafted as made
from tests.audio_processing.bursts import LOUD, decoded, heard, samples_file, tone, tone_part
from tests.audio_processing.signals import SAMPLES, TAKE, wav_file

FULL = 32_768


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def values(path: Path) -> list[int]:
    return [round(each * FULL) for each in heard(path)[0]]


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A tenth of a second of one value: what is done to it can be read off."""
    return samples_file(tmp_path / "flat.wav", [10_000] * 4_410)


@pytest.mark.parametrize("to", ["wav", "mp3", "m4a", "m4b", "flac", "opus"])
def test_whatever_the_parts_are_they_become_one(to: str, tmp_path: Path) -> None:
    names = ("speech.wav", "speech.mp3", "speech.m4a", "speech.flac", "speech.ogg", "speech.opus", "speech.webm")
    parts = [SAMPLES / name for name in names]
    joined = join([*parts, TAKE], tmp_path / f"whole.{to}", to=to)
    whole = sum(probe(path, exact=True).duration for path in parts) + 4.5285
    assert joined.how == "encoded"
    assert joined.duration == pytest.approx(whole, abs=0.03)
    assert probe(joined.path, exact=True).duration == pytest.approx(whole, abs=0.06)
    assert joined.size == joined.path.stat().st_size
    assert [mark.start for mark in joined.marks[1:]] == [mark.end for mark in joined.marks[:-1]]
    assert all(mark.end - mark.start == pytest.approx(1.066, abs=0.03) for mark in joined.marks[:-1])


def test_gaps_are_silence_of_exactly_that_length(flat: Path, tmp_path: Path) -> None:
    parts = [Part(flat, gap_before=seconds(0.05), gap_after=seconds(0.2)), Part(flat, gap_before=seconds(0.1))]
    joined = join(parts, tmp_path / "whole.wav", to="wav", reencode=True)
    assert values(joined.path) == [0] * 2_205 + [10_000] * 4_410 + [0] * 13_230 + [10_000] * 4_410
    assert [(mark.start, mark.end) for mark in joined.marks] == [(0.05, 0.15), (0.45, 0.55)]


def test_fades_are_of_the_part_and_straight(flat: Path, tmp_path: Path) -> None:
    part = Part(flat, fade_in=seconds(0.02), fade_out=seconds(0.04))
    faded = values(join([part, flat], tmp_path / "whole.wav", to="wav").path)
    assert len(faded) == 8_820
    assert faded[0] == 0
    assert faded[441] == pytest.approx(5_000, abs=20), "half way up"
    assert set(faded[882 : 4_410 - 1_764]) == {10_000}
    assert faded[4_410 - 882] == pytest.approx(5_000, abs=20), "half way down"
    assert faded[4_409] == pytest.approx(0, abs=20)
    assert set(faded[4_410:]) == {10_000}, "the next part is as it was"


def test_a_fade_that_is_longer_than_the_part_is_over_all_of_it(flat: Path, tmp_path: Path) -> None:
    faded = values(join([Part(flat, fade_out=seconds(60))], tmp_path / "whole.wav", to="wav").path)
    assert len(faded) == 4_410
    assert [faded[2_205], faded[-1]] == pytest.approx([5_000, 0], abs=20)


def test_gain_is_in_decibels(flat: Path, tmp_path: Path) -> None:
    changed = values(join([Part(flat, gain=-6.0206), flat], tmp_path / "whole.wav", to="wav").path)
    assert set(changed[:4_410]) == {5_000}
    assert set(changed[4_410:]) == {10_000}


def test_trimming_takes_the_silence_at_both_ends(tmp_path: Path) -> None:
    around, within = [3] * 22_050, [0] * 8_820  # some noise, and a pause that stays
    part = samples_file(tmp_path / "part.wav", [*around, *tone(440, 0.5), *within, *tone(440, 0.5), *around])
    joined = join([Part(part, trim=True)], tmp_path / "whole.wav", to="wav")
    assert joined.duration == pytest.approx(1.2 + 2 * 0.03, abs=0.011)
    trimmed = values(joined.path)
    first = next(at for at, value in enumerate(trimmed) if abs(value) > 100)
    assert first == pytest.approx(0.03 * 44_100, abs=441), "a word begins before it is loud"
    assert trimmed[first : first + 22_050] == pytest.approx(tone(440, 0.5), abs=1)


def test_a_part_that_is_silent_throughout_is_not_trimmed_away(tmp_path: Path) -> None:
    pause = samples_file(tmp_path / "pause.wav", [0] * 4_410)
    assert join([Part(pause, trim=True)], tmp_path / "whole.wav", to="wav").duration == pytest.approx(0.1)


def test_a_hook_edits_a_part_with_pydub_after_trimming_and_before_gain(tmp_path: Path) -> None:
    part = samples_file(tmp_path / "part.wav", [*range(100, 10_100), *[0] * 22_050])
    seen: list[int] = []

    def backwards(segment: Any) -> Any:
        seen.append(segment.frame_count())
        return segment.reverse()

    edited = values(join([Part(part, edit=backwards, gain=-6.0206)], tmp_path / "w.wav", to="wav").path)
    assert seen == [len(edited)], "once, with all of the part"
    assert edited[22_050] == pytest.approx(10_099 / 2, abs=1)
    assert edited[-1] == pytest.approx(50, abs=1)
    trimmed = join([Part(part, edit=backwards, trim=True)], tmp_path / "w.wav", to="wav")
    assert seen[1] < 13_000
    assert seen[1] == round(trimmed.duration * 44_100)


def test_what_is_too_long_to_be_edited_in_memory_is_refused(flat: Path, tmp_path: Path) -> None:
    parts = [flat, Part(TAKE, edit=lambda segment: segment)]
    with pytest.raises(UnsupportedAudio) as refused:
        join(parts, tmp_path / "whole.wav", to="wav", max_edit=seconds(4))
    assert (refused.value.code, refused.value.part) == ("too_long", 1)
    assert join(parts, tmp_path / "whole.wav", to="wav", max_edit=seconds(5)).duration > 4.5


def test_the_highest_rate_depth_and_number_of_channels_are_kept(tmp_path: Path) -> None:
    stereo = wav_file(tmp_path / "stereo.wav", bits=24, rate=48_000)
    low = tone_part(tmp_path / "low.wav", 440, 0.5, rate=8_000)
    info = probe(join([low, stereo], tmp_path / "whole.wav", to="wav").path)
    assert (info.sample_rate, info.channels, info.bit_depth) == (48_000, 2, 24)
    info = probe(join([low, stereo], tmp_path / "whole.flac", to="flac", sample_rate=16_000, channels=1).path)
    assert (info.sample_rate, info.channels, info.bit_depth) == (16_000, 1, 24)


def test_a_mono_part_beside_a_stereo_one_is_as_loud_as_it_was(flat: Path, tmp_path: Path) -> None:
    stereo = samples_file(tmp_path / "stereo.wav", [1_000, -2_000] * 4_410, channels=2)
    joined = join([flat, stereo], tmp_path / "whole.wav", to="wav")
    samples = memoryview(decoded(joined.path)).cast("h").tolist()
    assert set(samples[:8_820]) == {7_071}, "two speakers at this level are as loud as one was"
    assert samples[-2:] == [1_000, -2_000]


def test_files_are_read_and_put_back(tmp_path: Path) -> None:
    file = io.BytesIO(made.MP3)
    file.seek(7)
    joined = join([file, Part(file), SAMPLES / "speech.wav"], tmp_path / "whole.flac", to="flac")
    assert len(joined.marks) == 3
    assert (file.tell(), file.closed) == (7, False)


def test_a_part_may_be_what_is_written_over(flat: Path) -> None:
    assert join([flat, flat], flat, to="wav", reencode=True).duration == pytest.approx(0.2)
    assert join([flat, flat], flat, to="wav").duration == pytest.approx(0.4)


# --- what can go wrong ------------------------------------------------------------------------------------------------


def truncated(folder: Path, to: str) -> Path:
    path = join([TAKE], folder / f"whole.{to}", to=to).path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


WRONG: dict[str, tuple[str, Callable[[Path], Path | io.BytesIO]]] = {
    "a page": ("type", lambda folder: SAMPLES / "README.md"),
    "nothing": ("empty", lambda folder: io.BytesIO()),
    "a header and no sound": ("no_audio", lambda folder: io.BytesIO(made.wav(b""))),
    "half a wav": ("truncated", lambda folder: io.BytesIO(TAKE.read_bytes()[:50_000])),
    "half a flac": ("truncated", lambda folder: truncated(folder, "flac")),
    "half an mp3": ("truncated", lambda folder: io.BytesIO(made.MP3[:2_400])),
    "half an opus": ("truncated", lambda folder: truncated(folder, "opus")),
}


@pytest.mark.parametrize("to", ["wav", "mp3"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_part_that_is_not_all_there_is_named(wrong: str, to: str, tmp_path: Path) -> None:
    code, make = WRONG[wrong]
    folder, kept = tmp_path / "out", tmp_path / "out" / "kept.mp3"
    folder.mkdir()
    kept.write_bytes(b"what was there before")
    with pytest.raises(UnsupportedAudio) as refused:
        join([TAKE, Part(make(tmp_path), title="Two"), TAKE], kept, to=to)
    assert (refused.value.code, refused.value.part) == (code, 1)
    assert "part 1 (Two)" in str(refused.value)
    assert [path.name for path in folder.iterdir()] == ["kept.mp3"]
    assert kept.read_bytes() == b"what was there before"


def test_no_parts_and_no_such_part_and_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedAudio) as refused:
        join([], tmp_path / "whole.mp3")
    assert refused.value.code == "empty"
    with pytest.raises(NotFound, match=r"part 1: .*missing"):
        join([TAKE, tmp_path / "missing.wav"], tmp_path / "whole.mp3")
    with pytest.raises(NotFound):
        join([TAKE], tmp_path / "no" / "such" / "folder.mp3")
    with pytest.raises(TypeError):
        join([42], tmp_path / "whole.mp3")
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_decodes_to_more_than_is_allowed_is_refused(tmp_path: Path) -> None:
    bomb = made.flac_bomb(hours=0.5, rate=8_000, channels=1)
    for content in (bomb, TAKE.read_bytes()):
        with pytest.raises(UnsupportedAudio) as refused:
            join([TAKE, io.BytesIO(content)][-1:], tmp_path / "whole.flac", to="flac", max_part=seconds(4))
        assert (refused.value.code, refused.value.part) == ("too_long", 0)


IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "format": {"to": "exe"},
    "channels": {"to": "mp3", "channels": 6},
    "chapters": {"chapters": "pages"},
    "cover": {"cover": b"GIF89a"},
    "preset": {"loudness": "loud"},
    "room tone alone": {"room_tone": True},
    "loudness without encoding": {"loudness": "acx", "reencode": False},
}


@pytest.mark.parametrize("wish", IMPOSSIBLE)
def test_a_wish_that_can_not_be_is_refused_before_anything_is_read(wish: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs, the kind does not
        join([tmp_path / "not looked at.wav"], tmp_path / "whole.mp3", **IMPOSSIBLE[wish])


@pytest.mark.parametrize("wrong", [{"gap_after": seconds(-1)}, {"fade_in": seconds(-1)}, {"gain": float("nan")}])
def test_a_part_that_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"negative|decibels"):
        Part(TAKE, **wrong)


# --- how far it is, and to end it -------------------------------------------------------------------------------------


@pytest.fixture(params=["appended", "copied", "encoded"])
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What to join so that it goes each of the three ways."""
    folder = tmp_path_factory.mktemp("parts")
    if request.param == "copied":
        section = join([TAKE] * 4, folder / "section.mp3", bit_rate=32_000).path
        return {"parts": [section] * 4, "to": "mp3", "how": "copied"}
    gain = 1.0 if request.param == "encoded" else 0.0
    return {"parts": [Part(TAKE, gain=gain)] * 6, "to": "wav", "how": request.param}


def test_progress_goes_from_nothing_to_all(way: dict[str, Any], tmp_path: Path) -> None:
    shares: list[float] = []
    joined = join(way["parts"], tmp_path / "whole", to=way["to"], progress=shares.append)
    assert joined.how == way["how"]
    assert len(shares) > 4
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_it_ends_when_it_is_asked_to_and_leaves_nothing(way: dict[str, Any], tmp_path: Path) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    def stop(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(Cancelled, match=r"whole\.mp3"):
        join(way["parts"], tmp_path / "whole.mp3", to=way["to"], cancelled=cancelled)
    assert asked == 4
    with pytest.raises(KeyboardInterrupt):
        join(way["parts"], tmp_path / "whole.mp3", to=way["to"], progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_level_of_a_tone_is_what_it_was(tmp_path: Path) -> None:
    part = tone_part(tmp_path / "tone.wav", 440, 0.5)
    for to in ("mp3", "m4a", "opus"):
        samples, rate = heard(join([part, part], tmp_path / f"whole.{to}", to=to, bit_rate=128_000).path)
        middle = samples[rate // 10 : rate * 4 // 10]
        assert max(middle) * FULL == pytest.approx(LOUD, rel=0.06)
