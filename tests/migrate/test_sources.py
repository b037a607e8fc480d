"""From stores and buckets, to either, and where the files lie already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioFile, AudioStore, ConfigurationError, FixedQuota, Unlimited
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.keys import Key
from audiostore.migrate import Migration, PostgresJournal
from audiostore.testing.bench import stage_bytes
from audiostore.testing.supabase import FakeSupabase
from tests.migrate.scene import Scene, sound


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Scene(tmp_path)) as scene:
        yield scene


class Cloud:
    """A Supabase project with two buckets, over HTTP."""

    def __init__(self, folder: Path) -> None:
        self.fake = FakeSupabase()
        self.fake.apply_schema()
        for bucket in ("audio-files", "second"):
            self.fake.create_bucket(bucket)
        self.server = self.fake.serve()
        self._opened: list[SupabaseBackend] = []
        self._folder = folder
        self.catalog = PostgresCatalog.from_supabase(self.server.url, self.fake.service_key)
        self.first = self.bucket("audio-files", "supabase")
        self.store = AudioStore(self.first, self.catalog)

    def bucket(self, bucket: str, name: str) -> SupabaseBackend:
        self._opened.append(SupabaseBackend(self.server.url, self.fake.service_key, bucket, name=name))
        return self._opened[-1]

    def keep(self, bucket: str, key: str, content: bytes) -> None:
        """Put an object there that nobody records."""
        self.bucket(bucket, "aside").write(Key(key), stage_bytes(content, self._folder))

    def objects(self, bucket: str = "audio-files") -> list[str]:
        return self.fake.keys(bucket)

    def close(self) -> None:
        for each in self._opened:
            each.close()
        self.store.close()
        self.server.stop()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with closing(Cloud(tmp_path)) as cloud:
        yield cloud


def test_a_folder_comes_into_a_bucket(scene: Scene, cloud: Cloud) -> None:
    scene.store = cloud.store
    contents = [scene.add(f"{n}.wav") for n in range(3)]
    project = scene.project("alice", *(f"/uploads/{n}.wav" for n in range(3)))
    migration = Migration(scene.uploads, cloud.store, scene.app.table)
    assert isinstance(migration._work.journal, PostgresJournal)
    assert migration.run().report.outcomes == {"migrated": 3}
    assert scene.plays(project, "alice") == contents
    assert {each["storageBackend"] for each in scene.sections(project)} == {"supabase"}
    assert migration.verify().report.ok
    assert migration.run().report.idle
    assert cloud.store.audit().ok
    assert migration.rollback().report.ok
    assert cloud.objects() == []


def test_the_targets_own_checksum_is_trusted_if_asked_for(scene: Scene, cloud: Cloud) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    report = scene.run(target=cloud.store, check="etag")
    assert (report.outcomes, report.checked) == ({"migrated": 1}, {"etag": 1})


@pytest.mark.parametrize(("check", "looks"), [("read", "GET /object/audio-files/"), ("etag", "GET /object/info/")])
def test_each_file_is_sent_once_and_looked_at_once(scene: Scene, cloud: Cloud, check: str, looks: str) -> None:
    scene.project("alice", *(each for each in ("a.wav", "b.wav", "c.wav") if scene.add(each)))
    assert scene.run(target=cloud.store, check=check).outcomes == {"migrated": 3}
    asked = [f"{each.method} {each.path}" for each in cloud.fake.requests if each.path.startswith("/object/")]
    assert len(asked) == 6
    assert sum(each.startswith(looks) for each in asked) == 3


@pytest.mark.parametrize("check", ["read", "etag"])
def test_a_file_that_becomes_another_on_its_way_is_seen_in_the_target(
    scene: Scene, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    scene.add("a.wav")
    project = scene.project("alice", "a.wav")
    write, path, others = SupabaseBackend.write, scene.uploads / "a.wav", count()
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns

    def write_another(*arguments: Any, **options: Any) -> Any:
        scene.add("a.wav", sound(f"{next(others)}.wav"))
        os.utime(path, ns=times)  # so that nothing but its bytes tells
        return write(*arguments, **options)

    monkeypatch.setattr(SupabaseBackend, "write", write_another)
    assert scene.run(target=cloud.store, check=check, workers=1).outcomes == {"mismatch": 1}
    assert (scene.sections(project)[0]["audioPath"], cloud.objects()) == ("a.wav", [])
    monkeypatch.undo()
    assert scene.run(target=cloud.store, check=check).outcomes == {"migrated": 1}
    assert cloud.store.audit().ok


def test_what_was_stored_and_can_not_be_seen_is_looked_at_again(scene: Scene, cloud: Cloud) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    cloud.fake.fail_next("GET /object/*", status=404, error="Object not found")
    assert scene.run(target=cloud.store).outcomes == {"migrated": 1}
    assert (len(cloud.objects()), cloud.store.audit().ok) == (1, True)


def test_a_disk_has_no_checksum_to_trust_and_is_read_back(scene: Scene) -> None:
    scene.add("a.wav")
    scene.project("alice", "a.wav")
    assert scene.run(check="etag").checked == {"read": 1}


def test_a_store_comes_into_another_with_all_that_its_records_say(scene: Scene, cloud: Cloud) -> None:
    disk = scene.store
    takes = [
        disk.put(
            sound(f"{n}"), owner=owner, project="p", chapter=n, section=2, filename=f"Ü {n}.wav", metadata={"n": n}
        )
        for n, owner in enumerate(("alice", "alice", "bob"))
    ]
    project = scene.project("alice", {"audioPath": takes[0].key, "storageBackend": "local", "uploadId": takes[0].id})
    scene.store = cloud.store
    report = scene.run(source=disk)
    assert report.outcomes == {"migrated": 3}
    assert scene.plays(project, "alice") == [sound("0")]
    came = sorted((*cloud.store.list(owner="alice"), *cloud.store.list(owner="bob")), key=_chapter)
    for old, new in zip(takes, came, strict=True):
        assert (new.owner, new.place, new.filename, new.metadata) == (old.owner, old.place, old.filename, old.metadata)
        assert (new.sha256, new.content_type) == (old.sha256, old.content_type)
    assert scene.run(source=disk).idle
    assert scene.run(source=disk, delete_originals=True).erased == 3
    assert disk.usage("alice").files == 0
    disk.close()


def _chapter(file: AudioFile) -> str:
    return file.chapter or ""


def test_a_store_without_projects_comes_as_its_records_say(scene: Scene, cloud: Cloud) -> None:
    scene.store.put(sound("a"), owner="alice")
    report = Migration(scene.store, cloud.store).run().report
    assert report.outcomes == {"migrated": 1}
    assert cloud.store.usage("alice").files == 1


def test_a_cloud_comes_back_to_a_disk(scene: Scene, cloud: Cloud, tmp_path: Path) -> None:
    scene.add("a.wav")
    project = scene.project("alice", "a.wav")
    scene.run(target=cloud.store)
    with AudioStore.local(tmp_path / "back", quota=Unlimited()) as back:
        assert scene.run(source=cloud.store, target=back).outcomes == {"migrated": 1}
        scene.store = back
        assert scene.plays(project, "alice") == [sound("a.wav")]
        assert scene.sections(project)[0]["storageBackend"] == "local"


def test_another_owners_project_gets_nothing_of_a_recorded_file(scene: Scene, cloud: Cloud) -> None:
    take = scene.store.put(sound("a"), owner="alice")
    project = scene.project("mallory", {"audioPath": take.key, "storageBackend": "local"})
    report = scene.run(source=scene.store, target=cloud.store)
    assert report.outcomes == {"migrated": 1, "foreign": 1}
    assert scene.sections(project)[0]["audioPath"] == take.key
    assert cloud.store.usage("mallory").files == 0


@pytest.mark.parametrize("deletes", [False, True])
def test_records_keep_their_ids_when_only_their_bytes_move(scene: Scene, cloud: Cloud, deletes: bool) -> None:
    takes = [cloud.store.put(sound(f"{n}"), owner="alice", project="p", filename=f"{n}.wav") for n in range(3)]
    sections = [{"audioPath": each.key, "storageBackend": "supabase", "uploadId": each.id} for each in takes]
    project = scene.project("alice", *sections)
    second = cloud.bucket("second", "second")
    target = AudioStore(second, cloud.catalog, backends=[cloud.first], quota=FixedQuota(total=7000))
    report = scene.run(source=cloud.first, target=target, delete_originals=deletes)
    assert report.outcomes == {"migrated": 3}
    now = list(target.list(owner="alice"))
    assert [each.id for each in now] == [each.id for each in takes]
    assert {each.backend for each in now} == {"second"}
    scene.store = target
    assert scene.plays(project, "alice") == [sound("0"), sound("1"), sound("2")]
    assert [each["uploadId"] for each in scene.sections(project)] == [each.id for each in takes]
    assert target.usage("alice").used == 6000
    assert len(cloud.objects()) == (0 if deletes else 3)
    assert scene.run(source=cloud.first, target=target).idle
    assert scene.run(source=second, target=AudioStore(cloud.first, cloud.catalog, backends=[second])).migrated == 3
    assert [each.id for each in cloud.store.list(owner="alice")] == [each.id for each in takes]
    target.close()


def test_objects_that_nobody_recorded_come_as_projects_say(scene: Scene, cloud: Cloud, tmp_path: Path) -> None:
    cloud.keep("second", "old/a.wav", sound("a"))
    cloud.keep("second", "lone.mp3", b"ID3\3\0\0\0\0\0\0" + sound("b"))
    project = scene.project("alice", {"audioPath": "old/a.wav", "storageBackend": "second"})
    report = scene.run(source=cloud.bucket("second", "second"), target=cloud.store)
    assert report.outcomes == {"migrated": 1, "no_reference": 1}
    scene.store = cloud.store
    assert scene.plays(project, "alice") == [sound("a")]
    assert scene.run(source=cloud.bucket("second", "second"), target=cloud.store, delete_originals=True).erased == 1
    assert cloud.objects("second") == ["lone.mp3"]


class TestInPlace:
    """The folder that the app always had becomes the store's."""

    @pytest.fixture
    def scene(self, tmp_path: Path) -> Iterator[Scene]:
        with closing(Scene(tmp_path)) as scene:
            scene.store.close()
            scene.store = AudioStore.local(scene.uploads, quota=Unlimited())
            yield scene

    def test_files_are_recorded_where_they_are(self, scene: Scene) -> None:
        scene.add("deep/a.wav")
        inode = (scene.uploads / "deep/a.wav").stat().st_ino
        project = scene.project("alice", "/uploads/deep/a.wav")
        report = scene.run(in_place=True)
        assert report.outcomes == {"migrated": 1}
        (file,) = scene.store.list(owner="alice")
        assert (file.key, file.size, file.project) == ("deep/a.wav", 2000, project)
        assert scene.sections(project) == [
            {"id": 1, "audioPath": "deep/a.wav", "storageBackend": "local", "uploadId": file.id}
        ]
        assert (scene.uploads / "deep/a.wav").stat().st_ino == inode
        assert scene.plays(project, "alice") == [sound("deep/a.wav")]
        assert scene.store.usage("alice").used == 2000
        assert scene.store.audit().ok
        assert scene.run(in_place=True).idle

    def test_a_second_owner_and_a_strange_name_get_a_name_of_their_own(self, scene: Scene) -> None:
        scene.add("a.wav")
        scene.add("Kapitel ü.wav")
        first = scene.project("alice", "a.wav", "Kapitel ü.wav")
        second = scene.project("bob", "a.wav")
        report = scene.run(in_place=True, workers=1)
        assert report.outcomes == {"migrated": 3}
        assert scene.plays(first, "alice") == [sound("a.wav"), sound("Kapitel ü.wav")]
        assert scene.plays(second, "bob") == [sound("a.wav")]
        assert (scene.uploads / "a.wav").stat().st_nlink == 2
        assert [scene.store.usage(owner).used for owner in ("alice", "bob")] == [4000, 2000]
        assert scene.run(in_place=True).ok

    def test_the_way_back_forgets_records_and_keeps_the_files(self, scene: Scene) -> None:
        scene.add("a.wav")
        project = scene.project("alice", "a.wav")
        scene.project("bob", "a.wav")
        before = scene.app.texts()
        scene.run(in_place=True)
        assert scene.migration(in_place=True).rollback().report.outcomes == {"rolled_back": 2}
        assert scene.app.texts() == before
        assert scene.sections(project)[0]["audioPath"] == "a.wav"
        scene.store.sweep()
        assert (scene.uploads / "a.wav").read_bytes() == sound("a.wav")
        assert (scene.uploads / "a.wav").stat().st_nlink == 1
        assert scene.store.usage("alice").files == 0
        assert scene.run(in_place=True).outcomes == {"migrated": 2}

    def test_originals_are_never_erased(self, scene: Scene) -> None:
        scene.add("a.wav")
        project = scene.project("alice", "a.wav")
        assert scene.run(in_place=True, delete_originals=True).erased == 0
        assert scene.plays(project, "alice") == [sound("a.wav")]

    def test_it_must_be_the_stores_own_folder(self, scene: Scene, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        with pytest.raises(ConfigurationError, match="in_place"):
            scene.migration(source=tmp_path / "other", in_place=True)


def test_one_catalog_over_two_connections_is_one(scene: Scene, cloud: Cloud) -> None:
    take = cloud.store.put(sound("a"), owner="alice")
    catalog = PostgresCatalog.from_supabase(cloud.server.url, cloud.fake.service_key)
    target = AudioStore(cloud.bucket("second", "second"), catalog, backends=[cloud.first])
    with target:
        assert Migration(cloud.store, target).run().report.outcomes == {"migrated": 1}
        assert [each.id for each in target.list(owner="alice")] == [take.id]
        assert target.usage("alice").files == 1


def test_source_and_target_must_be_two(scene: Scene, cloud: Cloud) -> None:
    with pytest.raises(ConfigurationError, match="one backend"):
        Migration(cloud.first, cloud.store)
    other = AudioStore(cloud.bucket("second", "second"), cloud.catalog)
    with pytest.raises(ConfigurationError, match="read 'supabase'"):
        Migration(cloud.store, other)
