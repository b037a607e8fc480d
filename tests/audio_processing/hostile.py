"""Files that mean harm, or are odd: each has a name, and what must become of it. All are made here, the same each time.

``refused`` names the codes of which one must be told (none: any), ``accepted`` must be, and ``either`` may end in both
ways, as long as it ends in time.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from tests.audio_processing import crafted as made
from tests.audio_processing.crafted import AAC, FLAC, M4A, MP3, OGG, OPUS, PCM, WEBM, box, chunk, id3, id3_frame, wav

CANARY = "canary.mp3"
PORT = b"@PORT@"
FOLDER = b"@FOLDER@"
"""Stand for the port of the test's own server and for the folder, once they are known."""


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], bytes]
    suffix: str = ".mp3"
    refused: tuple[str, ...] = ()
    accepted: bool = False
    either: bool = False
    lasts: float = 5
    """So many seconds of audio are in it at most, whatever it says."""


def corpus() -> list[Case]:
    """Every file."""
    return [*_other_files(), *_lists(), *_wavs(), *_mp3s(), *_flacs(), *_m4as(), *_further()]


def _other_files() -> Iterator[Case]:
    noise = random.Random(5).randbytes(60_000)
    others = {
        "one_byte": b"x",
        "text": b"Dear diary, today I sang.\n" * 100,
        "web_page": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
        "json": b'{"file": "/etc/passwd"}',
        "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "zip": made.zip_of(b"hello"),
        "gzip": b"\x1f\x8b\x08\0" + b"\0" * 100,
        "elf": b"\x7fELF\x02\x01\x01" + b"\0" * 500 + b"\xff\xfd\x40\x00" * 2000,
        "windows_program": b"MZ\x90\0" + noise,
        "shell_script": b"#!/bin/sh\nrm -rf /\n",
        "pdf": b"%PDF-1.7\n" + noise,
        "png": made.png_header(10, 10),
        "jpeg": b"\xff\xd8\xff\xe0" + noise,
        "gif": b"GIF89a" + noise,
        "sqlite": b"SQLite format 3\0" + noise,
        "rar": b"Rar!\x1a\x07\0" + noise,
        "midi": b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x04\0\xff\x2f\0",
        "avi": b"RIFF" + struct.pack("<I", 1000) + b"AVI LIST" + noise[:1000],
        "noise": noise,
        "zeros": bytes(60_000),
        "ones": b"\xff" * 60_000,
        "pickle": b"cos\nsystem\n(S'true'\ntR.",
    }
    yield Case("empty", lambda: b"", refused=("empty",))
    for name, content in others.items():
        yield Case(name, partial(bytes, content), refused=("type", "unreadable"))


def _lists() -> Iterator[Case]:
    """Files that name other files: none of these may be opened."""
    extinf = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n"
    lists = {
        "hls_file": extinf + b"file://" + FOLDER + b"/canary.mp3\n#EXT-X-ENDLIST\n",
        "hls_relative": extinf + b"canary.mp3\n#EXT-X-ENDLIST\n",
        "hls_http": extinf + b"http://127.0.0.1:" + PORT + b"/a.ts\n#EXT-X-ENDLIST\n",
        "hls_bom": b"\xef\xbb\xbf" + extinf + b"canary.mp3\n",
        "concat_script": b"ffconcat version 1.0\nfile canary.mp3\n",
        "concat_absolute": b"ffconcat version 1.0\nfile '" + FOLDER + b"/canary.mp3'\n",
        "concat_protocol": b"concat:canary.mp3|canary.mp3",
        "pls": b"[playlist]\nFile1=canary.mp3\nNumberOfEntries=1\n",
        "asx": b'<asx version="3.0"><entry><ref href="http://127.0.0.1:' + PORT + b'/"/></entry></asx>',
        "dash": b'<?xml version="1.0"?><MPD><Period><BaseURL>http://127.0.0.1:' + PORT + b"/</BaseURL></Period></MPD>",
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "cue": b'FILE "canary.mp3" MP3\n TRACK 01 AUDIO\n',
        "imf": b"<AssetMap><ChunkList><Chunk><Path>canary.mp3</Path></Chunk></ChunkList></AssetMap>",
    }
    for name, content in lists.items():
        for suffix in (".mp3", ".m3u8") if name.startswith("hls") else (".mp3",):
            yield Case(name + suffix.replace(".", "_as_"), partial(bytes, content), suffix, refused=("type",))
    hidden = id3(id3_frame(b"TIT2", b"\0a")) + extinf + b"canary.mp3\n"
    yield Case("hls_behind_a_tag", lambda: hidden, refused=("unreadable", "streams", "no_audio", "corrupt"))
    url = box(b"url ", b"\0\0\0\0file:canary.mp3\0")
    table = box(b"dref", b"\0\0\0\0\0\0\0\x01", url)
    outside = made.patched(M4A, b"dref", 8, b"\0\0\0\x01" + table[16:28])
    yield Case("m4a_of_another_file", lambda: outside, ".m4a", either=True)


