"""Converting: into each format and out of each, skipped where it fits, bounded, undone when it is cancelled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from audiostore import AudioStore, ConfigurationError, UnsupportedAudio
from audiostore.audio import accept, canonical, convert, cover_of, measure, probe, transcode
from audiostore.errors import NotFound
from tests.audio_processing import crafted as made
from tests.audio_processing.signals import ROOT, SAMPLES, TAKE, encode, tone_file, wav_file

FORMATS = ["wav", "mp3", "m4a", "flac", "opus"]
CODECS = {"wav": "pcm_s16le", "mp3": "mp3", "m4a": "aac", "flac": "flac", "opus": "opus"}
SUFFIXES = {"wav", "mp3", "m4a", "flac", "ogg", "opus", "aac", "webm", "aiff", "caf"}


@pytest.fixture
def store(tmp_path: Path) -> AudioStore:
    return AudioStore.local(tmp_path / "uploads")


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_format_becomes_every_other(to: str, suffix: str, tmp_path: Path) -> None:
    source = SAMPLES / f"speech.{suffix}"
    info = transcode(source, tmp_path / f"made.{to}", to=to)
    assert (info.format, info.codec) == (to, CODECS[to])
    heard = probe(tmp_path / f"made.{to}", exact=True).duration
    assert heard == pytest.approx(probe(source, exact=True).duration, abs=0.03)


@pytest.mark.parametrize("to", FORMATS)
def test_it_still_sounds_the_same(to: str, tmp_path: Path) -> None:
    source = wav_file(tmp_path / "source.wav", bits=32, is_float=True)
    transcode(source, tmp_path / f"made.{to}", to=to)
    before, after = measure(source), measure(tmp_path / f"made.{to}")
    assert after.integrated == pytest.approx(before.integrated, abs=0.5)
    assert after.duration == pytest.approx(before.duration, abs=0.03)


def test_lossless_is_lossless(tmp_path: Path) -> None:
    source = wav_file(tmp_path / "source.wav", bits=24)
    transcode(source, tmp_path / "made.flac", to="flac")
    info = transcode(tmp_path / "made.flac", tmp_path / "back.wav", to="wav")
    assert (info.codec, info.bit_depth) == ("pcm_s24le", 24)
    assert samples(tmp_path / "back.wav") == samples(source)


def samples(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(bytes(frame.planes[0])[: frame.samples * 8] for frame in container.decode(audio=0))


def test_a_rate_goes_down_without_folding_high_notes_into_low_ones(tmp_path: Path) -> None:
    high = tone_file(tmp_path / "high.wav", hertz=15_000)
    transcode(high, tmp_path / "low.wav", to="wav", sample_rate=22_050)
    assert measure(high).rms > -25
    assert measure(tmp_path / "low.wav").noise_floor < -60, "apart from the click where it begins"


def test_eight_channels_become_two_and_one(tmp_path: Path) -> None:
    source = wav_file(tmp_path / "source.wav", channels=8, rate=48_000)
    assert transcode(source, tmp_path / "two.mp3", to="mp3").channels == 2
    assert transcode(source, tmp_path / "one.opus", to="opus", channels=1).channels == 1


def test_what_is_stored_is_the_output(store: AudioStore) -> None:
    store.process = convert("mp3", bit_rate=64_000, sample_rate=24_000)
    file = store.put(TAKE, owner="alice", project="p", chapter=1, section=2)
    content = store.get(file)
    assert (file.filename, file.content_type, file.size) == ("take.mp3", "audio/mpeg", len(content))
    assert file.key.endswith(".mp3")
    assert file.duration == pytest.approx(4.5285, abs=0.01)
    assert file.metadata["audio"]["bit_rate"] == 64_000
    assert store.usage("alice").used == len(content) < TAKE.stat().st_size
    assert store.audit().ok


@pytest.mark.parametrize("name", ["speech.mp3", "speech.wav", "speech.flac", "speech.m4a", "speech.opus"])
def test_what_fits_stays_as_it_came(name: str, store: AudioStore) -> None:
    store.process = convert(name.rpartition(".")[2])
    file = store.put(SAMPLES / name, owner="alice")
    assert file.sha256 == probe_sha(SAMPLES / name)
    assert file.duration is not None


def test_a_lower_bit_rate_fits_and_a_higher_one_does_not(store: AudioStore) -> None:
    store.process = convert("mp3", bit_rate=64_000)
    assert store.put(made.MP3, owner="alice").size == len(made.MP3), "32 kbit/s would only get worse"
    store.process = convert("mp3", bit_rate=16_000)
    assert store.put(made.MP3, owner="alice").size < len(made.MP3)


def test_tags_and_cover_are_kept_or_not_as_wished(store: AudioStore, tmp_path: Path) -> None:
    picture = made.png_header(4, 4)
    tagged = made.id3(made.id3_frame(b"TIT2", b"\x03Chapter one"), made.apic(picture)) + made.MP3
    for to in ("m4a", "flac", "opus", "wav"):
        store.process = convert(to)
        kept = tmp_path / f"kept.{to}"
        store.download_to(store.put(tagged, owner="alice"), kept)
        assert probe(kept).tags["title"] == "Chapter one"
        if to in {"m4a", "flac"}:
            assert cover_of(kept) == picture
        store.process = convert(to, tags="strip")
        bare = tmp_path / f"bare.{to}"
        store.download_to(store.put(tagged, owner="alice"), bare)
        assert (dict(probe(bare).tags), probe(bare).cover) == ({}, None)


def test_tags_go_without_another_generation(store: AudioStore, tmp_path: Path) -> None:
    store.process = convert("mp3", tags="strip")
    tagged = made.id3(made.id3_frame(b"TIT2", b"\x03Chapter one")) + made.MP3
    path = tmp_path / "bare.mp3"
    store.download_to(store.put(tagged, owner="alice"), path)
    assert dict(probe(path).tags) == {}
    assert samples_of(path) == samples_of(SAMPLES / "speech.mp3"), "the same sound, bit by bit"


def samples_of(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(bytes(frame.planes[0])[: frame.samples * 4] for frame in container.decode(audio=0))


def test_canonical_makes_all_alike(store: AudioStore) -> None:
    store.process = canonical("flac", sample_rate=16_000, channels=1)
    kinds = {
        (fact["codec"], fact["sample_rate"], fact["channels"])
        for name in ("speech.wav", "speech.ogg", "speech.m4a", "tagged.mp3", "speech.opus")
        for fact in [store.put(SAMPLES / name, owner="alice").metadata["audio"]]
    }
    assert kinds == {("flac", 16_000, 1)}


def test_what_is_not_accepted_is_not_converted(store: AudioStore) -> None:
    store.process = convert("mp3", accept=accept({"wav"}, max_duration=2.0))
    for content, code in ((made.FLAC, "format"), (TAKE, "too_long"), (b"#EXTM3U\ncanary.mp3\n", "type")):
        with pytest.raises(UnsupportedAudio) as refused:
            store.put(content, owner="alice")
        assert refused.value.code == code
    assert store.usage("alice").files == 0


def test_progress_is_told_and_can_cancel(store: AudioStore, tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    shares: list[float] = []
    long = wav_file(tmp_path / "long.wav")
    store.process = convert("opus", progress=shares.append)
    store.put(long, owner="alice")
    assert shares == sorted(shares)
    assert shares[-1] > 0.9

    def cancel(share: float) -> None:
        if share > 0.2:
            raise Cancelled

    store.process = convert("opus", progress=cancel)
    with pytest.raises(Cancelled):
        store.put(long, owner="alice")
    assert store.usage("alice").files == 1
    assert list((tmp_path / "uploads" / ".audiostore" / "staging").iterdir()) == []


def test_an_output_beyond_the_limit_is_refused(store: AudioStore, tmp_path: Path) -> None:
    store.process = convert("flac", max_output="50 KB")
    with pytest.raises(UnsupportedAudio) as refused:
        store.put(wav_file(tmp_path / "long.wav"), owner="alice")
    assert refused.value.code == "output_too_large"


WRONG: dict[str, dict[str, Any]] = {
    "format": {"to": "exe"},
    "rate": {"to": "mp3", "sample_rate": 12_345},
    "channels": {"to": "mp3", "channels": 6},
    "bit rate": {"to": "mp3", "bit_rate": 5},
    "bit rate of a lossless one": {"to": "flac", "bit_rate": 128_000},
    "depth of a lossy one": {"to": "mp3", "bit_depth": 16},
    "tags": {"to": "mp3", "tags": "perhaps"},
    "preset": {"to": "mp3", "loudness": "loud"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wish_that_can_not_be_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs, the kind does not
        convert(**WRONG[wrong])


def test_transcode_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transcode(TAKE, tmp_path / "made.mp3", to="mp3", progress=stop)
    with pytest.raises(UnsupportedAudio):
        transcode(SAMPLES / "README.md", tmp_path / "made.mp3", to="mp3")
    with pytest.raises(NotFound):
        transcode(TAKE, tmp_path / "no" / "such" / "made.mp3", to="mp3")
    assert list(tmp_path.iterdir()) == []


def test_frames_that_change_on_the_way_are_made_alike(tmp_path: Path) -> None:
    source = wav_file(tmp_path / "source.wav")
    stereo = encode(source, tmp_path / "a.mp3", "libmp3lame", rate=44_100, layout="stereo", muxer="mp3")
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(stereo.read_bytes() + made.MP3)
    info = transcode(joined, tmp_path / "made.wav", to="wav", sample_rate=44_100)
    assert info.duration == pytest.approx(3.0 + 1.066, abs=0.2)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell how much memory was used")
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    quiet = tmp_path / "hours.flac"
    quiet.write_bytes(made.flac_bomb(hours=1.0, rate=44_100, channels=1))
    program = """
