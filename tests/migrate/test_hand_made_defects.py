"""What apps' own migrations got wrong, each shown by a run: none of it happens here. tests/defects.md has the list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioFile, AudioStore, Key, Staged, Unavailable
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.migrate import Change, Migration, MigrationReport, ProjectRow, SQLiteJournal
from audiostore.migrate.protocols import Rewriting
from audiostore.models import ObjectStat
from audiostore.protocols import Progress
from tests.migrate.apps import SqliteApp, app_of

SOUND = b"RIFF\x24\0\0\0WAVEfmt "


class World:
    """An app with a folder of uploads, and a store that they are to go to."""

    def __init__(self, folder: Path) -> None:
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        self.app = SqliteApp(folder / "app.sqlite3")
        self.references: Any = self.app.table
        self.backend = MemoryBackend()
        self.store = AudioStore(self.backend, MemoryCatalog())
        self._journal = folder / "journal.db"

    def has(self, *names: str) -> None:
        for name in names:
            (self.uploads / name).parent.mkdir(parents=True, exist_ok=True)
            (self.uploads / name).write_bytes(SOUND + name.encode())

    def says(self, project: str, owner: str, *paths: str | None, **others: Any) -> None:
        self.app.add([(project, owner, _book(*paths, **others))])

    def migrate(self) -> MigrationReport:
        return Migration(self.uploads, self.store, self.references, SQLiteJournal(self._journal)).run().report

    def sections(self, project: str) -> list[dict[str, Any]]:
        book = json.loads(self.app.texts()[project] or "")
        return [section for chapter in book["chapters"] for section in chapter["sections"]]

    def plays(self, project: str) -> list[str | None]:
        """Give the names of the files that the sections play."""
        return [self._heard(each) for each in self.sections(project)]

    def files(self, owner: str | None = None) -> Sequence[AudioFile]:
        return self.store.catalog.list(owner)

    def _heard(self, section: Mapping[str, Any]) -> str | None:
        if section.get("storageBackend") != "memory":
            return None
        return b"".join(self.backend.read(Key(section["audioPath"]))).removeprefix(SOUND).decode()


def _book(*paths: str | None, escaped: bool = True) -> str:
    sections = [{"id": number, "audioPath": path} for number, path in enumerate(paths)]
    return json.dumps({"chapters": [{"id": 1, "sections": sections}]}, ensure_ascii=escaped)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_name_that_ends_in_another_is_another_file(world: World) -> None:
    world.has("a.wav", "data.wav", "old/a.wav")
    world.says("p", "alice", "/uploads/a.wav", "/uploads/data.wav", "/uploads/old/a.wav")
    assert world.migrate().migrated == 3
    assert world.plays("p") == ["a.wav", "data.wav", "old/a.wav"]


def test_again_doubles_nothing(world: World) -> None:
    world.has("a.wav", "b.wav")
    world.says("p", "alice", "/uploads/a.wav", "/uploads/b.wav")
    world.migrate()
    before = world.app.texts(), world.files(), world.store.usage("alice")
    for _ in range(2):
        assert world.migrate().idle
    assert (world.app.texts(), world.files(), world.store.usage("alice")) == before
    assert len(list(world.backend.list())) == 2


def test_each_owner_has_a_copy_and_pays_for_it(world: World) -> None:
    world.has("jingle.wav")
    world.says("p", "alice", "/uploads/jingle.wav")
    world.says("q", "bob", "/uploads/jingle.wav")
    world.migrate()
    assert [each.owner for each in world.files()] == ["alice", "bob"]
    for project, owner in (("p", "alice"), ("q", "bob")):
        (file,) = world.files(owner)
        (section,) = world.sections(project)
        assert (section["audioPath"], section["uploadId"]) == (file.key, file.id)
        assert world.store.usage(owner).used == file.size


def test_a_section_without_audio_hides_no_other(world: World) -> None:
    world.has("a.wav")
    world.says("p", "alice", None, "/uploads/a.wav")
    assert world.migrate().skipped == 0
    assert world.plays("p") == [None, "a.wav"]


@pytest.mark.parametrize("escaped", [True, False])
def test_names_are_found_in_any_spelling_and_no_name_is_a_pattern(world: World, *, escaped: bool) -> None:
    world.has("Kapitel ü.wav", "take_1.wav", "takeX1.wav", "100%.wav", "1000.wav", 'a"b.wav')
    paths = ["/uploads/Kapitel%20%C3%BC.wav", "/uploads/take_1.wav", "/uploads/100%25.wav", "/uploads/a%22b.wav"]
    world.says("p", "alice", *paths, "Kapitel ü.wav", escaped=escaped)
    report = world.migrate()
    assert (report.migrated, report.skipped) == (4, 2)
    assert world.plays("p") == ["Kapitel ü.wav", "take_1.wav", "100%.wav", 'a"b.wav', "Kapitel ü.wav"]


def test_no_project_is_left_out_however_few_rows_the_server_gives(world: World, tmp_path: Path) -> None:
    world.has("jingle.wav")
    with app_of("rest-text", tmp_path, max_rows=10) as app:
        app.add([(f"p{number:03}", "alice", _book("/uploads/jingle.wav")) for number in range(35)])
        world.references = app.table
        assert world.migrate().references == {"rewritten": 35}
        assert not any("/uploads/" in (text or "") for text in app.texts().values())


class Interfering:
    """References to which something happens right before they are rewritten."""

    def __init__(self, app: SqliteApp, *edits: str, broken: bool = False) -> None:
        self._app = app
        self._edits = list(edits)
        self.broken = broken
        self.scans = self.writes = 0
        self.find = app.table.find
        self.close = app.table.close

    def scan(self, *, owner: str | None = None) -> Iterator[ProjectRow]:
        self.scans += 1
        return self._app.table.scan(owner=owner)

    def rewrite(self, project: str, changes: Sequence[Change]) -> Sequence[Rewriting]:
        self.writes += 1
        if self.broken:
            raise Unavailable("projects")
        for edit in self._edits:
            self._app.write(project, edit)
        return self._app.table.rewrite(project, changes)


def test_what_a_user_wrote_since_the_plan_survives(world: World) -> None:
    world.has("a.wav")
    world.says("p", "alice", "/uploads/a.wav")
    edit = json.dumps({"title": "New", "chapters": [{"id": 7, "sections": [{"id": 0, "audioPath": "/uploads/a.wav"}]}]})
    world.references = Interfering(world.app, edit)
    world.migrate()
    assert json.loads(world.app.texts()["p"] or "")["title"] == "New"
    assert world.plays("p") == ["a.wav"]


def test_a_new_take_is_not_written_over(world: World) -> None:
    world.has("a.wav", "new.wav")
    world.says("p", "alice", "/uploads/a.wav")
    world.references = Interfering(world.app, _book("/uploads/new.wav"))
    world.migrate()
    assert [each["audioPath"] for each in world.sections("p")] == ["/uploads/new.wav"]
    world.references = world.app.table
    world.migrate()
    assert world.plays("p") == ["new.wav"]


def test_a_reference_that_was_not_written_is_a_failure_until_it_is(world: World) -> None:
    world.has("a.wav")
    world.says("p", "alice", "/uploads/a.wav")
    world.references = Interfering(world.app, broken=True)
    report = world.migrate()
    assert (report.migrated, report.ok) == (0, False)
    assert world.sections("p")[0]["audioPath"] == "/uploads/a.wav"
    world.references.broken = False
    assert world.migrate().ok
    assert world.plays("p") == ["a.wav"]
    assert len(world.files()) == 1


class Damaging(MemoryBackend):
    """Keeps other bytes than it is given, and says that all went well."""

    broken = True

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        stat = super().write(key, staged, resume=resume, progress=progress)
        if self.broken:
            self._kept[key] = replace(self._kept[key], data=self._kept[key].data[:-1] + b"?")
        return stat


def test_bytes_that_arrived_otherwise_are_not_migrated(world: World) -> None:
    world.backend = backend = Damaging()
    world.store = AudioStore(backend, MemoryCatalog())
    world.has("a.wav")
    world.says("p", "alice", "/uploads/a.wav")
    report = world.migrate()
    assert (report.migrated, report.failed, report.outcomes["mismatch"]) == (0, 1, 1)
    assert world.sections("p")[0]["audioPath"] == "/uploads/a.wav"
    assert (world.files(), world.store.usage("alice").used) == ([], 0)
    backend.broken = False
    assert world.migrate().ok
    assert world.plays("p") == ["a.wav"]


def test_bytes_are_charged_and_each_project_is_written_once(world: World) -> None:
    names = [f"{number}.wav" for number in range(20)]
    world.has(*names)
    world.says("p", "alice", *(f"/uploads/{name}" for name in names))
    world.references = Interfering(world.app)
    world.migrate()
    assert world.store.usage("alice").used == sum((world.uploads / name).stat().st_size for name in names)
    assert world.references.writes < 4


def test_every_kind_of_audio_comes_from_every_folder(world: World) -> None:
    names = ["a.wav", "B.WAV", "c.mp3", "d.m4a", "e.flac", "f.ogg", "g.opus", "h.webm", "deep/er/i.aac", "j.Mp3"]
    world.has(*names)
    world.says("p", "alice", *(f"/uploads/{name}" for name in names))
    assert world.migrate().found == len(names)
    assert world.plays("p") == names


def test_each_project_is_read_once_however_many_files_there_are(world: World) -> None:
    names = [f"{number}.wav" for number in range(50)]
    world.has(*names)
    world.says("p", "alice", *(f"/uploads/{name}" for name in names))
    world.references = Interfering(world.app)
    assert world.migrate().migrated == len(names)
    assert world.references.scans == 1
