"""What is missing in a book is told, and what there is is found: for its owner, wherever it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from audiostore import AudioStore, SectionsMissing
from audiostore.audio import probe
from audiostore.export import Book, BookChapter, BookSection, export
from tests.export.shelf import LENGTH, SPEECH, ffprobe, names_in, pcm, speaking, tone


def book_of(store: AudioStore) -> Book:
    return Book.from_catalog(store, owner="alice", project="p1", title="Gezeiten")


@pytest.fixture
def broken(store: AudioStore, tmp_path: Path) -> Book:
    """Of six sections, one can be heard."""
    speaking(store, (1, 1), (1, 2))
    speaking(store, (1, 1), owner="bob")
    mine, gone = store.list(owner="alice")
    theirs = next(store.list(owner="bob"))
    text = store.put(b"Dear diary,\n" * 99, owner="alice", filename="notes.wav", content_type="audio/wav")
    store.backend.delete([gone.key])
    sections = (
        BookSection(name="mine", path=str(mine.key), upload_id=mine.id),
        BookSection(name="theirs", path=str(theirs.key), upload_id=theirs.id),
        BookSection(name="none"),
        BookSection(name="nowhere", path="/uploads/old.wav", backend="local", upload_id="7"),
        BookSection(name="lost", path=str(gone.key)),
        BookSection(name="text", path=str(text.key)),
    )
    return Book(owner="alice", title="Tides", chapters=(BookChapter(name="One", sections=sections),))


def test_no_section_is_dropped_without_a_word(store: AudioStore, broken: Book, tmp_path: Path) -> None:
    done = export(store, broken, to=tmp_path, formats=["wav", "mp3"])
    assert [(each.name, each.reason) for each in done.missing] == [
        ("theirs", "missing"),
        ("none", "no_audio"),
        ("nowhere", "missing"),
        ("lost", "missing"),
        ("text", "unreadable"),
    ]
    assert probe(done.file("01 - One.wav").path).duration == pytest.approx(LENGTH, abs=0.02)
    noted = json.loads(done.file("metadata.json").path.read_text())
    assert [each["missing"] for each in noted["chapters"][0]["sections"]] == [
        None,
        "missing",
        "no_audio",
        "missing",
        "missing",
        "unreadable",
    ]
    assert [each["name"] for each in noted["missing"]] == ["theirs", "none", "nowhere", "lost", "text"]
    assert str(done.missing[0]) == "chapter 1, section 2 (theirs): missing"


def test_whoever_wants_all_or_nothing_gets_nothing(store: AudioStore, broken: Book, tmp_path: Path) -> None:
    with pytest.raises(SectionsMissing) as refused:
        export(store, broken, to=tmp_path / "out", on_missing="raise")
    assert [each.name for each in refused.value.missing] == ["theirs", "none", "nowhere"]
    heard = Book(
        owner="alice",
        chapters=(BookChapter(sections=(broken.chapters[0].sections[0], broken.chapters[0].sections[5])),),
    )
    with pytest.raises(SectionsMissing) as refused:
        export(store, heard, to=tmp_path / "out", on_missing="raise")
    assert [each.reason for each in refused.value.missing] == ["unreadable"]
    assert not [each for each in names_in(tmp_path / "out") if not each.startswith(".audiostore-export")]


def test_a_damaged_file_is_unreadable_and_the_rest_is_heard(store: AudioStore, tmp_path: Path) -> None:
    speaking(store, (1, 1), (1, 2), (2, 1))
    first, _, alone = store.list(owner="alice")
    for each in (first, alone):
        path = tmp_path / "uploads" / str(each.key)
        path.write_bytes(path.read_bytes()[:-2] + b"\x11\x11")
    done = export(store, book_of(store), to=tmp_path / "out", formats=["wav", "m4b"])
    assert [(each.chapter, each.section, each.reason) for each in done.missing] == [
        (0, 0, "unreadable"),
        (1, 0, "unreadable"),
    ]
    assert [each.name for each in done.files] == ["01 - Chapter 1.wav", "Gezeiten.m4b", "metadata.json"]
    assert len(ffprobe(done.file("Gezeiten.m4b").path)["chapters"]) == 1


def test_a_book_of_which_nothing_can_be_heard_is_metadata(store: AudioStore, tmp_path: Path) -> None:
    book = Book(owner="alice", title="Plan", chapters=(BookChapter(name="One", sections=(BookSection(text="Hm."),)),))
    done = export(store, book, to=tmp_path, formats=["mp3", "m4b"])
    assert [each.name for each in done.files] == ["metadata.json", "text/01 - One.txt"]
    assert [each.reason for each in done.missing] == ["no_audio"]


# --- references -------------------------------------------------------------------------------------------------------


def test_a_replaced_file_is_found_by_its_id(store: AudioStore, tmp_path: Path) -> None:
    speaking(store, (1, 1))
    old = next(store.list(owner="alice"))
    store.replace(old, tone(tmp_path, 440))
    section = BookSection(path=str(old.key), upload_id=old.id)
    book = Book(owner="alice", chapters=(BookChapter(sections=(section,)),))
    done = export(store, book, to=tmp_path / "out", formats="wav")
    assert done.missing == ()
    assert probe(done.files[0].path).duration == pytest.approx(1.0, abs=0.01)


def test_old_local_files_come_from_whoever_knows_them(store: AudioStore, tmp_path: Path) -> None:
    old = tmp_path / "old" / "take.wav"
    old.parent.mkdir()
    shutil.copy(SPEECH, old)
    asked: list[tuple[str, str]] = []

    def originals(path: str, owner: str) -> Path | None:
        asked.append((path, owner))
        return {"/uploads/take.wav": old, "/uploads/folder": tmp_path, "/uploads/gone.wav": tmp_path / "no"}.get(path)

    paths = ("/uploads/take.wav", "/uploads/folder", "/uploads/gone.wav", "/uploads/not-mine.wav")
    sections = [BookSection(path=path, backend="local") for path in paths]
    sections += [BookSection(path="/uploads/take.wav", backend="supabase")]
    book = Book(owner="alice", chapters=(BookChapter(sections=tuple(sections)),))
    done = export(store, book, to=tmp_path / "out", formats="wav", originals=originals)
    assert [each.section for each in done.missing] == [1, 2, 3, 4]
    assert pcm(done.files[0].path) == pcm(SPEECH)
    assert old.exists()
    assert set(asked) == {(path, "alice") for path in paths}