import pathlib, sys
from audiostore.audio import transcode
transcode(sys.argv[1], sys.argv[2], to="flac")
status = pathlib.Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""
    words = [sys.executable, "-c", program, str(quiet), str(tmp_path / "made.flac")]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert probe(tmp_path / "made.flac").duration == pytest.approx(3600, rel=0.001)
    assert int(ran.stdout) < 100 * 1024, "kilobytes; the library and FFmpeg alone are half of them"


def probe_sha(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- by the environment -----------------------------------------------------------------------------------------------


def test_the_environment_can_make_all_files_alike(tmp_path: Path) -> None:
    wished = {"UPLOAD_FOLDER": str(tmp_path / "up"), "AUDIO_FORMAT": "mp3", "AUDIO_SAMPLE_RATE": "22050"}
    with AudioStore.from_env(wished) as store:
        file = store.put(TAKE, owner="alice")
        assert (file.filename, file.metadata["audio"]["sample_rate"]) == ("take.mp3", 22_050)
        assert store.usage("alice").used == file.size
    for off in ({}, {"AUDIO_FORMAT": "off"}, {"AUDIO_FORMAT": ""}):
        with AudioStore.from_env({"UPLOAD_FOLDER": str(tmp_path / "plain"), **off}) as store:
            assert store.process is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"AUDIO_FORMAT": "exe"},
        {"AUDIO_FORMAT": "mp3", "AUDIO_SAMPLE_RATE": "fast"},
        {"AUDIO_FORMAT": "mp3", "AUDIO_CHANNELS": "0"},
        {"AUDIO_FORMAT": "mp3", "AUDIO_LOUDNESS": "loud"},
        {"AUDIO_FORMAT": "flac", "AUDIO_BIT_RATE": "128000"},
    ],
    ids=lambda wrong: " ".join(wrong.values()),
)
def test_a_wrong_setting_is_named(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="AUDIO_"):
        AudioStore.from_env({"UPLOAD_FOLDER": str(tmp_path / "up"), **wrong})
