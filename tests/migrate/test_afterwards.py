"""After the files have come: verified, the originals erased, or everything back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore
from audiostore.backends.local import LocalBackend
from audiostore.errors import NotSupported, Unavailable
from audiostore.migrate import Migration
from tests.migrate.scene import Scene, sound


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Scene(tmp_path)) as scene:
        yield scene


def moved(scene: Scene) -> str:
    for name in ("a.wav", "b.wav"):
        scene.add(name)
    project = scene.project("alice", "a.wav", "/uploads/b.wav")
    assert scene.run().ok
    return project


def test_what_came_is_verified(scene: Scene) -> None:
    moved(scene)
    report = scene.migration().verify().report
    assert (report.outcomes, report.checked, report.ok) == ({"migrated": 2}, {"read": 2}, True)


def test_missing_bytes_and_other_bytes_are_seen(scene: Scene) -> None:
    project = moved(scene)
    first, second = (Path(scene.store.backend.root) / each["audioPath"] for each in scene.sections(project))  # type: ignore[attr-defined]
    first.unlink()
    second.chmod(0o600)
    second.write_bytes(sound("other"))
    events = list(scene.migration().verify())
    assert [(each.outcome, each.detail) for each in events] == [
        ("mismatch", "there are no bytes"),
        ("mismatch", "other bytes"),
    ]
    assert {each.symbol for each in events} == {"*"}


def test_a_deleted_record_and_a_stale_browser_are_seen(scene: Scene) -> None:
    project = moved(scene)
    text = scene.app.texts()[project] or ""
    scene.store.delete(scene.store.find(scene.sections(project)[0]["uploadId"]))
    scene.app.write(project, text.replace(scene.sections(project)[1]["audioPath"], "/uploads/b.wav"))
    assert scene.migration().verify().report.outcomes == {"vanished": 1, "waiting": 1}
    assert scene.run().outcomes == {"already": 1, "migrated": 1, "vanished": 1}
    stored = scene.store.find(scene.sections(project)[1]["uploadId"], owner="alice")
    assert scene.store.get(stored) == sound("b.wav")
    assert scene.store.usage("alice").files == 1


def test_originals_go_when_nothing_names_them_any_more(scene: Scene) -> None:
    for name in ("a.wav", "shared.wav", "lone.wav"):
        scene.add(name)
    scene.project("alice", "a.wav", "shared.wav")
    scene.project("bob", "shared.wav")
    report = scene.run(owner="alice", delete_originals=True)
    assert report.erased == 1
    assert sorted(each.name for each in scene.uploads.iterdir()) == ["lone.wav", "shared.wav"]
    report = scene.run(delete_originals=True)
    assert (report.erased, report.outcomes["kept"]) == (1, 0)
    assert [each.name for each in scene.uploads.iterdir()] == ["lone.wav"]
    assert scene.run(delete_originals=True).idle


def test_originals_stay_while_a_project_can_not_be_read(scene: Scene) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    scene.app.add([("broken", "bob", "{")])
    report = scene.run(delete_originals=True)
    assert (report.erased, report.outcomes["kept"]) == (0, 1)
    assert (scene.uploads / "a.wav").exists()


def test_originals_that_changed_or_are_named_again_stay(scene: Scene) -> None:
    project = moved(scene)
    scene.add("b.wav", sound("written by the old app, later"))
    scene.project("alice", {"audioPath": "a.wav", "storageBackend": "supabase"})  # a stale browser's mixture
    report = scene.run(delete_originals=True)
    assert (report.erased, report.outcomes["kept"]) == (0, 2)
    assert scene.plays(project, "alice") == [sound("a.wav"), sound("b.wav")]


def test_the_way_back_leaves_documents_and_ledger_as_they_were(scene: Scene) -> None:
    for name in ("a.wav", "b.wav"):
        scene.add(name)
    scene.project("alice", "a.wav", {"audioPath": "/uploads/b.wav", "storageBackend": "local"})
    scene.project("bob", "a.wav")
    before = scene.app.texts()
    scene.run()
    report = scene.migration().rollback().report
    assert (report.outcomes, report.references) == ({"rolled_back": 3}, {"rewritten": 3})
    assert scene.app.texts() == before
    assert [scene.store.usage(owner).files for owner in ("alice", "bob")] == [0, 0]
    assert scene.store.audit().ok
    assert scene.migration().rollback().report.idle
    assert scene.run().outcomes == {"migrated": 3}


def test_the_way_back_keeps_what_users_did_meanwhile(scene: Scene) -> None:
    project = moved(scene)
    first, second = scene.sections(project)
    copy = scene.project("alice", dict(second))  # a section duplicated into another project
    scene.app.write(project, (scene.app.texts()[project] or "").replace(first["audioPath"], "alice/new/take.wav"))
    report = scene.migration().rollback().report
    assert report.references == {"edited": 1, "rewritten": 1}
    assert report.outcomes == {"rolled_back": 1, "kept": 1}
    assert [each["audioPath"] for each in scene.sections(project)] == ["alice/new/take.wav", "/uploads/b.wav"]
    assert scene.plays(copy, "alice") == [sound("b.wav")]


def test_an_original_that_was_erased_is_brought_back_first(scene: Scene) -> None:
    content = scene.add("deep/a.wav")
    stamp = (scene.uploads / "deep/a.wav").stat().st_mtime_ns
    project = scene.project("alice", "deep/a.wav")
    scene.run(delete_originals=True)
    assert not (scene.uploads / "deep/a.wav").exists()
    assert scene.migration().rollback().report.ok
    assert (scene.uploads / "deep/a.wav").read_bytes() == content
    assert (scene.uploads / "deep/a.wav").stat().st_mtime_ns == stamp
    assert scene.sections(project)[0]["audioPath"] == "deep/a.wav"


def test_a_way_back_that_was_cut_off_goes_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    project = moved(scene)

    def away(*_: Any) -> Any:
        raise Unavailable("the projects")

    monkeypatch.setattr(type(scene.app.table), "rewrite", away)
    assert scene.migration().rollback().report.outcomes == {"kept": 2}
    assert scene.plays(project, "alice") == [sound("a.wav"), sound("b.wav")]
    monkeypatch.undo()
    events = iter(scene.migration().rollback())
    assert next(events).step == "restore"
    del events
    assert scene.migration().rollback().report.ok
    assert [each["audioPath"] for each in scene.sections(project)] == ["a.wav", "/uploads/b.wav"]
    assert scene.store.usage("alice").files == 0


def test_one_owner_goes_back_alone(scene: Scene) -> None:
    scene.add("a.wav")
    first, second = scene.project("alice", "a.wav"), scene.project("bob", "a.wav")
    scene.run()
    assert scene.migration(owner="bob").rollback().report.outcomes == {"rolled_back": 1}
    assert scene.plays(first, "alice") == [sound("a.wav")]
    assert scene.sections(second)[0]["audioPath"] == "a.wav"


def test_one_file_is_brought_when_somebody_wants_to_hear_it(scene: Scene) -> None:
    for name in ("a.wav", "b.wav"):
        scene.add(name)
    project = scene.project("alice", "/uploads/a.wav", "b.wav")
    migration = scene.migration()
    file = migration.bring("/uploads/a.wav", owner="alice")
    assert file is not None
    assert scene.store.get(file, owner="alice") == sound("a.wav")
    assert [each["audioPath"] for each in scene.sections(project)] == [file.key, "b.wav"]
    assert migration.bring("/uploads/a.wav", owner="alice") == file
    assert scene.run().outcomes == {"already": 1, "migrated": 1}
    assert scene.store.usage("alice").files == 2


@pytest.mark.parametrize("path", ["a.wav", "b.wav", "../a.wav", "none.wav"])
def test_nobody_gets_a_file_that_only_others_name(scene: Scene, path: str) -> None:
    scene.add("a.wav")
    scene.add("b.wav")
    scene.project("alice", "a.wav")
    migration = scene.migration()
    assert migration.bring(path, owner="mallory") is None
    scene.run()
    assert migration.bring(path, owner="mallory") is None
    assert list(scene.store.list(owner="mallory")) == []


def test_a_store_that_only_moved_its_bytes_goes_back_by_a_migration(scene: Scene, tmp_path: Path) -> None:
    other = LocalBackend(tmp_path / "other", name="other")
    target = AudioStore(other, scene.store.catalog, backends=[scene.store.backend])
    migration = Migration(scene.store.backend, target, journal=scene.journal)
    with pytest.raises(NotSupported):
        migration.rollback()
