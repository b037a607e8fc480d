"""Joining without encoding: samples of WAVs appended, packets copied; what is decoded is what the parts decode to."""

from __future__ import annotations

import struct
import wave
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import UnsupportedAudio
from audiostore.audio import Part, appending, join, probe, transcode
from tests.audio_processing import crafted as made
from tests.audio_processing.asking import ffprobe
from tests.audio_processing.bursts import decoded, heard, packets, samples_file, tone, tone_part
from tests.audio_processing.signals import TAKE, encode, wav_file

PAUSE = timedelta(milliseconds=300)


def raw(path: Path) -> bytes:
    content = path.read_bytes()
    start = content.index(b"data") + 8
    return content[start : start + struct.unpack("<I", content[start - 4 : start])[0]]


# --- WAV --------------------------------------------------------------------------------------------------------------

WAVES: dict[str, dict[str, Any]] = {
    "16": {"bits": 16},
    "24": {"bits": 24},
    "floats": {"bits": 32, "is_float": True},
}


@pytest.mark.parametrize("kind", WAVES)
def test_samples_of_alike_wavs_are_appended_as_they_are(kind: str, tmp_path: Path) -> None:
    part = wav_file(tmp_path / "part.wav", **WAVES[kind])
    before = probe(part)
    joined = join([part, Part(part, gap_before=PAUSE), part], tmp_path / "whole.wav", to="wav")
    width = before.channels * (before.bit_depth or 0) // 8
    assert joined.how == "appended"
    assert raw(joined.path) == raw(part) + bytes(round(before.sample_rate * 0.3) * width) + raw(part) * 2
    assert [round(mark.start, 6) for mark in joined.marks] == [0.0, 3.3, 6.3]
    told = ffprobe(joined.path)["streams"][0]
    assert told["codec_name"] == before.codec
    assert float(told["duration"]) == pytest.approx(9.3)
    assert decoded(joined.path)[: len(decoded(part))] == decoded(part)


def test_the_header_is_one_that_anyone_reads(tmp_path: Path) -> None:
    joined = join([TAKE, TAKE], tmp_path / "whole.wav", to="wav", tags={"title": "Über", "artist": "A", "x": "y"})
    with wave.open(str(joined.path)) as read, wave.open(str(TAKE)) as once:
        assert read.getparams()[:3] == once.getparams()[:3]
        assert read.readframes(1 << 30) == once.readframes(1 << 30) * 2
    assert probe(joined.path).tags == {"title": "Über", "artist": "A"}
    assert struct.unpack("<I", joined.path.read_bytes()[4:8])[0] == joined.size - 8


def test_speakers_of_many_channels_stay_where_they_are(tmp_path: Path) -> None:
    first = tmp_path / "first.wav"
    source = samples_file(tmp_path / "source.wav", list(range(8_000)), rate=48_000, channels=8)
    encode(source, first, "pcm_s16le", rate=48_000, layout="7.1", muxer="wav")
    joined = join([first, first], tmp_path / "whole.wav", to="wav")
    assert joined.how == "appended"
    assert ffprobe(joined.path)["streams"][0]["channel_layout"] == "7.1"
    assert decoded(joined.path) == decoded(source) * 2


def test_more_than_four_gigabytes_are_declared_in_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "_MOST", 100_000)  # what 32 bits hold
    joined = join([TAKE, TAKE], tmp_path / "whole.wav", to="wav")
    content = joined.path.read_bytes()
    assert content[:4] == b"RF64"
    assert struct.unpack("<Q", content[20:28])[0] == joined.size - 8
    assert float(ffprobe(joined.path)["streams"][0]["duration"]) == pytest.approx(joined.duration)
    joined.path.write_bytes(content + made.chunk(b"LIST", b"INFO" + bytes(400)))
    again = join([joined.path, TAKE], tmp_path / "again.wav", to="wav")
    assert again.how == "appended"
    assert again.duration == pytest.approx(3 * 4.528481, abs=1e-5), "what follows the audio is no audio"


# --- packets ----------------------------------------------------------------------------------------------------------


def speech_and_music(folder: Path, to: str) -> list[Path]:
    """Two parts of one kind, the second loud from its first sample on, and the first up to its last."""
    first, second = folder / f"first.{to}", folder / f"second.{to}"
    rate = 48_000 if to == "opus" else 44_100
    transcode(tone_part(folder / "tone.wav", 330, 1.3, rate=rate), first, to=to)
    transcode(TAKE, second, to=to, sample_rate=rate)
    return [second, first, second]


