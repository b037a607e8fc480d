"""``probe`` against ffprobe's own answers, in every format; and where headers lie, against what is there."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import pytest

from audiostore.audio import AudioInfo, cover_of, probe, probing
from audiostore.errors import NotFound, UnsupportedAudio
from tests.audio_processing import crafted as made
from tests.audio_processing.asking import ffprobe
from tests.audio_processing.signals import SAMPLES, TAKE, encode, wav_file

SPEECH = sorted(path for path in SAMPLES.iterdir() if path.suffix != ".md")


def make_music() -> dict[str, Callable[[Path], Path]]:
    def encoded(
        suffix: str, codec: str, muxer: str, *, rate: int = 44_100, layout: str = "stereo", **options: str
    ) -> Any:
        def write(folder: Path) -> Path:
            source = wav_file(folder / "source.wav")
            return encode(source, folder / f"m.{suffix}", codec, rate=rate, layout=layout, options=options, muxer=muxer)

        return write

    return {
        "wav_16": lambda folder: wav_file(folder / "m.wav"),
        "wav_24": lambda folder: wav_file(folder / "m.wav", bits=24),
        "wav_32_float": lambda folder: wav_file(folder / "m.wav", bits=32, is_float=True),
        "wav_8_channels": lambda folder: wav_file(folder / "m.wav", channels=8, rate=48_000),
        "wav_8_khz": lambda folder: wav_file(folder / "m.wav", channels=1, rate=8_000),
        "mp3_cbr": encoded("mp3", "libmp3lame", "mp3", b="192000"),
        "mp3_vbr": encoded("mp3", "libmp3lame", "mp3", q="4", flags="+qscale", global_quality="472"),
        "m4a": encoded("m4a", "aac", "mp4", b="128000"),
        "alac": encoded("m4a", "alac", "mp4"),
        "flac": encoded("flac", "flac", "flac"),
        "ogg": encoded("ogg", "vorbis", "ogg", strict="-2"),
        "opus": encoded("opus", "libopus", "opus", rate=48_000),
        "aac": encoded("aac", "aac", "adts"),
    }


MUSIC = make_music()


def agrees(info: AudioInfo, told: dict[str, Any]) -> None:
    stream = next(each for each in told["streams"] if each["codec_type"] == "audio")
    assert info.codec == stream["codec_name"]
    assert info.sample_rate == int(stream["sample_rate"])
    assert info.channels == stream["channels"]
    depth = int(stream.get("bits_per_raw_sample") or 0) or int(stream.get("bits_per_sample") or 0) or None
    assert info.bit_depth == depth
    if info.container != "aac":  # ffprobe guesses there, from the first frames
        assert info.duration == pytest.approx(float(told["format"]["duration"]), abs=0.05)
    if "bit_rate" in stream:
        assert info.bit_rate == pytest.approx(int(stream["bit_rate"]), rel=0.02)
    names = {"mp4": "mov,mp4", "webm": "matroska,webm"}
    assert told["format"]["format_name"].startswith(names.get(info.container, info.container))


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.name)
def test_speech_is_what_ffprobe_says(path: Path) -> None:
    agrees(probe(path), ffprobe(path))
    assert probe(path, exact=True).duration == pytest.approx(1.066, abs=0.09 if path.suffix == ".aac" else 0.005)


@pytest.mark.parametrize("name", MUSIC)
def test_music_is_what_ffprobe_says(name: str, tmp_path: Path) -> None:
    path = MUSIC[name](tmp_path)
    info = probe(path)
    agrees(info, ffprobe(path))
    assert probe(path, exact=True).duration == pytest.approx(3.0, abs=0.06 if name in {"aac", "m4a", "ogg"} else 0.002)
    assert probe(path, exact=True).exact


def test_the_facts_of_a_wav() -> None:
    info = probe(TAKE)
    assert (info.container, info.format, info.codec, info.content_type) == ("wav", "wav", "pcm_s16le", "audio/wav")
    assert (info.sample_rate, info.channels, info.bit_depth, info.bit_rate) == (22_050, 1, 16, 352_800)
    assert info.duration == pytest.approx(4.5285, abs=0.001)
    assert not info.exact
    assert AudioInfo.from_dict(json.loads(json.dumps(info.as_dict()))) == info


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(made.MP3)
    assert probe(path).container == "mp3"


def test_a_file_object_is_read_and_put_back() -> None:
    file = io.BytesIO(made.MP3)
    file.seek(7)
    assert probe(file).codec == "mp3"
    assert (file.tell(), file.closed) == (7, False)


def test_text_is_a_path_and_other_things_are_refused(tmp_path: Path) -> None:
    assert probe(str(TAKE)).codec == "pcm_s16le"
    with pytest.raises(NotFound):
        probe(tmp_path / "missing.wav")
    with pytest.raises(TypeError):
        probe(42)
    with pytest.raises(NotFound):
        probe("http://127.0.0.1/a.wav")


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_streamed_is_as_long_as_it_is(declared: int) -> None:
    for exact in (False, True):
        info = probe(io.BytesIO(made.wav(declared=declared)), exact=exact)
        assert info.duration == pytest.approx(1.0, abs=0.01)


def test_an_mp3_without_a_header_is_counted(tmp_path: Path) -> None:
    source, joined = wav_file(tmp_path / "source.wav"), tmp_path / "joined.mp3"
    for bit_rate in ("64000", "320000"):
        path = tmp_path / f"{bit_rate}.mp3"
        bare = {"write_xing": "0", "id3v2_version": "0"}
        options = {"b": bit_rate}
        encode(
            source,
            path,
            "libmp3lame",
            rate=44_100,
            layout="stereo",
            options=options,
            muxer="mp3",
            muxer_options=bare,
        )
        with joined.open("ab") as file:
            file.write(path.read_bytes())
    assert b"Xing" not in joined.read_bytes()
    assert probe(joined).duration == pytest.approx(6.0, abs=0.2), "and not the 18 s that the first frames promise"


def test_a_header_that_promises_hours_is_not_believed() -> None:
    frames = made.MP3.index(b"Info" if b"Info" in made.MP3[:200] else b"Xing") + 8
    lie = made.MP3[:frames] + struct.pack(">I", 1_000_000) + made.MP3[frames + 4 :]
    assert probe(io.BytesIO(lie)).duration == pytest.approx(1.1, abs=0.1)


def test_tags_and_cover_are_told_and_the_picture_is_not_decoded() -> None:
    picture = made.png_header(32_000, 32_000)
    tag = made.id3(made.id3_frame(b"TIT2", "\x03Kapitel Eins - Größe".encode()), made.apic(picture))
    file = io.BytesIO(tag + made.MP3)
    info = probe(file)
    assert info.tags["title"] == "Kapitel Eins - Größe"
    assert info.cover is not None
    assert info.cover.content_type == "image/png"
    assert cover_of(file) == picture
    assert cover_of(io.BytesIO(made.MP3)) is None


def test_what_an_error_tells() -> None:
    for content, code in ((b"", "empty"), (b"PK\x03\x04" + bytes(50), "type"), (made.wav(b""), "no_audio")):
        with pytest.raises(UnsupportedAudio) as refused:
            probe(io.BytesIO(content))
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("codec", "muxer", "rate"), [("ac3", "ac3", 640), ("libmp3lame", "mp3", 320), ("aac", "adts", 128)]
)
def test_what_only_calls_itself_pcm_is_refused(codec: str, muxer: str, rate: int, tmp_path: Path) -> None:
    source, inside, options = wav_file(tmp_path / "source.wav", rate=48_000), tmp_path / "inside", {"b": f"{rate}k"}
    encode(source, inside, codec, rate=48_000, layout="stereo", options=options, muxer=muxer)
    with pytest.raises(UnsupportedAudio) as refused:
        probe(io.BytesIO(made.wav(inside.read_bytes(), channels=2, rate=48_000)))
    assert refused.value.code == "codec"


def test_a_film_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "film.m4a"
    with av.open(str(path), "w", format="mp4") as opened:
        film: Any = opened
        stream = film.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        sound = film.add_stream("aac", rate=44_100)
        for _ in range(10):
            film.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        film.mux(stream.encode(None))
        film.mux(sound.encode(None))
    with pytest.raises(UnsupportedAudio) as refused:
        probe(path)
    assert refused.value.code in {"video", "type"}


def test_nothing_is_left_open() -> None:
    before = open_files()
    for _ in range(3):
        probe(TAKE, exact=True)
        with pytest.raises(UnsupportedAudio):
            probe(SAMPLES / "README.md")
    assert open_files() == before


def open_files() -> int:
    kept = Path("/proc/self/fd")
    return sum(1 for _ in kept.iterdir()) if kept.exists() else 0


# --- in a process of its own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_another_process_tells_the_same(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [probe(path, exact=exact) for path in SPEECH]
    monkeypatch.setattr(probing, "opened", None)  # what reads here, reads no more
    assert [probe(str(path), exact=exact, isolated=True) for path in SPEECH] == here


def test_another_process_refuses_as_this_one_does(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.flac"
    bomb.write_bytes(made.flac_bomb(hours=4, rate=192_000, channels=8))
    with pytest.raises(UnsupportedAudio) as refused:
        probe(bomb, exact=True, isolated=True, timeout=timedelta(seconds=1))
    assert refused.value.code == "timeout"
    with pytest.raises(UnsupportedAudio):
        probe(SAMPLES / "README.md", isolated=True)
    with pytest.raises(NotFound):
        probe(tmp_path / "missing.wav", isolated=True)
    with pytest.raises(TypeError, match="takes a path"):
        probe(io.BytesIO(made.MP3), isolated=True)
