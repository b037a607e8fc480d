"""A book on disk and in Supabase, of which not all is there; and a process that is killed while it exports it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audiostore import AudioStore, Unavailable
from audiostore.audio import probe
from audiostore.export import Book, BookChapter, BookSection, Exports
from audiostore.export.journal import claimed, publish, tidy
from tests.export.shelf import ffprobe, names_in, pcm, tone
from tests.supabase.project import Served, served

ROOT = Path(__file__).parent.parent.parent
EXPORTER = Path(__file__).parent / "exporter.py"


@dataclass
class World:
    """An app whose files are on its disk and in Supabase; its catalog is there, too."""

    project: Served
    folder: Path

    def environ(self, backend: str = "local") -> dict[str, str]:
        return {
            "STORAGE_BACKEND": backend,
            "SUPABASE_URL": self.project.url,
            "SUPABASE_SERVICE_KEY": self.project.fake.service_key,
            "UPLOAD_FOLDER": str(self.folder / "uploads"),
            "EXPORT_FOLDER": str(self.folder / "exports"),
        }

    def store(self, backend: str = "local") -> AudioStore:
        return AudioStore.from_env(self.environ(backend), secret="s" * 16)

    def put(self, backend: str, hertz: int, *, owner: str = "alice", project: str = "p1") -> BookSection:
        with self.store(backend) as store:
            file = store.put(tone(self.folder, hertz), owner=owner, project=project, chapter=1, section=hertz)
        return BookSection(name=f"{hertz} Hz", path=str(file.key), backend=file.backend, upload_id=file.id)

    def exporter(self, id: str, *, until: float = 2.0) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
        return subprocess.Popen(
            [sys.executable, EXPORTER, id, "alice", str(until)],
            env=kept | self.environ() | {"PATH": "", "PYTHONPATH": str(ROOT / "src"), "AUDIOSTORE_SECRET": "s" * 16},
            stdout=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    staged = tmp_path / "staged"
    staged.mkdir()
    with served(staged) as project:
        yield World(project, tmp_path)


@pytest.fixture
def book(world: World) -> Book:
    """Three chapters: each has sections on the disk and in Supabase; one section is missing, one is foreign."""
    one = (world.put("local", 300), world.put("supabase", 350))
    two = (world.put("supabase", 400), BookSection(name="gone", path="alice/p1/gone.wav", backend="supabase"))
    theirs = world.put("supabase", 450, owner="bob")
    three = (world.put("local", 500), theirs, world.put("supabase", 550))
    chapters = zip(("Ebbe", "Flut", "Sturm"), (one, two, three), strict=True)
    return Book(
        owner="alice",
        title="Gezeiten",
        project="p1",
        chapters=tuple(BookChapter(name=name, sections=sections) for name, sections in chapters),
    )


def test_a_book_from_two_places_is_exported_and_what_is_not_there_is_told(world: World, book: Book) -> None:
    with world.store() as store:
        exports = Exports.from_env(store, world.environ())
        done = exports.run(exports.begin(book, formats=["wav", "m4b"]).id, owner="alice")
        assert [(each.name, each.reason) for each in done.missing] == [("gone", "missing"), ("450 Hz", "missing")]
        first, second, third = (each.path for each in done.files if each.name.endswith(".wav"))
        assert pcm(first) == pcm(tone(world.folder, 300)) + pcm(tone(world.folder, 350))
        assert pcm(second) == pcm(tone(world.folder, 400))
        assert pcm(third) == pcm(tone(world.folder, 500)) + pcm(tone(world.folder, 550))
        assert [each["tags"]["title"] for each in ffprobe(done.file("Gezeiten.m4b").path)["chapters"]] == [
            "Ebbe",
            "Flut",
            "Sturm",
        ]


def test_a_killed_export_goes_on_with_the_chapters_that_are_finished(world: World, book: Book) -> None:
    with world.store() as store:
        exports = Exports.from_env(store, world.environ())
        begun = exports.begin(book, formats=["mp3"])
        exporter = world.exporter(begun.id, until=0.5)
        assert exporter.stdout is not None
        assert exporter.stdout.readline() == "still\n"
        # It is alive, so nobody else touches it.
        assert exports.get(begun.id, owner="alice").state == "running"
        assert exports.sweep().dead == 0
        exporter.send_signal(signal.SIGKILL)
        exporter.wait()
        exporter.stdout.close()
        work = _work(exports, begun.id)
        assert any((work / "fetched").iterdir())
        assert len(_finished(work)) == 1
        noted = {path: path.stat().st_mtime_ns for path in _finished(work)}
        assert exports.get(begun.id, owner="alice").state == "waiting"
        assert [each.id for each in exports.waiting()] == [begun.id]
        assert exports.sweep().dead == 1
        assert names_in(work) == sorted(f"chapters/{path.stem}{end}" for path in noted for end in (".json", ".mp3"))
        asked = len(world.project.fake.requests)
        done = exports.run(begun.id, owner="alice")
        seen = [each.path for each in world.project.fake.requests[asked:] if each.method == "GET"]
        assert not [path for path in seen if "350" in path], "a section of a finished chapter was fetched again"
        assert [path for path in seen if "550" in path]
        assert {each.reason for each in done.missing} == {"missing"}
        assert [probe(each.path).format for each in done.files if each.duration] == ["mp3"] * 3
        whole = exports.run(exports.begin(book, formats=["mp3"]).id, owner="alice")
        assert [each.path.read_bytes() for each in done.files] == [each.path.read_bytes() for each in whole.files]
        assert not work.exists()


def test_killed_again_and_again_it_is_the_same_in_the_end(world: World, book: Book) -> None:
    with world.store() as store:
        exports = Exports.from_env(store, world.environ())
        begun = exports.begin(book, formats=["m4a", "m4b"], zip=True)
        for until in (0.3, 0.95):
            with world.exporter(begun.id, until=until) as exporter:
                assert exporter.stdout is not None
                assert exporter.stdout.readline() == "still\n"
                exporter.kill()
        with world.exporter(begun.id) as exporter:
            assert exporter.stdout is not None
            assert exporter.stdout.readline().startswith("finished")
        done = exports.get(begun.id, owner="alice")
        assert done.state == "finished"
        whole = exports.run(exports.begin(book, formats=["m4a", "m4b"], zip=True).id, owner="alice")
        audio = [(each.path, whole.file(each.name).path) for each in done.files if each.duration]
        assert len(audio) == 4
        assert all(pcm(one) == pcm(other) for one, other in audio)
        folder = _work(exports, begun.id).parent
        assert {each.name for each in folder.iterdir()} == {"book.json", "export.json", "files"}
        assert names_in(folder / "files") == sorted(each.name for each in done.files)


def test_what_a_kill_leaves_of_publishing_lies_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "work" / "documents" / "a.txt", tmp_path / "files" / "a.txt"
    source.parent.mkdir(parents=True)
    source.write_text("It rained.")

    def killed(path: Path, *args: object, **options: object) -> None:
        raise SystemExit

    def unlink(path: Path, *args: object, **options: object) -> None:
        return None

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(SystemExit):
            publish(source, target)
    assert names_in(target.parent) == []
    assert len(names_in(tmp_path / "work")) == 2
    assert tidy(tmp_path / "work")
    assert names_in(tmp_path / "work") == ["documents/a.txt"]
    assert not tidy(tmp_path / "work")


def test_two_processes_never_run_the_same_export(world: World, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiostore.export import exports as module

    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    with world.store() as store:
        exports = Exports.from_env(store, world.environ())
        begun = exports.begin(book)
        with claimed(_work(exports, begun.id).parent) as ours:
            assert ours
            with pytest.raises(Unavailable) as refused:
                exports.run(begun.id, owner="alice")
            assert refused.value.retryable
            with pytest.raises(Unavailable):
                exports.delete(begun.id, owner="alice")
        assert exports.run(begun.id, owner="alice").state == "finished"


def _work(exports: Exports, id: str) -> Path:
    (found,) = exports.folder.glob(f"*/{id}")
    return found / "work"


def _finished(work: Path) -> list[Path]:
    return list((work / "chapters").glob("*.json"))