@pytest.mark.parametrize("to", ["mp3", "m4a", "opus"])
def test_packets_of_alike_parts_are_copied_and_sound_as_before(to: str, tmp_path: Path) -> None:
    parts = speech_and_music(tmp_path, to)
    joined = join(parts, tmp_path / f"whole.{to}", to=to)
    assert joined.how == "copied"
    assert packets(joined.path) == [packet for part in parts for packet in packets(part)]
    whole, rate = heard(joined.path)
    for number, (part, mark) in enumerate(zip(parts, joined.marks, strict=True)):
        alone, start = heard(part)[0], round(mark.start * rate)
        together = whole[start : start + len(alone)]
        if to == "opus" and number:
            # A decoder of Opus takes a little of what was before into the first packet, of 20 ms.
            apart = [abs(one - other) for one, other in zip(together, alone, strict=True)]
            assert (max(apart) < 0.1, max(apart[rate // 50 :]) < 1e-4) == (True, True)
        else:
            assert together == alone, f"part {number}, bit by bit"


@pytest.mark.parametrize("to", ["mp3", "m4a", "opus"])
def test_a_gap_between_copied_parts_is_encoded_silence(to: str, tmp_path: Path) -> None:
    first, _, second = speech_and_music(tmp_path, to)
    parts = [Part(first, gap_before=PAUSE), Part(second, gap_before=PAUSE, gap_after=PAUSE)]
    joined = join(parts, tmp_path / f"whole.{to}", to=to, reencode=False)
    plain = join([first, second], tmp_path / f"plain.{to}", to=to, reencode=False)
    one, two = joined.marks
    assert (joined.how, plain.how) == ("copied", "copied")
    assert one.start == pytest.approx(0.3, abs=0.014), "the nearest packet"
    assert two.start - one.start == pytest.approx(plain.marks[1].start + 0.3, abs=0.014)
    assert joined.duration == pytest.approx(plain.duration + 0.9, abs=0.06)
    whole, rate = heard(joined.path)
    assert max(map(abs, whole[round((one.end + 0.06) * rate) : round((two.start - 0.01) * rate)])) < 1e-4
    alone = heard(second)[0][rate // 50 :]
    at = round(two.start * rate) + rate // 50
    near = range(at - 1_200, at + 1_200)  # a file that begins with silence has no delay that its header takes away
    assert any(whole[place : place + 4_000] == alone[:4_000] for place in near)


def test_flac_is_encoded_again_which_loses_nothing(tmp_path: Path) -> None:
    part = tmp_path / "part.flac"
    transcode(wav_file(tmp_path / "source.wav", bits=24), part, to="flac")
    joined = join([part, part], tmp_path / "whole.flac", to="flac")
    assert joined.how == "encoded"
    assert decoded(joined.path) == decoded(part) * 2


def bit_rate_differs(folder: Path) -> dict[str, Any]:
    path = transcode_to(folder / "a.mp3", bit_rate=128_000)
    return {"parts": [path, path], "bit_rate": 64_000, "part": 0}


def transcode_to(path: Path, **wishes: Any) -> Path:
    transcode(TAKE, path, to=path.suffix[1:], **wishes)
    return path


def cut_out_of_another(folder: Path) -> dict[str, Any]:
    loud_and_soft = [each * (1 + at // 9_000 % 2) for at, each in enumerate(tone(97, 2.0))]
    noisy = samples_file(folder / "noisy.wav", loud_and_soft)
    transcode(noisy, folder / "whole.mp3", to="mp3", bit_rate=128_000)
    every = packets(folder / "whole.mp3")
    later = next(at for at in range(5, len(every)) if int.from_bytes(every[at][4:6], "big") >> 7)
    (folder / "cut.mp3").write_bytes(b"".join(every[later:]))
    return {"parts": [folder / "cut.mp3", folder / "cut.mp3"], "part": 0}


UNLIKE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "rates": lambda folder: {
        "parts": [transcode_to(folder / "a.mp3"), transcode_to(folder / "b.mp3", sample_rate=44_100)],
        "part": 1,
    },
    "channels": lambda folder: {
        "parts": [transcode_to(folder / "a.m4a"), transcode_to(folder / "b.m4a", channels=2)],
        "to": "m4a",
        "part": 1,
    },
    "codecs": lambda folder: {"parts": [transcode_to(folder / "a.mp3"), TAKE], "part": 1},
    "a lower bit rate is wished": bit_rate_differs,
    "an mp3 that was cut out of another": cut_out_of_another,
}


@pytest.mark.parametrize("what", UNLIKE)
def test_unlike_parts_are_encoded_and_refused_where_that_is_not_wanted(what: str, tmp_path: Path) -> None:
    case = UNLIKE[what](tmp_path)
    part = case.pop("part")
    assert join(path=tmp_path / "whole", **case).how == "encoded"
    with pytest.raises(UnsupportedAudio) as refused:
        join(path=tmp_path / "strict", reencode=False, **case)
    assert (refused.value.code, refused.value.part) == ("unlike", part)
    assert not (tmp_path / "strict").exists()


def test_encoding_can_be_insisted_on(tmp_path: Path) -> None:
    path = transcode_to(tmp_path / "a.mp3")
    assert join([path, path], tmp_path / "whole.mp3").how == "copied"
    assert join([path, path], tmp_path / "whole.mp3", reencode=True).how == "encoded"
    assert join([TAKE, TAKE], tmp_path / "whole.wav", to="wav", reencode=True).how == "encoded"
    assert join([TAKE, Part(TAKE, gain=1)], tmp_path / "whole.wav", to="wav").how == "encoded"