def _wavs() -> Iterator[Case]:
    def case(name: str, content: bytes, *refused: str, accepted: bool = False, either: bool = False) -> Case:
        return Case("wav_" + name, lambda: content, ".wav", refused, accepted, either)

    many = b"".join(chunk(b"junk", b"ab") for _ in range(50_000))
    yield case("sound", wav(), accepted=True)
    yield case("streamed_all_ones", wav(declared=0xFFFFFFFF), accepted=True)
    yield case("streamed_zero", wav(declared=0), accepted=True)
    yield case("streamed_by_a_speech_engine", wav(declared=0x7FFFF000), accepted=True)
    yield case("over_declared", wav(declared=0x70000000), "truncated")
    yield case("cut_in_half", wav()[:8000], "truncated")
    yield case("header_only", wav(b""))
    yield case("half_a_header", wav()[:20])
    yield case("without_format", b"RIFF\xff\0\0\0WAVEdata" + struct.pack("<I", len(PCM)) + PCM)
    yield case("no_channels", wav(channels=0, align=2))
    yield case("65535_channels", wav(channels=65_535))
    yield case("1000_channels", wav(channels=1000))
    yield case("rate_zero", wav(rate=0))
    yield case("rate_4_billion", wav(rate=0xFFFFFFFF))
    yield case("no_bits", wav(bits=0, align=2), either=True)
    yield case("align_zero", wav(align=0), either=True)
    yield case("align_65535", wav(align=65_535), either=True)
    yield case("unknown_codec", wav(tag=0xBEEF))
    yield case("mp3_inside", wav(MP3, tag=0x55), "codec")
    yield case("list_of_4_gb", wav(before=chunk(b"LIST", b"INFO", declared=0xFFFFFFF0)))
    yield case("format_of_4_gb", b"RIFF\xff\0\0\0WAVE" + chunk(b"fmt ", wav()[20:36], declared=0xFFFFFFF0) + PCM)
    yield case("50000_chunks", wav(before=many), either=True)
    rf64 = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, 1 << 62, 1 << 62, 1 << 61, 0) + wav()[12:]
    yield case("rf64_of_4_exabytes", rf64, either=True)
    yield case("with_a_zip", wav() + made.zip_of(PCM), "polyglot")
    yield case("with_a_web_page", wav() + b"<html><script>alert(1)</script></html>\n", "polyglot")
    yield case("eight_channels", wav(PCM * 4, channels=8, rate=48_000), accepted=True)


