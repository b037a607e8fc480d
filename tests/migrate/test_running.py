"""A folder comes into a store: whose, how often, what is told, and what happens to what can't come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore, ConfigurationError, FixedQuota, Limits
from audiostore.migrate import Migration, MigrationEvent, SQLiteJournal
from audiostore.migrate.crew import Crew
from audiostore.migrate.sources.folder import FolderSource
from tests.migrate.scene import Scene, sound


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Scene(tmp_path)) as scene:
        yield scene


def told(events: Iterator[MigrationEvent], step: str) -> list[tuple[str, str, str]]:
    return sorted((each.outcome, each.path, each.owner) for each in events if each.step == step)


def outcomes(scene: Scene, **options: Any) -> dict[str, int]:
    return dict(scene.run(**options).outcomes)


def test_files_come_with_their_places_and_references(scene: Scene) -> None:
    content = scene.add("take one.wav")
    project = scene.project("alice", "/uploads/take%20one.wav", chapter=7)
    report = scene.run()
    (section,) = scene.sections(project)
    file = scene.store.find(section["uploadId"], owner="alice")
    assert (file.project, file.chapter, file.section, file.filename) == (project, "7", "1", "take one.wav")
    assert section == {"id": 1, "audioPath": file.key, "storageBackend": "local", "uploadId": file.id}
    assert scene.store.get(file) == content
    assert (scene.uploads / "take one.wav").read_bytes() == content
    assert (report.found, report.migrated, report.failed, report.skipped, report.bytes) == (1, 1, 0, 0, 2000)
    assert report.checked == {"read": 1}
    assert report.ok


def test_running_again_does_nothing(scene: Scene) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    scene.run()
    before = scene.app.texts(), list(scene.store.list(owner="alice"))
    report = scene.run()
    assert report.outcomes == {"already": 1}
    assert report.idle
    assert (scene.app.texts(), list(scene.store.list(owner="alice"))) == before
    assert scene.store.usage("alice").used == 2000


def test_every_owner_gets_a_copy_and_every_reference_is_rewritten(scene: Scene) -> None:
    content = scene.add("a.wav")
    first = scene.project("alice", "a.wav", "./a.wav")
    second = scene.project("alice", "/uploads/a.wav")
    third = scene.project("bob", "a.wav")
    assert outcomes(scene) == {"migrated": 2}
    assert scene.plays(first, "alice") == [content, content]
    assert scene.plays(second, "alice") == scene.plays(third, "bob") == [content]
    assert len({each["uploadId"] for each in (*scene.sections(first), *scene.sections(second))}) == 1
    assert [scene.store.usage(owner).files for owner in ("alice", "bob")] == [1, 1]


def test_a_name_is_matched_whole(scene: Scene) -> None:
    scene.add("data.wav")
    content = scene.add("a.wav")
    scene.add("sub/a.wav")
    project = scene.project("alice", "a.wav")
    assert outcomes(scene) == {"migrated": 1, "no_reference": 2}
    assert scene.plays(project, "alice") == [content]


def test_all_kinds_of_audio_are_found_whatever_they_are_called(scene: Scene) -> None:
    for name in ("A.WAV", "b.Mp3", "deep/er/c.m4a", "d.flac", "e.opus", "f", "g.bin"):
        scene.add(name)
    scene.add("notes.txt", b"Dear diary,\n")
    scene.add(".audiostore/staging/x.wav")
    found = {each.path for each in scene.migration().plan()}
    assert found == {"A.WAV", "b.Mp3", "deep/er/c.m4a", "d.flac", "e.opus", "f", "g.bin"}


def test_links_and_what_is_no_file_are_left_alone(scene: Scene, tmp_path: Path) -> None:
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "x.wav").write_bytes(sound("x"))
    (scene.uploads / "folder").symlink_to(secret)
    (scene.uploads / "x.wav").symlink_to(secret / "x.wav")
    os.mkfifo(scene.uploads / "pipe.wav")
    scene.project("alice", "x.wav", "folder/x.wav", "pipe.wav", "../outside/x.wav", str(secret / "x.wav"))
    assert set(outcomes(scene)) == {"vanished"}
    assert list(scene.store.list(owner="alice")) == []


def test_a_folder_that_becomes_a_link_is_not_followed(scene: Scene, tmp_path: Path) -> None:
    scene.add("lone.wav")
    content = scene.add("sub/a.wav")
    scene.project("alice", "sub/a.wav")
    events = iter(scene.migration().run())
    assert next(events).outcome == "no_reference"  # so the plan is made
    (scene.uploads / "sub").rename(tmp_path / "moved")
    (scene.uploads / "sub").symlink_to(tmp_path / "moved")
    assert [each.outcome for each in events] == ["vanished"]
    assert (tmp_path / "moved" / "a.wav").read_bytes() == content


def test_every_trouble_is_told_and_stops_nothing(tmp_path: Path) -> None:
    store = AudioStore.local(tmp_path / "store", quota=lambda owner: Limits(total=5000, per_file=3000))
    with closing(Scene(tmp_path, store)) as scene:
        for name in ("a.wav", "b.wav", "c.wav"):
            scene.add(name)
        scene.add("large.wav", sound("l", 4000))
        scene.add("page.wav", b"<!DOCTYPE html><html><body>404</body></html>")
        scene.add("empty.wav", b"")
        scene.add("twin.wav", sound("a.wav"))
        scene.add("lone.wav")
        scene.project("alice", "a.wav", "b.wav", "c.wav")
        scene.project("bob", "large.wav", "page.wav", "empty.wav", "gone.wav", None, "")
        scene.project("carol", "a.wav", "twin.wav")
        scene.app.add([("broken", "dave", "{"), ("empty", "dave", None)])
        events = list(scene.migration(workers=1).run())
        copied = told(iter(events), "copy")
        assert [each for each in copied if each[0] != "migrated"] == [
            ("duplicate", "twin.wav", "carol"),
            ("not_audio", "empty.wav", "bob"),
            ("not_audio", "page.wav", "bob"),
            ("quota", "c.wav", "alice"),
            ("refused", "large.wav", "bob"),
        ]
        assert ("vanished", "gone.wav", "bob") in told(iter(events), "plan")
        assert ("unparsable", "", "dave") in told(iter(events), "plan")
        assert ("no_reference", "lone.wav", "") in told(iter(events), "plan")
        assert scene.app.texts()["broken"] == "{"
        assert scene.store.audit().ok


def test_room_that_was_made_lets_the_rest_come(tmp_path: Path) -> None:
    limits = {"alice": 2500}
    store = AudioStore.local(tmp_path / "store", quota=lambda owner: Limits(total=limits[owner]))
    with closing(Scene(tmp_path, store)) as scene:
        scene.add("a.wav")
        scene.add("b.wav")
        scene.project("alice", "a.wav", "b.wav")
        assert outcomes(scene) == {"migrated": 1, "quota": 1}
        limits["alice"] = 4000
        assert outcomes(scene) == {"already": 1, "migrated": 1}
        assert scene.store.usage("alice").used == 4000


def test_a_plan_changes_nothing_and_tells_what_would_be(tmp_path: Path) -> None:
    store = AudioStore.local(tmp_path / "store", quota=FixedQuota(total=3000))
    with closing(Scene(tmp_path, store)) as scene:
        scene.add("a.wav")
        scene.add("b.wav")
        scene.add("lone.wav")
        scene.project("alice", "a.wav", "b.wav")
        before = scene.app.texts()
        plan = scene.migration().plan()
        assert sorted((each.symbol, each.outcome, each.path) for each in plan) == [
            ("!", "quota", "b.wav"),
            ("+", "waiting", "a.wav"),
            ("-", "no_reference", "lone.wav"),
        ]
        assert plan.report.found == 3
        assert scene.app.texts() == before
        assert not (tmp_path / "journal.db").exists()
        assert list(store.list(owner="alice")) == []
        scene.run()
        assert {(each.symbol, each.outcome) for each in scene.migration().plan()} == {
            ("=", "already"),
            ("!", "quota"),
            ("-", "no_reference"),
        }


def test_globs_and_an_owner_choose(scene: Scene) -> None:
    for name in ("a.wav", "b.mp3", "old/c.wav"):
        scene.add(name)
    project = scene.project("alice", "a.wav", "b.mp3", "old/c.wav")
    other = scene.project("bob", "a.wav")
    assert outcomes(scene, owner="alice", include=["*.wav"], exclude=["old/*"]) == {"migrated": 1}
    assert [each["audioPath"] for each in scene.sections(project)][1:] == ["b.mp3", "old/c.wav"]
    assert scene.sections(other)[0]["audioPath"] == "a.wav"
    assert outcomes(scene) == {"already": 1, "migrated": 3}


def test_a_file_that_changes_while_it_is_copied_is_left_and_comes_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add("a.wav")
    project = scene.project("alice", "a.wav")
    look = FolderSource.look

    def touched(self: FolderSource, item: Any, facts: Any) -> Any:
        scene.add("a.wav", sound("new"))
        return look(self, item, facts)

    monkeypatch.setattr(FolderSource, "look", touched)
    assert outcomes(scene) == {"changed": 1}
    assert scene.store.usage("alice").files == 0
    monkeypatch.undo()
    assert outcomes(scene) == {"migrated": 1}
    assert scene.plays(project, "alice") == [sound("new")]


def test_a_file_written_over_before_its_references_follow_is_copied_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add("a.wav")
    project = scene.project("alice", "a.wav")
    follow = Crew._follow

    def late(self: Crew, batch: Any) -> None:
        scene.add("a.wav", sound("the new take"))
        os.utime(scene.uploads / "a.wav", ns=(1, 1))  # always the same, so that it changes once
        follow(self, batch)

    monkeypatch.setattr(Crew, "_follow", late)
    assert outcomes(scene) == {"migrated": 1}
    assert scene.plays(project, "alice") == [sound("the new take")]
    assert scene.store.usage("alice").files == 1
    assert scene.store.audit().ok


def test_a_file_that_goes_away_after_the_plan_is_told(scene: Scene) -> None:
    for name in ("a.wav", "b.wav"):
        scene.add(name)
        scene.project("alice", name)
    scene.add("lone.wav")
    events = iter(scene.migration().run())
    assert next(events).outcome == "no_reference"  # told before anything is copied
    (scene.uploads / "b.wav").unlink()
    assert told(events, "copy") == [("migrated", "a.wav", "alice"), ("vanished", "b.wav", "alice")]


def test_what_may_not_be_read_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    opened = os.open

    def refused(path: Any, flags: int, *rest: Any, **others: Any) -> int:
        if path == "a.wav":
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *rest, **others)

    monkeypatch.setattr(os, "open", refused)
    assert outcomes(scene) == {"unreadable": 1}
    monkeypatch.undo()
    assert outcomes(scene) == {"migrated": 1}


def test_a_section_that_its_user_changed_keeps_what_the_user_wants(scene: Scene) -> None:
    scene.add("a.wav")
    scene.add("b.wav")
    project = scene.project("alice", "a.wav", "b.wav")
    events = iter(scene.migration(workers=1).run())
    next(events)
    scene.app.write(project, scene.app.texts()[project].replace('"a.wav"', '"my new take.wav"'))  # type: ignore[union-attr]
    report_of = [each for each in events if each.step == "rewrite"]
    assert sorted(sum((each.references for each in report_of), ())) == ["edited", "rewritten"]
    assert scene.sections(project)[0]["audioPath"] == "my new take.wav"


def test_a_folder_alone_says_nothing_of_owners(scene: Scene) -> None:
    with pytest.raises(ConfigurationError, match="references"):
        Migration(scene.uploads, scene.store)
    with pytest.raises(ConfigurationError, match="no folder"):
        scene.migration(source=scene.uploads / "none")
    with pytest.raises(ConfigurationError, match="one store"):
        Migration(scene.store, scene.store)
    with pytest.raises(ValueError, match="workers"):
        scene.migration(workers=0)


def test_the_journal_lies_beside_the_target_unless_told_otherwise(scene: Scene) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    Migration(scene.uploads, scene.store, scene.app.table).run().report  # noqa: B018 - asking for it does the work
    journal = SQLiteJournal(Path(scene.store.backend.root) / ".audiostore" / "migration.db")  # type: ignore[attr-defined]
    assert [each.outcome for each in journal.items(Migration(scene.uploads, scene.store, scene.app.table).job)] == [
        "migrated"
    ]


def test_a_plain_text_report_holds_every_figure(scene: Scene) -> None:
    scene.add("a.wav", sound("a", 1024 * 1024))
    scene.add("lone.mp3")
    scene.project("alice", "a.wav")
    assert scene.run().as_dict() | {"outcomes": {}} == {
        "found": 2,
        "migrated": 1,
        "failed": 0,
        "skipped": 1,
        "megabytes": 1.0,
        "bytes": 1024 * 1024,
        "projects": 1,
        "erased": 0,
        "waiting": 0,
        "outcomes": {},
        "references": {"rewritten": 1},
        "checked": {"read": 1},
        "stopped": None,
    }
    status = scene.migration().status()
    assert {each.as_dict()["symbol"] for each in status} == {"+", "-"}
    assert status.report.migrated == 1
