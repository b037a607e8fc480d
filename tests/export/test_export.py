"""``export``: what is made of a book, by what others read of it."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from audiostore import (
    AlreadyExists,
    AudioStore,
    Cancelled,
    NotFound,
    UnsupportedAudio,
)
from audiostore.audio import measure, probe
from audiostore.export import Book, BookChapter, BookSection, ExportOptions, export
from audiostore.export.journal import publish
from tests.audio_processing.signals import SAMPLES
from tests.export.shelf import LENGTH, SPEECH, ffprobe, names_in, packets, pcm, speaking, tone, unzip_says_it_is_whole

SECOND = timedelta(seconds=1)
PICTURE = SAMPLES.parent / "export" / "cover.png"


def book_of(store: AudioStore, **more: Any) -> Book:
    return Book.from_catalog(store, owner="alice", project="p1", title="Gezeiten", author="A. Uthor", **more)


@pytest.fixture
def three(store: AudioStore) -> Book:
    """Three chapters: of two sections, one, and two; two of them last a second, one is speech."""
    speaking(store, (1, 1), (1, 2), (2, 1), (3, 1), (3, 2))
    return book_of(store)


# --- formats ----------------------------------------------------------------------------------------------------------


def test_each_chapter_is_a_file_in_every_format(store: AudioStore, three: Book, tmp_path: Path) -> None:
    formats = ("wav", "mp3", "m4a", "flac", "opus")
    done = export(store, three, to=tmp_path / "out", formats=formats, gap=SECOND)
    for number in (1, 2, 3):
        for each in formats:
            file = done.file(f"0{number} - Chapter {number}.{each}")
            expected = LENGTH if number == 2 else 2 * LENGTH + 1
            info = probe(file.path, exact=True)
            assert info.format == each
            assert info.duration == pytest.approx(expected, abs=0.06)
            assert file.duration == pytest.approx(expected, abs=0.06)
            assert file.size == file.path.stat().st_size
            assert file.chapter == number - 1
    assert done.file("01 - Chapter 1.m4a").content_type == "audio/mp4"
    tags = ffprobe(done.file("02 - Chapter 2.mp3").path)["format"]["tags"]
    assert (tags["title"], tags["album"], tags["artist"], tags["track"]) == (
        "Chapter 2",
        "Gezeiten",
        "A. Uthor",
        "2/3",
    )
    assert done.missing == ()
    assert names_in(tmp_path / "out") == sorted(each.name for each in done.files)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_an_m4b_opens_with_the_right_chapters(store: AudioStore, tmp_path: Path, rate: int) -> None:
    for chapter, section in ((1, 1), (1, 2), (2, 1), (3, 1), (3, 2)):
        take = tone(tmp_path, 300 + 10 * chapter + section, rate=rate)
        store.put(take, owner="alice", project="p1", chapter=chapter, section=section)
    done = export(store, book_of(store), to=tmp_path, formats="m4b", chapter_gap=SECOND / 2, cover=PICTURE)
    book = done.file("Gezeiten.m4b")
    told = ffprobe(book.path)
    assert [each["tags"]["title"] for each in told["chapters"]] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    # Where a reader hears them begin: found in the samples, by the half second of silence before each.
    starts = [float(each["start_time"]) for each in told["chapters"]]
    assert starts[0] == 0
    for start, heard in zip(starts[1:], _ends_of_silences(book.path), strict=True):
        assert start == pytest.approx(heard, abs=0.05)
    assert float(told["chapters"][2]["end_time"]) == pytest.approx(float(told["format"]["duration"]), abs=0.05)
    tags = told["format"]["tags"]
    assert (tags["title"], tags["artist"], tags["genre"]) == ("Gezeiten", "A. Uthor", "Audiobook")
    assert tags["major_brand"].strip() == "M4B"
    assert [each["codec_name"] for each in told["streams"] if each["codec_type"] == "video"] == ["png"]


def _ends_of_silences(path: Path) -> list[float]:
    rate = probe(path).sample_rate
    samples = memoryview(pcm(path)).cast("h")
    loud = [at for at, sample in enumerate(samples) if abs(sample) > 200]
    return [now / rate for before, now in pairwise(loud) if now - before > 0.4 * rate]


def test_one_mp3_of_the_book_has_chapters_in_its_tag(store: AudioStore, tmp_path: Path) -> None:
    for chapter in (1, 2, 3):
        take = tone(tmp_path, 300 + chapter)
        store.put(take, owner="alice", project="p1", chapter=chapter, section=1)
    done = export(store, book_of(store), to=tmp_path, formats=["mp3-book", "mp3"], chapter_gap=SECOND / 2)
    told = ffprobe(done.file("Gezeiten.mp3").path)
    assert [each["tags"]["title"] for each in told["chapters"]] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    starts = [float(each["start_time"]) for each in told["chapters"]]
    for start, heard in zip(starts[1:], _ends_of_silences(done.file("Gezeiten.mp3").path), strict=True):
        assert start == pytest.approx(heard, abs=0.05)


def test_chapters_of_one_file_are_alike_whatever_their_sections_are(store: AudioStore, tmp_path: Path) -> None:
    for chapter, rate in ((1, 22_050), (2, 48_000), (3, 44_100)):
        take = tone(tmp_path, 300 + chapter, rate=rate)
        store.put(take, owner="alice", project="p1", chapter=chapter, section=1)
    done = export(store, book_of(store), to=tmp_path / "out", formats=["m4b", "m4a"])
    files = [each for each in done.files if each.chapter is not None]
    assert {probe(each.path).sample_rate for each in files} == {22_050}
    assert probe(done.file("Gezeiten.m4b").path).duration == pytest.approx(3, abs=0.3)


def test_a_chapter_is_encoded_once_for_all_that_is_made_of_it(
    store: AudioStore, three: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiostore.audio import encoding

    encoders: list[Path] = []
    enter = encoding.Encoder.__enter__

    def counting(self: encoding.Encoder) -> encoding.Encoder:
        encoders.append(self.path)
        return enter(self)

    monkeypatch.setattr(encoding.Encoder, "__enter__", counting)
    # With an edit it is done here, where it can be counted.
    export(store, three, to=tmp_path / "edited", formats=["m4a", "m4b"], edit=lambda segment: segment)
    assert len(encoders) == 3
    encoders.clear()
    export(store, three, to=tmp_path / "plain", formats="m4a")
    assert not encoders, "what was sent is decoded in a process of its own"


def test_equal_recordings_are_joined_without_encoding(store: AudioStore, tmp_path: Path) -> None:
    takes = [tone(tmp_path, hertz) for hertz in (300, 500)]
    for section, take in enumerate(takes):
        store.put(take, owner="alice", project="p1", chapter=1, section=section)
    done = export(store, book_of(store), to=tmp_path / "out", formats="wav")
    assert pcm(done.file("01 - Chapter 1.wav").path) == b"".join(pcm(take) for take in takes)


def test_packets_of_equal_mp3s_are_copied(store: AudioStore, tmp_path: Path) -> None:
    take = tone(tmp_path, 300, to="mp3")
    for section in (1, 2):
        store.put(take, owner="alice", project="p1", chapter=1, section=section)
    done = export(store, book_of(store), to=tmp_path / "out")
    joined, part = packets(done.file("01 - Chapter 1.mp3").path), packets(take)
    assert joined == part * 2


def test_loudness_and_edits_change_what_is_heard(store: AudioStore, tmp_path: Path) -> None:
    speaking(store, (1, 1), (1, 2))
    book = book_of(store)
    quiet = export(store, book, to=tmp_path / "a", formats="wav", edit=lambda segment: segment.apply_gain(-12))
    plain = export(store, book, to=tmp_path / "b", formats="wav")
    podcast = export(store, book, to=tmp_path / "c", formats="wav", loudness="podcast")
    name = "01 - Chapter 1.wav"
    before = measure(plain.file(name).path)
    assert measure(quiet.file(name).path).rms == pytest.approx(before.rms - 12, abs=0.2)
    assert measure(podcast.file(name).path).integrated == pytest.approx(-16, abs=0.5)


def test_a_silent_chapter_stays_silent_whatever_the_loudness(store: AudioStore, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    take = tone(tmp_path, 300).read_bytes()
    silent.write_bytes(take[:44] + bytes(len(take) - 44))
    store.put(silent, owner="alice", project="p1", chapter=1, section=1)
    done = export(store, book_of(store), to=tmp_path / "out", formats="wav", loudness="acx", room_tone=True)
    assert done.missing == ()
    assert set(pcm(done.files[0].path)) == {0}


def test_what_is_wished_of_the_encoding_is_done(store: AudioStore, three: Book, tmp_path: Path) -> None:
    done = export(
        store,
        three,
        to=tmp_path,
        formats=["mp3", "flac"],
        sample_rate=16_000,
        channels=2,
        bit_rate=64_000,
        bit_depth=24,
        fade=SECOND / 10,
        trim=True,
    )
    mp3, flac = probe(done.file("01 - Chapter 1.mp3").path), probe(done.file("01 - Chapter 1.flac").path)
    assert (mp3.sample_rate, mp3.channels) == (16_000, 2)
    assert mp3.bit_rate == pytest.approx(64_000, rel=0.05)
    assert (flac.sample_rate, flac.channels, flac.bit_depth) == (16_000, 2, 24)
    assert mp3.duration < 2 * LENGTH


# --- words ------------------------------------------------------------------------------------------------------------


def test_metadata_and_texts_say_what_was_exported(store: AudioStore, tmp_path: Path) -> None:
    speaking(store, (1, 1))
    key = str(next(store.list(owner="alice")).key)
    project: dict[str, Any] = {
        "title": "Gezeiten",
        "author": "A. Uthor",
        "chapters": [
            {
                "id": 1,
                "name": "Ebbe/Flut?",
                "sections": [
                    {"id": 5, "name": "Anfang", "text": "Es war 雨.", "audioPath": key},
                    {"id": 6, "name": "Mitte", "text": "Dann.", "audioPath": key},
                ],
            },
            {"id": 2, "name": "Ebbe/Flut?", "sections": []},
        ],
    }
    book = Book.from_project(project, owner="alice")
    done = export(store, book, to=tmp_path, formats=["mp3", "m4b"], gap=SECOND)
    assert [each.name for each in done.files] == [
        "01 - Ebbe_Flut_.mp3",
        "Gezeiten.m4b",
        "metadata.json",
        "text/01 - Ebbe_Flut_.txt",
    ]
    assert done.file("text/01 - Ebbe_Flut_.txt").path.read_text() == (
        "Ebbe/Flut?\n\nAnfang\n\nEs war 雨.\n\nMitte\n\nDann.\n"
    )
    noted = json.loads(done.file("metadata.json").path.read_text())
    assert (noted["title"], noted["author"]) == ("Gezeiten", "A. Uthor")
    assert noted["files"] == {"m4b": "Gezeiten.m4b"}
    first, second = noted["chapters"]
    assert (first["id"], first["name"], first["files"]) == ("1", "Ebbe/Flut?", {"mp3": "01 - Ebbe_Flut_.mp3"})
    assert second["duration"] is None
    assert [each["text"] for each in first["sections"]] == ["Es war 雨.", "Dann."]
    assert first["sections"][1]["start"] == pytest.approx(LENGTH + 1, abs=0.03)


def test_words_alone_need_no_audio(store: AudioStore, tmp_path: Path) -> None:
    chapter = BookChapter(name="One", sections=(BookSection(name="nowhere", path="alice/no.wav"),))
    done = export(store, Book(owner="alice", chapters=(chapter,)), to=tmp_path, audio=False)
    assert [each.name for each in done.files] == ["metadata.json"]
    assert done.missing == ()


def test_audio_alone_is_audio_alone_and_all_can_be_one_zip(store: AudioStore, three: Book, tmp_path: Path) -> None:
    done = export(store, three, to=tmp_path, formats="m4b", metadata=False, zip=True)
    assert [each.name for each in done.files] == ["Gezeiten.m4b", "Gezeiten.zip"]
    assert unzip_says_it_is_whole(done.file("Gezeiten.zip").path)
    again = done.zip()
    assert (again.length, again.filename) == (done.file("Gezeiten.zip").size, "Gezeiten.zip")


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unless_that_is_said(store: AudioStore, three: Book, tmp_path: Path) -> None:
    (tmp_path / "02 - Chapter 2.mp3").write_text("mine")
    with pytest.raises(AlreadyExists, match="02 - Chapter 2"):
        export(store, three, to=tmp_path)
    assert (tmp_path / "02 - Chapter 2.mp3").read_text() == "mine"
    export(store, three, to=tmp_path, overwrite=True)
    assert probe(tmp_path / "02 - Chapter 2.mp3").format == "mp3"


def test_another_call_with_other_wishes_makes_chapters_anew(store: AudioStore, three: Book, tmp_path: Path) -> None:
    def fail(share: float) -> None:
        if len(list(tmp_path.glob("out/.*/chapters/*.json"))) == 2:
            raise LookupError

    with pytest.raises(LookupError):
        export(store, three, to=tmp_path / "out", formats="wav", gap=SECOND, progress=fail)
    made = {path.stat().st_ino for path in tmp_path.glob("out/.*/chapters/*.wav")}
    done = export(store, three, to=tmp_path / "out", formats="wav", gap=2 * SECOND)
    assert probe(done.files[0].path).duration == pytest.approx(2 * LENGTH + 2, abs=0.01)
    # The second chapter has one section, but whether it has a gap is not looked at so closely.
    assert not made & {each.path.stat().st_ino for each in done.files}


def test_files_of_an_export_that_was_cut_off_are_its_own(
    store: AudioStore, three: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[str]()

    def once(source: Path, target: Path) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(target.name)
        publish(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("audiostore.export.making.publish", once)
        with pytest.raises(KeyboardInterrupt):
            export(store, three, to=tmp_path / "out", formats="wav")
    assert (tmp_path / "out" / seen[0]).exists()
    done = export(store, three, to=tmp_path / "out", formats="wav")
    assert names_in(tmp_path / "out") == sorted(each.name for each in done.files)


def test_a_cover_is_a_picture_of_the_owner(store: AudioStore, three: Book, tmp_path: Path) -> None:
    stored = store.put(PICTURE, owner="alice", filename="cover.png")
    theirs = store.put(PICTURE, owner="bob", filename="cover.png")
    covers: list[Any] = [PICTURE.read_bytes(), str(PICTURE), stored]
    for number, cover in enumerate(covers):
        done = export(store, three, to=tmp_path / str(number), cover=cover)
        assert probe(done.files[0].path).cover is not None
    with pytest.raises(NotFound):
        export(store, three, to=tmp_path / "x", cover=theirs)
    with pytest.raises(NotFound):
        export(store, three, to=tmp_path / "x", cover=tmp_path / "no.png")
    wrong: Any
    for wrong in (SPEECH, b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(11_000_000)):
        with pytest.raises(UnsupportedAudio, match="cover"):
            export(store, three, to=tmp_path / "x", cover=wrong)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "wishes",
    [
        {"formats": "exe"},
        {"formats": [3]},
        {"gap": -SECOND},
        {"fade": 3},
        {"chapter_gap": timedelta(hours=1)},
        {"loudness": "loud"},
        {"room_tone": True},
        {"on_missing": "ignore"},
        {"workers": 0},
        {"ahead": -1},
        {"formats": [], "metadata": False},
        {"audio": False, "metadata": False},
    ],
)
def test_what_can_not_be_wished_is_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        ExportOptions(**wishes)


def test_options_survive_being_written_down() -> None:
    options = ExportOptions(formats=("m4b", "wav"), gap=SECOND / 3, loudness="acx", room_tone=True, ahead="1 MB")
    assert ExportOptions.from_dict(json.loads(json.dumps(options.as_dict()))) == options


def test_one_mp3_has_no_more_chapters_than_its_tag_can_hold(store: AudioStore, tmp_path: Path) -> None:
    book = Book(owner="alice", chapters=(BookChapter(),) * 256)
    with pytest.raises(ValueError, match="255"):
        export(store, book, to=tmp_path, formats="mp3-book")


def test_who_cancels_gets_nothing_and_nothing_is_left(store: AudioStore, three: Book, tmp_path: Path) -> None:
    shares: list[float] = []
    with pytest.raises(Cancelled):
        export(
            store,
            three,
            to=tmp_path / "out",
            progress=shares.append,
            cancelled=lambda: bool(shares and shares[-1] > 0.3),
        )
    assert names_in(tmp_path / "out") == []
    assert shares == sorted(shares)
    export(store, three, to=tmp_path / "out", progress=shares.append)
    assert shares[-1] == 1.0


def test_what_progress_raises_ends_it(store: AudioStore, three: Book, tmp_path: Path) -> None:
    def angry(share: float) -> None:
        raise LookupError(share)

    with pytest.raises(LookupError):
        export(store, three, to=tmp_path / "out", progress=angry)
