"""``Exports``: begun, run, looked at, downloaded and gone; each only for its owner."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import (
    AudioStore,
    Cancelled,
    FixedQuota,
    NotFound,
    QuotaExceeded,
    SectionsMissing,
    StorageFull,
    Unavailable,
)
from audiostore.audio import canonical, measure, probe
from audiostore.export import Book, BookChapter, BookSection, Exports
from tests.export.shelf import names_in, pcm, speaking, tone, unzip_says_it_is_whole
from tests.export.test_export import PICTURE


class Clock:
    """Seconds that pass when a test says so."""

    now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now


class Louder:
    def __init__(self, decibels: float) -> None:
        self.decibels = decibels

    def edit(self, segment: Any) -> Any:
        return segment.apply_gain(self.decibels)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exports(store: AudioStore, tmp_path: Path, clock: Clock) -> Exports:
    return Exports(store, tmp_path / "exports", clock=clock)


@pytest.fixture
def book(store: AudioStore) -> Book:
    speaking(store, (1, 1), (2, 1))
    return Book.from_catalog(store, owner="alice", project="p1", title="Gezeiten")


def test_an_export_waits_is_run_and_is_finished(exports: Exports, book: Book) -> None:
    begun = exports.begin(book, formats=["mp3", "m4b"], cover=PICTURE)
    assert (begun.state, begun.share, begun.files) == ("waiting", 0.0, ())
    assert exports.get(begun.id, owner="alice") == begun
    shares: list[float] = []
    done = exports.run(begun.id, owner="alice", progress=shares.append)
    assert (done.state, done.share, done.error) == ("finished", 1.0, None)
    assert exports.get(begun.id, owner="alice") == done
    assert shares[-1] == 1.0
    assert probe(done.file("Gezeiten.m4b").path).cover is not None
    assert exports.run(begun.id, owner="alice") == done
    with pytest.raises(NotFound):
        done.file("other.mp3")


def test_the_world_outside_sees_no_path_of_this_machine(exports: Exports, book: Book, tmp_path: Path) -> None:
    done = exports.run(exports.begin(book).id, owner="alice")
    told = json.dumps(done.as_dict())
    assert str(tmp_path) not in told
    assert json.loads(told)["size"] == done.size == sum(each.path.stat().st_size for each in done.files)


def test_a_finished_one_is_one_zip(exports: Exports, book: Book, tmp_path: Path) -> None:
    begun = exports.begin(book, formats="wav", zip=True)
    with pytest.raises(NotFound):
        begun.zip()
    stream = exports.run(begun.id, owner="alice").zip()
    content = b"".join(stream)
    assert len(content) == stream.length
    assert stream.filename == "Gezeiten.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["01 - Chapter 1.wav", "02 - Chapter 2.wav", "metadata.json"]
        assert archive.testzip() is None
    (tmp_path / "z.zip").write_bytes(content)
    assert unzip_says_it_is_whole(tmp_path / "z.zip")


def test_an_export_is_its_owners_alone(exports: Exports, book: Book) -> None:
    begun = exports.begin(book)
    acts: list[Callable[..., Any]] = [exports.get, exports.run, exports.cancel, exports.delete, exports.keep]
    for act in acts:
        with pytest.raises(NotFound):
            act(begun.id, owner="bob")
        for strange in ("../../etc", "", begun.id.upper() + "x", "0" * 36):
            with pytest.raises(NotFound):
                act(strange, owner="alice")
    assert exports.list(owner="bob") == ()
    assert exports.list(owner="alice") == (begun,)


def test_it_survives_a_restart(exports: Exports, book: Book, store: AudioStore, clock: Clock) -> None:
    one, two = exports.begin(book, gap=timedelta(seconds=0.25), formats="wav"), exports.begin(book)
    exports.run(two.id, owner="alice")
    again = Exports(store, exports.folder, clock=clock)
    assert [each.state for each in again.list(owner="alice")] == ["waiting", "finished"]
    assert [each.id for each in again.waiting()] == [one.id]
    assert again.run(one.id, owner="alice").state == "finished"
    assert list(again.waiting()) == []


def test_what_changed_since_it_failed_is_made_anew_and_the_rest_is_not(
    exports: Exports, book: Book, store: AudioStore, tmp_path: Path
) -> None:
    begun = exports.begin(book, formats="wav")
    (folder,) = exports.folder.glob(f"*/{begun.id}")
    second = book.chapters[1].sections[0]

    def fail(share: float) -> None:
        if len(list(folder.glob("work/chapters/*.json"))) == 2:
            raise LookupError

    with pytest.raises(LookupError):
        exports.run(begun.id, owner="alice", progress=fail)
    made = {path: path.stat().st_ino for path in folder.glob("work/chapters/*.wav")}
    assert len(made) == 2
    assert second.upload_id is not None
    store.replace(second.upload_id, tone(tmp_path, 440), owner="alice")
    done = exports.run(begun.id, owner="alice")
    one, two = (each.path for each in done.files if each.duration)
    assert one.stat().st_ino in made.values()
    assert two.stat().st_ino not in made.values()
    assert pcm(two) == pcm(tone(tmp_path, 440))


def test_a_chapter_made_with_the_edit_of_another_object_is_made_anew(exports: Exports, book: Book) -> None:
    def fail(share: float) -> None:
        if share > 0.5:
            raise LookupError

    begun = exports.begin(book, formats="wav")
    with pytest.raises(LookupError):
        exports.run(begun.id, owner="alice", edit=Louder(-6).edit, progress=fail)
    done = exports.run(begun.id, owner="alice", edit=Louder(-20).edit)
    first, second = (measure(each.path) for each in done.files if each.duration)
    assert first.rms == pytest.approx(second.rms, abs=0.5)


def test_what_a_finished_chapter_lacks_is_told_again_when_it_is_used_again(
    exports: Exports, book: Book, tmp_path: Path
) -> None:
    second = book.chapters[0].sections[0]
    damaged = tmp_path / "uploads" / str(second.path)
    (whole,) = book.chapters[1].sections
    book = replace(book, chapters=(BookChapter(sections=(second, whole)), book.chapters[1]))
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"\x11\x11")
    begun = exports.begin(book, formats="wav")
    (folder,) = exports.folder.glob(f"*/{begun.id}")

    def fail(share: float) -> None:
        if list(folder.glob("work/chapters/*.json")):
            raise LookupError

    with pytest.raises(LookupError):
        exports.run(begun.id, owner="alice", progress=fail)
    done = exports.run(begun.id, owner="alice")
    assert [(each.chapter, each.section, each.reason) for each in done.missing] == [(0, 0, "unreadable")]


def test_it_expires_and_is_swept(exports: Exports, book: Book, clock: Clock) -> None:
    begun, done = exports.begin(book), exports.begin(book)
    clock.now += 12 * 3600
    done = exports.run(done.id, owner="alice")
    assert done.expires_at is not None
    assert done.expires_at.timestamp() == clock.now + 24 * 3600
    clock.now += 12 * 3600
    with pytest.raises(NotFound):
        exports.run(begun.id, owner="alice")
    assert exports.list(owner="alice") == (done,)
    assert exports.sweep().expired == 0, "somebody may be downloading it"
    clock.now += 3600
    assert exports.sweep().expired == 1
    assert exports.get(done.id, owner="alice") == done
    clock.now += 11 * 3600
    assert exports.list(owner="alice") == ()
    assert exports.sweep().expired == 0
    clock.now += 3600
    assert exports.sweep().expired == 1
    assert names_in(exports.folder) == []
    assert list(exports.folder.iterdir()) == []
    assert exports.sweep().expired == 0
    with pytest.raises(ValueError, match="retention"):
        Exports(exports.store, exports.folder, retention=timedelta(0))


def test_what_is_deleted_is_gone(exports: Exports, book: Book) -> None:
    done = exports.run(exports.begin(book).id, owner="alice")
    exports.delete(done.id, owner="alice")
    with pytest.raises(NotFound):
        exports.get(done.id, owner="alice")
    assert names_in(exports.folder) == []


def test_a_begin_that_was_cut_off_is_seen_by_no_one_and_swept(exports: Exports, book: Book) -> None:
    begun = exports.begin(book)
    (folder,) = exports.folder.glob(f"*/{begun.id}")
    cut_off = folder.rename(folder.with_name(f".new-{begun.id}"))
    assert exports.list(owner="alice") == ()
    exports.sweep()
    assert cut_off.exists(), "somebody may be about to begin it"
    os.utime(cut_off, (0, 0))
    exports.sweep()
    assert names_in(exports.folder) == []


def test_it_can_be_cancelled_before_and_while_it_is_run(exports: Exports, book: Book) -> None:
    waiting = exports.begin(book)
    exports.cancel(waiting.id, owner="alice")
    assert exports.get(waiting.id, owner="alice").error == "Cancelled"
    running = exports.begin(book)
    with pytest.raises(Cancelled):
        exports.run(running.id, owner="alice", progress=lambda share: exports.cancel(running.id, owner="alice"))
    failed = exports.get(running.id, owner="alice")
    assert (failed.state, failed.error, failed.files) == ("failed", "Cancelled", ())
    assert list(exports.waiting()) == []
    done = exports.run(running.id, owner="alice")
    assert (done.state, done.error) == ("finished", None)
    exports.cancel(running.id, owner="alice")
    assert exports.get(running.id, owner="alice").state == "finished"
    with pytest.raises(Cancelled):
        exports.run(exports.begin(book).id, owner="alice", cancelled=lambda: True)


def test_a_process_that_is_asked_to_end_leaves_it_for_the_next(exports: Exports, book: Book) -> None:
    begun = exports.begin(book)

    def end(share: float) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        exports.run(begun.id, owner="alice", progress=end)
    assert exports.get(begun.id, owner="alice").error is None
    assert [each.id for each in exports.waiting()] == [begun.id]
    assert exports.run(begun.id, owner="alice").state == "finished"


def test_a_failure_is_noted_and_what_it_was(exports: Exports, store: AudioStore) -> None:
    sections = (BookSection(name="none"),)
    begun = exports.begin(
        Book(owner="alice", chapters=(BookChapter(sections=sections),)), on_missing="raise", metadata=True
    )
    with pytest.raises(SectionsMissing):
        exports.run(begun.id, owner="alice")
    failed = exports.get(begun.id, owner="alice")
    assert (failed.state, failed.error, failed.title) == ("failed", "SectionsMissing", "book")
    assert [each.reason for each in failed.missing] == ["no_audio"]


def test_while_storage_is_away_nothing_is_called_missing(
    exports: Exports, book: Book, store: AudioStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = exports.begin(book)

    def away(*args: object, **options: object) -> Any:
        raise Unavailable("the backend", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(store.backend, "read", away)
        with pytest.raises(Unavailable):
            exports.run(begun.id, owner="alice")
    failed = exports.get(begun.id, owner="alice")
    assert (failed.error, failed.missing) == ("Unavailable", ())
    assert exports.run(begun.id, owner="alice").missing == ()


@pytest.mark.parametrize("call", ["write", "link", "fsync"])
def test_a_full_disk_is_told_and_nothing_half_made_is_seen(
    exports: Exports, book: Book, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    begun = exports.begin(book, formats="wav", zip=True)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        _fill_the_disk(patch, call, full, exports.folder)
        with pytest.raises(StorageFull):
            exports.run(begun.id, owner="alice")
    (folder,) = exports.folder.glob(f"*/{begun.id}")
    assert exports.get(begun.id, owner="alice").files == ()
    assert not [each for each in names_in(folder) if each.endswith((".part", ".wav.json"))]
    assert exports.run(begun.id, owner="alice").state == "finished"


def _fill_the_disk(patch: pytest.MonkeyPatch, call: str, full: OSError, folder: Path) -> None:
    from audiostore.export import journal

    if call == "link":

        def no_room(*args: object) -> None:
            raise full

        patch.setattr(os, "link", no_room)
        patch.setattr(shutil, "copyfile", no_room)
    elif call == "fsync":

        def no_sync(path: Path) -> None:
            if path.suffix == ".wav":
                raise full

        patch.setattr(journal, "sync", no_sync)
    else:
        opened = Path.open

        def no_open(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            if "fetched" in path.parts and "x" in mode:
                raise full
            return opened(path, mode, *args, **options)

        patch.setattr(Path, "open", no_open)


def test_what_is_finished_can_be_kept_under_the_owners_quota(exports: Exports, book: Book, store: AudioStore) -> None:
    done = exports.run(exports.begin(book, formats=["m4b", "mp3"], zip=True).id, owner="alice")
    before = store.usage("alice").used
    kept = exports.keep(done.id, owner="alice")
    assert [each.filename for each in kept] == ["01 - Chapter 1.mp3", "02 - Chapter 2.mp3", "Gezeiten.m4b"]
    assert {(each.project, each.chapter) for each in kept} == {("p1", None)}
    assert [each.content_type for each in kept] == ["audio/mpeg", "audio/mpeg", "audio/mp4"]
    assert store.usage("alice").used == before + sum(each.size for each in kept)
    assert store.get(kept[2]) == done.file("Gezeiten.m4b").path.read_bytes()
    assert exports.keep(done.id, owner="alice") == kept
    assert [each.content_type for each in exports.keep(done.id, owner="alice", names=("Gezeiten.zip",))] == [
        "application/zip"
    ]
    # What was kept is no section of the book when it is exported again.
    again = Book.from_catalog(store, owner="alice", project="p1", title="Gezeiten")
    assert again == book


def test_either_all_is_kept_or_nothing(tmp_path: Path, clock: Clock) -> None:
    with AudioStore.local(tmp_path / "uploads", quota=FixedQuota("60 KB")) as store:
        speaking(store, (1, 1), (2, 1))
        exports = Exports(store, tmp_path / "exports", clock=clock)
        book = Book.from_catalog(store, owner="alice", project="p1")
        done = exports.run(exports.begin(book, formats="wav").id, owner="alice")
        before = store.usage("alice")
        with pytest.raises(QuotaExceeded):
            exports.keep(done.id, owner="alice")
        assert store.usage("alice") == before
        with pytest.raises(NotFound):
            exports.keep(exports.begin(book).id, owner="alice")


def test_what_was_kept_before_stays_when_there_is_no_room_for_more(tmp_path: Path, clock: Clock) -> None:
    with AudioStore.local(tmp_path / "uploads", quota=FixedQuota("60 KB")) as store:
        speaking(store, (1, 1), (2, 1))
        exports = Exports(store, tmp_path / "exports", clock=clock)
        book = Book.from_catalog(store, owner="alice", project="p1")
        done = exports.run(exports.begin(book, formats="wav").id, owner="alice")
        first, second = (each.name for each in done.files if each.content_type == "audio/wav")
        (kept,) = exports.keep(done.id, owner="alice", names=(first,))
        with pytest.raises(QuotaExceeded):
            exports.keep(done.id, owner="alice", names=(first, second))
        assert store.get(kept) == done.file(first).path.read_bytes()


def test_a_stores_processor_does_not_touch_what_is_kept(tmp_path: Path) -> None:
    with AudioStore.local(tmp_path / "uploads", process=canonical("mp3")) as store:
        store.put(tone(tmp_path, 300), owner="alice", project="p1", chapter=1, section=1)
        exports = Exports(store, tmp_path / "exports")
        book = Book.from_catalog(store, owner="alice", project="p1", title="Gezeiten")
        done = exports.run(exports.begin(book, formats="m4b").id, owner="alice")
        (kept,) = exports.keep(done.id, owner="alice")
        assert (kept.filename, store.get(kept)) == ("Gezeiten.m4b", done.files[0].path.read_bytes())


def test_the_folder_is_in_the_environment(store: AudioStore, tmp_path: Path) -> None:
    assert Exports.from_env(store, {"EXPORT_FOLDER": str(tmp_path / "e")}).folder == tmp_path / "e"
    assert Exports.from_env(store, {}).folder == Path("exports")