def _mp3s() -> Iterator[Case]:
    def case(name: str, make: Callable[[], bytes], *refused: str, accepted: bool = False, either: bool = False) -> Case:
        return Case("mp3_" + name, make, ".mp3", refused, accepted, either)

    frames = MP3.index(b"Info" if b"Info" in MP3[:200] else b"Xing") + 8
    long = MP3[:frames] + struct.pack(">I", 1_000_000) + MP3[frames + 4 :]
    hour = MP3[:frames] + struct.pack(">I", 100_000) + MP3[frames + 4 :]
    bomb = apic_bomb()
    packed = zlib.compress(bytes(64 << 20), 9)
    yield case("sound", lambda: MP3, accepted=True)
    yield case("header_says_10_hours", lambda: long, accepted=True)
    yield case("header_says_an_hour", lambda: hour, accepted=True)
    yield case("cut_in_half", lambda: MP3[: len(MP3) // 2], "truncated")
    yield case("with_a_zip", lambda: MP3 + made.zip_of(PCM), "polyglot")
    yield case("behind_a_web_page", lambda: b"<html><body>hello</body></html>" + MP3, "type")
    yield case("behind_a_zip", lambda: made.zip_of(PCM) + MP3, "type")
    yield case("that_is_a_pdf", lambda: id3(id3_frame(b"TXXX", b"\0%PDF-1.4 hello")) + MP3, "polyglot")
    yield case("picture_of_40_mb", lambda: id3(made.apic(bytes(40 << 20))) + MP3, "tag_too_large")
    yield case("picture_of_a_gigapixel", lambda: id3(made.apic(bomb)) + MP3, accepted=True)
    squeezed = id3_frame(b"TXXX", struct.pack(">I", 64 << 20) + packed, flags=b"\0\x09")
    yield case("tag_that_unpacks_to_64_mb", lambda: id3(squeezed) + MP3, "compressed_tag")
    yield case("tag_of_nuls", lambda: id3(id3_frame(b"TXXX", b"\x03" + bytes(500_000))) + MP3, accepted=True)
    yield case("tag_of_100000_frames", lambda: id3(id3_frame(b"TXXX", b"\0a") * 100_000) + MP3, "tag_too_large")
    yield case("tag_longer_than_the_file", lambda: id3(b"TIT2", declared=10_000_000) + MP3, "truncated")
    yield case("500_tags", lambda: id3(id3_frame(b"TIT2", b"\0a")) * 500 + MP3, either=True)
    yield case("tag_alone", lambda: id3(id3_frame(b"TIT2", b"\0a")))
    yield case("latin_tag", lambda: id3(id3_frame(b"TIT2", b"\x03\xff\xfe\xe4")) + MP3, accepted=True)
    yield case("one_header", lambda: b"\xff\xfb\x90\x64")
    yield case("headers_only", lambda: b"\xff\xfb\x90\x64" * 20_000)
    yield case("layer_one", lambda: b"\xff\xff\x40\x00" * 5000)
    yield case("damaged_throughout", lambda: _damaged(MP3, every=60), either=True)
    yield case("called_wav", lambda: MP3, accepted=True)
    yield case("of_wav_behind_a_tag", lambda: id3(id3_frame(b"TIT2", b"\0a")) + wav())


def apic_bomb() -> bytes:
    """A few bytes that a decoder of pictures would make four gigabytes of."""
    return made.png_header(32_000, 32_000)


def _flacs() -> Iterator[Case]:
    def case(name: str, make: Callable[[], bytes], *refused: str, accepted: bool = False, either: bool = False) -> Case:
        return Case("flac_" + name, make, ".flac", refused, accepted, either)

    def says(samples: int) -> bytes:
        return (
            FLAC[:21] + bytes([FLAC[21] & 0xF0 | samples >> 32]) + struct.pack(">I", samples & 0xFFFFFFFF) + FLAC[26:]
        )

    unfinished = FLAC[:4] + b"\0" + FLAC[5:42]
    picture = b"\x06" + (12 << 20).to_bytes(3, "big") + bytes(12 << 20)
    yield case("sound", lambda: FLAC, accepted=True)
    yield case("header_says_24_hours", lambda: says(8000 * 3600 * 24), "too_long")
    yield case("header_says_a_minute", lambda: says(8000 * 60), "truncated")
    yield case("bomb_of_24_hours", lambda: made.flac_bomb(hours=24, rate=44_100, channels=1), "too_long", "timeout")
    # Honest silence: it may be too much for the machine, or be found to be what it says.
    bomb = case("bomb_of_11_gb", lambda: made.flac_bomb(hours=1, rate=192_000, channels=8), either=True)
    yield replace(bomb, lasts=3600)
    yield case("two_pictures_of_12_mb", lambda: unfinished + picture * 2 + FLAC[42:], "tag_too_large")
    yield case("million_empty_blocks", lambda: unfinished + b"\x01\0\0\0" * 100_000, "tag_too_large")
    yield case("cut_in_half", lambda: FLAC[: len(FLAC) // 2], "truncated", "corrupt", "unreadable")
    yield case("header_only", lambda: FLAC[:42])
    yield case("rate_zero", lambda: FLAC[:18] + b"\0\0" + bytes([FLAC[20] & 0x0F]) + FLAC[21:], either=True)
    yield case("damaged_throughout", lambda: FLAC[:90] + _damaged(FLAC[90:], every=40))


def _m4as() -> Iterator[Case]:
    def case(name: str, make: Callable[[], bytes], *refused: str, accepted: bool = False, either: bool = False) -> Case:
        return Case("m4a_" + name, make, ".m4a", refused, accepted, either)

    def deep(levels: int) -> bytes:
        content = b""
        for _ in range(levels):
            content = box(b"moov", content)
        return content

    billion = struct.pack(">I", 2_000_000_000)
    yield case("sound", lambda: M4A, accepted=True)
    yield case("without_tables", lambda: made.without_box(M4A, b"moov"), "truncated")
    yield case("without_audio", lambda: made.without_box(M4A, b"mdat"))
    yield case("cut_in_half", lambda: M4A[: len(M4A) // 2], "truncated")
    yield case("box_of_4_gb", lambda: M4A + box(b"free", b"", declared=0xFFFFFFFF), "truncated")
    yield case(
        "tables_of_4_gb", lambda: M4A[:32] + box(b"moov", b"", declared=0xFFFFFFF0), "tag_too_large", "truncated"
    )
    yield case(
        "two_billion_samples", lambda: made.patched(M4A, b"stsz", 8, struct.pack(">I", 2) + billion), either=True
    )
    yield case("two_billion_times", lambda: made.patched(M4A, b"stts", 12, billion), either=True)
    yield case("two_billion_chunks", lambda: made.patched(M4A, b"stco", 8, billion), either=True)
    yield case("empty_boxes", lambda: M4A[:32] + box(b"free") * 100_000, "truncated", "tag_too_large")
    yield case("boxes_in_boxes", lambda: M4A[:32] + deep(5000))
    yield case("box_without_length", lambda: M4A[:32] + box(b"moov", declared=1) + bytes(100))
    yield case("with_a_zip", lambda: M4A + made.zip_of(PCM))
    yield case("damaged_tables", lambda: made.patched(M4A, b"stbl", 4, b"\xff" * 200))


def _further() -> Iterator[Case]:
    theora = OGG[:28] + b"\x80theora" + OGG[35:]
    comment = made.patched(OPUS, b"OpusTags", 8, b"\xff\xff\xff\xff")
    yield Case("ogg_sound", lambda: OGG, ".ogg", accepted=True)
    yield Case("ogg_cut", lambda: OGG[:-400], ".ogg", refused=("truncated",))
    yield Case("ogg_film", lambda: theora, ".ogg", refused=("type", "video", "unreadable", "codec", "streams"))
    yield Case("ogg_checksums_all_wrong", lambda: _damaged(OGG, every=90), ".ogg")
    yield Case("ogg_header_only", lambda: OGG[:58], ".ogg")
    yield Case("ogg_page_twenty_thousand_times", lambda: OGG[:58] * 20_000, ".ogg")
    yield Case("opus_sound", lambda: OPUS, ".opus", accepted=True)
    yield Case("opus_tag_of_4_gb", lambda: comment, ".opus", either=True)
    yield Case("opus_255_channels", lambda: made.patched(OPUS, b"OpusHead", 9, b"\xff"), ".opus")
    yield Case("webm_sound", lambda: WEBM, ".webm", accepted=True)
    yield Case("webm_cut", lambda: WEBM[:600], ".webm", either=True)
    yield Case(
        "webm_element_of_4_gb", lambda: WEBM[:60] + b"\xec\x01\0\0\0\xff\xff\xff\xff" + WEBM[60:], ".webm", either=True
    )
    yield Case("aac_sound", lambda: AAC, ".aac", accepted=True)
    yield Case("aac_one_frame", lambda: AAC[:200], ".aac", either=True)
    yield Case("aac_damaged_throughout", lambda: _damaged(AAC, every=30), ".aac", either=True)


def _damaged(content: bytes, *, every: int) -> bytes:
    damage = bytearray(content)
    for place in range(every, len(damage), every):
        damage[place] ^= 0x5A
    return bytes(damage)
