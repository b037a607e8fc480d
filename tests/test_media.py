"""Media types, told by real files of each sort and by what only looks like one."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiostore import media

SAMPLES = Path(__file__).parent / "audio"
MP3 = (SAMPLES / "speech.mp3").read_bytes()
AAC = (SAMPLES / "speech.aac").read_bytes()
FLAC = (SAMPLES / "speech.flac").read_bytes()
KINDS = {
    "speech.wav": "audio/wav",
    "speech.mp3": "audio/mpeg",
    "tagged.mp3": "audio/mpeg",
    "speech.m4a": "audio/mp4",
    "speech.m4b": "audio/mp4",
    "speech.mp4": "audio/mp4",
    "speech.aac": "audio/aac",
    "speech.flac": "audio/flac",
    "speech.ogg": "audio/ogg",
    "speech.opus": "audio/ogg",
    "speech.webm": "audio/webm",
    "speech.aiff": "audio/aiff",
    "speech.caf": "audio/x-caf",
}


def tag(size: int, frames: bytes = b"") -> bytes:
    """An ID3v2.3 tag whose header declares *size* bytes."""
    return b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + frames.ljust(size, b"\0")


def test_every_sample_has_its_line_here() -> None:
    assert {each.name for each in SAMPLES.iterdir()} == {*KINDS, "README.md"}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_real_files_are_told_by_their_first_bytes_and_by_their_name(name: str, kind: str) -> None:
    content = (SAMPLES / name).read_bytes()
    assert media.sniff(content) == kind
    assert media.sniff(content[: media.SNIFF_BYTES]) == kind
    assert media.type_of_name(name) == kind
    assert media.normalise(kind) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFX\0\0\0\x24WAVEfmt ", "audio/wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
        (b"FORM\0\0\0\x24AIFCFVER", "audio/aiff"),
        (b"#!AMR\n\x3c", "audio/amr"),
        (b"#!AMR-WB\n\x04", "audio/amr-wb"),
        (b"MThd\0\0\0\6\0\1", "audio/midi"),
        (b".snd\0\0\0\x18", "audio/basic"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "audio/x-ms-wma"),
        (b"\0\0\0\x18ftyp3gp5\0\0\0\0", "audio/3gpp"),
        (b"\0\0\0\x18ftyp3g2a\0\0\0\0", "audio/3gpp2"),
        (b"\0\0\0\x18ftypdash\0\0\0\0", "audio/mp4"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0", "video/quicktime"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic"),
        (b"\x1aE\xdf\xa3\x93B\x82\x88matroska", "audio/x-matroska"),
        (b"\x1aE\xdf\xa3\x93B\x82\x84webm\x18S\x80g\0V_VP9", "video/webm"),
        (b"OggS\0\2" + 22 * b"\0" + b"\x80theora", "video/ogg"),
        (b"RIFF\x24\0\0\0AVI LIST", "video/x-msvideo"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a\1\0", "image/gif"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"PK\3\4\x14\0", "application/zip"),
        (b"\x1f\x8b\x08\0", "application/gzip"),
        (b"MZ\x90\0\3\0", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\2\1\1\0", "application/x-elf"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "application/vnd.apple.mpegurl"),
        (b"\xef\xbb\xbf#EXTM3U\n", "application/vnd.apple.mpegurl"),
        (b"ffconcat version 1.0\nfile other.mp3\n", "text/plain"),
        (b"[playlist]\nFile1=http://127.0.0.1/\n", "text/plain"),
        (b"  <!DOCTYPE html><html>", "text/html"),
        (b"\n<script>alert(1)</script>", "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "image/svg+xml"),
        (b"<?xml version='1.0'?>", "text/xml"),
        (b"#!/bin/sh\nrm -rf ~\n", "text/plain"),
        ("Größe, 日本語\r\n".encode(), "text/plain"),
        ("Größe".encode("latin-1"), "text/plain"),
        ("Größe".encode("utf-16"), "text/plain"),
    ],
)
def test_marks_at_the_start_tell_the_type(head: bytes, kind: str) -> None:
    assert media.sniff(head) == kind


@pytest.mark.parametrize(
    "text",
    [
        b"caffeine is good",
        b"MThd is a mark",
        b"ID3 is a tag of 10 bytes",
        b"fLaC, so they say",
        b"OggSong",
        b".snd.snd",
        b"four ftypes",
        b"FORMula AIRF",
    ],
)
def test_a_text_that_begins_like_a_mark_is_a_text(text: bytes) -> None:
    assert media.sniff(text) == "text/plain"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (tag(50) + MP3, "audio/mpeg"),
        (tag(50) + b"\0" * 30 + AAC, "audio/aac"),
        (tag(50) + FLAC, "audio/flac"),
        (tag(200_000, b"APIC")[:9000], "audio/mpeg"),
        (b"ID3\3\0\0\0\0", None),
        (b"ID3\xff\0\0\0\0\0\0", None),
        (b"ID3\3\0\0\xff\0\0\0", None),
    ],
)
def test_behind_a_tag_the_stream_decides(head: bytes, kind: str | None) -> None:
    assert media.sniff(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xfb\x00\xc4" + 400 * b"\0",  # free bit rate
        b"\xff\xfb\xf0\xc4" + 400 * b"\0",  # no such bit rate
        b"\xff\xfb\x9c\xc4" + 500 * b"\0",  # no such sample rate
        b"\xff\xeb\x90\xc4" + 500 * b"\0",  # no such version
        b"\xff\xfd\x90\xc4" + 500 * b"\0",  # layer II
        b"\xff\xfb\x90\xc6" + 500 * b"\0",  # no such emphasis
        b"\xff\xfb\x90\xc4" + 500 * b"\0",  # a good header, and then no frame where one must be
        b"\xff\xfb\x90\xc4" + 413 * b"\0" + b"\xff\xf3\x90\xc4",  # the next one has another version
        b"\xff\xf1\x7c\x80\x02\x1f\xfc" + 60 * b"\0",  # ADTS with no such sample rate
        b"\xff\xf1\x60\x40\x00\x1f\xfc" + 60 * b"\0",  # ADTS of no length
        b"\xff\xf1\x60\x40\x03\x9f\xfc" + 60 * b"\0",  # ADTS without a second frame
    ],
)
def test_sync_bits_alone_are_no_stream(head: bytes) -> None:
    assert media.sniff(head) is None


@pytest.mark.parametrize("second", [0xFB, 0xF3, 0xE3])
def test_frames_of_every_mpeg_version_are_mp3(second: int) -> None:
    # 128 or 64 kbit/s at 44.1, 22.05 or 11.025 kHz, no padding.
    header = bytes((0xFF, second, 0x90, 0xC4))
    length = {0xFB: 417, 0xF3: 261, 0xE3: 522}[second]
    kbps = 128 if second == 0xFB else 80
    hz = {0xFB: 44100, 0xF3: 22050, 0xE3: 11025}[second]
    assert length == (144 if second == 0xFB else 72) * kbps * 1000 // hz
    frame = header.ljust(length, b"\0")
    assert media.sniff(frame * 2) == "audio/mpeg"
    assert media.sniff(frame) == "audio/mpeg", "a single frame is a file too"
    assert media.sniff(frame + b"\0" + frame) is None


def test_frames_of_a_stream_cut_anywhere_are_still_told() -> None:
    for content, kind in ((MP3, "audio/mpeg"), (AAC, "audio/aac")):
        for length in range(8, 2000, 7):
            assert media.sniff(content[:length]) == kind


def test_only_the_start_counts() -> None:
    assert media.sniff(b"<html>" + MP3[:500]) != "audio/mpeg"
    assert media.sniff(b"\0" + MP3) is None
    assert media.sniff(b"PK\3\4" + MP3) == "application/zip"


def test_nothing_tells_nothing() -> None:
    assert media.sniff(b"") is None
    assert media.sniff(b"\0") is None
    assert media.sniff(bytes(range(256)) * 40) is None


def test_random_bytes_are_never_audio() -> None:
    rng = random.Random(1)
    found = [kind for _ in range(20_000) if (kind := media.sniff(rng.randbytes(3000)))]
    assert [kind for kind in found if kind.startswith("audio/")] == []


@settings(deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"ID3\4\0\0", b"\xff\xfb", b"\xff\xf1", b"RIFF", b"\0\0\0\x18ftyp", b"OggS"]),
)
def test_sniffing_takes_anything(rest: bytes, start: bytes) -> None:
    kind = media.sniff(start + rest)
    assert kind is None or media.normalise(kind) == kind


def test_sniffing_takes_no_longer_for_a_big_head() -> None:
    def seconds(head: bytes) -> float:
        start = time.perf_counter()
        for _ in range(20):
            media.sniff(head)
        return time.perf_counter() - start

    for pattern in (b" ", b"<", b"\xff\xfb\x90\xc4", tag(0), b"\0", b"\x1aE\xdf\xa3"):
        small, big = pattern * 1_000, pattern * 1_000_000
        assert seconds(big) < 50 * seconds(small) + 0.1


# Names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Kapitel 1.M4B", "audio/mp4"),
        ("a.b.WAV", "audio/wav"),
        ("C:\\takes\\x.mp3", "audio/mpeg"),
        ("x.mp3/notes", None),
        (".mp3", None),
        ("mp3", None),
        ("", None),
        ("x.", None),
        ("x.exe", "application/vnd.microsoft.portable-executable"),
        ("list.m3u", "application/vnd.apple.mpegurl"),
        ("日本語.opus", "audio/ogg"),
        ("x.mp3\0.wav", "audio/wav"),
    ],
)
def test_a_name_promises_the_type_of_its_last_suffix(name: str, kind: str | None) -> None:
    assert media.type_of_name(name) == kind
    assert media.has_suffix(name) == (kind is not None)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("audio/wav", ".wav"),
        ("audio/mpeg", ".mp3"),
        ("audio/mp4", ".m4a"),
        ("audio/aac", ".aac"),
        ("audio/flac", ".flac"),
        ("audio/ogg", ".ogg"),
        ("audio/webm", ".webm"),
        ("audio/aiff", ".aiff"),
        ("image/jpeg", ".jpg"),
        ("text/plain", ".txt"),
        ("application/octet-stream", ""),
        ("x/y", ""),
    ],
)
def test_a_type_has_one_suffix(kind: str, suffix: str) -> None:
    assert media.suffix_for(kind) == suffix
    assert not suffix or media.type_of_name(f"audio{suffix}") == kind


# Types


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("Audio/WAV", "audio/wav"),
        (" audio/x-wav ; codec=1", "audio/wav"),
        ("audio/mp3", "audio/mpeg"),
        ("audio/x-m4a", "audio/mp4"),
        ("audio/m4b", "audio/mp4"),
        ("audio/x-flac", "audio/flac"),
        ("audio/webm;codecs=opus", "audio/webm"),
        ("audio/opus", "audio/ogg"),
        ("application/ogg", "audio/ogg"),
        ("audio/x-mpegurl", "application/vnd.apple.mpegurl"),
        ("application/octet-stream", "application/octet-stream"),
        ("audio/vnd.example+x", "audio/vnd.example+x"),
    ],
)
def test_a_type_has_one_form(written: str, kind: str) -> None:
    assert media.normalise(written) == kind
    assert media.normalise(media.normalise(written)) == kind


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "audio",
        "audio/",
        "/wav",
        "a/b/c",
        "audio/*",
        "audio/wav\r\nX-Evil: 1",
        "audio/wav;\nx=1",
        "audio/wav\0",
        "audio/w v",
        "audio/wäv",
        "audio/" + "x" * 1000,
        ";audio/wav",
        "audio/wav,audio/mpeg",
        "<b>/x",
        "audio/wav;\x7f",
    ],
)
def test_what_is_no_type_or_could_break_out_of_a_header_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a media type"):
        media.normalise(wrong)


def test_a_type_is_text() -> None:
    with pytest.raises(TypeError):
        media.normalise(b"audio/wav")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
