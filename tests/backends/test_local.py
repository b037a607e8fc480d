"""LocalBackend keeps what every backend keeps, on every kind of file system that we can have here."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any, NoReturn

import pytest

from audiostore.backends.local import LocalBackend
from audiostore.errors import AlreadyExists, AudioStoreError, NotFound, Unavailable
from audiostore.keys import Key
from audiostore.streams import CHUNK
from audiostore.testing import BackendSuite, stage_bytes


class TestLocalBackend(BackendSuite):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        return LocalBackend(tmp_path / "uploads")


class TestLocalBackendWithoutFsync(BackendSuite):
    many = 50

    @pytest.fixture
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalBackend:
        monkeypatch.setattr(os, "fsync", _never)
        return LocalBackend(tmp_path / "uploads", fsync=False)


class TestLocalBackendOnAFileSystemWithoutHardLinks(BackendSuite):
    many = 50

    @pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK], ids=["EPERM", "EOPNOTSUPP", "EMLINK"])
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> LocalBackend:
        monkeypatch.setattr(os, "link", _failing(request.param))
        return LocalBackend(tmp_path / "uploads")


class TestLocalBackendWithoutCopyingInTheKernel(BackendSuite):
    many = 50

    @pytest.fixture
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalBackend:
        monkeypatch.setattr(os, "copy_file_range", _failing(errno.ENOSYS), raising=False)
        return LocalBackend(tmp_path / "uploads")


class TestLocalBackendWhoseRootIsASymlink(BackendSuite):
    many = 50

    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        (tmp_path / "disk").mkdir()
        (tmp_path / "uploads").symlink_to("disk")
        return LocalBackend(tmp_path / "uploads")


class TestPlaces:
    def test_the_root_and_the_folders_above_it_are_made(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path / "srv" / "app" / "uploads")
        assert backend.root.is_dir()
        assert list(backend.list()) == []

    def test_a_relative_root_does_not_follow_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        backend = LocalBackend("uploads")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        backend.write(Key("a/x.wav"), stage_bytes(b"x", tmp_path))
        assert (tmp_path / "uploads/a/x.wav").read_bytes() == b"x"

    def test_an_object_is_a_plain_file_at_its_key(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path)
        backend.write(Key("alice/p1/take.wav"), stage_bytes(b"sound", tmp_path))
        assert (tmp_path / "alice/p1/take.wav").read_bytes() == b"sound"

    def test_staging_is_ours_alone_and_no_object(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path)
        staging = backend.capabilities.staging
        assert staging is not None
        assert staging == tmp_path / ".audiostore" / "staging"
        assert [folder.stat().st_mode & 0o777 for folder in (staging, staging.parent)] == [0o700, 0o700]
        (staging / "left.wav").write_bytes(b"left")
        assert list(backend.list()) == []

    def test_nothing_is_made_for_staging_before_it_is_asked_for(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path)
        assert list(backend.list()) == []
        assert list(tmp_path.iterdir()) == []

    def test_a_write_leaves_nothing_in_staging(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        staging = backend.capabilities.staging
        assert staging is not None
        backend.write(Key("a.wav"), stage_bytes(b"a", staging, disposable=True))
        backend.write(Key("b.wav"), stage_bytes(b"b", tmp_path))
        backend.copy(Key("a.wav"), Key("c.wav"))
        assert list(staging.iterdir()) == []

    def test_publishing_moves_the_staged_file_and_copies_nothing(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path)
        staging = backend.capabilities.staging
        assert staging is not None
        staged = stage_bytes(b"sound", staging, disposable=True)
        inode = staged.path.stat().st_ino
        backend.write(Key("a/take.wav"), staged)
        published = (tmp_path / "a/take.wav").stat()
        assert (published.st_ino, published.st_nlink) == (inode, 1)
        assert not staged.path.exists()

    def test_a_copy_shares_no_inode_with_its_source(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path)
        backend.write(Key("a.wav"), stage_bytes(b"sound", tmp_path))
        backend.copy(Key("a.wav"), Key("b.wav"))
        assert (tmp_path / "a.wav").stat().st_ino != (tmp_path / "b.wav").stat().st_ino

    def test_a_disposable_file_of_another_file_system_is_copied(self, tmp_path: Path, shm: Path) -> None:
        backend = LocalBackend(tmp_path)
        staged = stage_bytes(bytes(12 * CHUNK), shm, disposable=True)
        told: list[int] = []
        backend.write(Key("a/take.wav"), staged, progress=lambda done, resume: told.append(done))
        assert (tmp_path / "a/take.wav").read_bytes() == bytes(12 * CHUNK)
        # Nothing is told, and nothing is synced, for an attempt that can't succeed.
        assert told == [4 * CHUNK, 8 * CHUNK, 12 * CHUNK, 12 * CHUNK]

    def test_a_folder_that_is_empty_after_a_delete_goes_and_the_root_stays(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        for path in ("a/b/c/x.wav", "a/b/y.wav", "z.wav"):
            backend.write(Key(path), stage_bytes(b"x", tmp_path))
        backend.delete([Key("a/b/c/x.wav")])
        assert not (backend.root / "a/b/c").exists()
        assert (backend.root / "a/b").is_dir()
        backend.delete([Key("a/b/y.wav"), Key("z.wav")])
        assert not (backend.root / "a").exists()
        assert backend.root.is_dir()

    def test_a_failed_write_leaves_no_folder(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        staged = stage_bytes(b"x", tmp_path)
        staged.path.write_bytes(b"changed")
        with pytest.raises(AudioStoreError):
            backend.write(Key("a/b/x.wav"), staged)
        assert {each.name for each in backend.root.iterdir()} == {".audiostore"}

    def test_a_file_in_the_way_of_a_folder_is_not_replaced(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        backend.write(Key("a"), stage_bytes(b"file", tmp_path))
        with pytest.raises(FileExistsError):
            backend.write(Key("a/b/x.wav"), stage_bytes(b"x", tmp_path))
        with pytest.raises(NotFound):
            backend.stat(Key("a/b/x.wav"))
        assert backend.delete([Key("a/b/x.wav")]) == frozenset()

    def test_files_that_are_no_objects_are_not_listed(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path)
        (tmp_path / "folder").mkdir()
        for name in ("take.wav", "übung.wav", ".hidden", "trailing.", "folder/a?b", "folder/ok.wav"):
            (tmp_path / name).write_bytes(b"x")
        os.mkfifo(tmp_path / "pipe.wav")
        assert [each.key for each in backend.list()] == ["folder/ok.wav", "take.wav"]

    def test_a_listing_of_a_deep_tree_leaves_no_handle_open(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path)
        key = Key("/".join("d" * 400))
        backend.write(key, stage_bytes(b"x", tmp_path / ".."))
        before = len(list(Path("/proc/self/fd").iterdir()))
        assert [each.key for each in backend.list("d")] == [key]
        half = backend.list()
        next(half)
        del half
        assert len(list(Path("/proc/self/fd").iterdir())) == before


class TestTheDiskFails:
    def test_a_root_that_vanished_is_unavailable_and_not_empty(self, tmp_path: Path) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        backend.root.rename(tmp_path / "unplugged")
        for act in (
            lambda: backend.stat(Key("a.wav")),
            lambda: backend.read(Key("a.wav")),
            lambda: backend.delete([Key("a.wav")]),
            lambda: list(backend.list()),
            lambda: backend.write(Key("a.wav"), stage_bytes(b"x", tmp_path)),
        ):
            with pytest.raises(Unavailable):
                act()

    def test_a_disk_that_breaks_while_reading_is_unavailable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = LocalBackend(tmp_path)
        backend.write(Key("a.wav"), stage_bytes(bytes(3 * CHUNK), tmp_path))
        with backend.read(Key("a.wav")) as stream:
            next(stream)
            os.truncate(tmp_path / "a.wav", CHUNK)
            with pytest.raises(Unavailable):
                list(stream)

    def test_a_disk_that_breaks_while_copying_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        staged = stage_bytes(bytes(3 * CHUNK), tmp_path)
        monkeypatch.setattr(os, "write", _failing(errno.EIO))
        with pytest.raises(Unavailable):
            backend.write(Key("a/x.wav"), staged)
        monkeypatch.undo()
        assert [each for each in backend.root.rglob("*") if each.is_file()] == []

    def test_a_key_that_differs_in_case_alone_is_taken_where_case_is_not_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        backend.write(Key("a/take.wav"), stage_bytes(b"lower", tmp_path))
        real = os.link

        def link(source: str, target: str, **options: Any) -> None:
            real(source, target.lower(), **options)

        monkeypatch.setattr(os, "link", link)
        with pytest.raises(FileExistsError):
            backend.write(Key("a/TAKE.wav"), stage_bytes(b"upper", tmp_path))
        assert (backend.root / "a/take.wav").read_bytes() == b"lower"


def test_without_hard_links_nobody_renames_between_anothers_look_and_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, key = LocalBackend(tmp_path / "uploads"), Key("a/x.wav")
    rename, flock, turns = os.rename, fcntl.flock, count()
    second_asked, outcome = Event(), list[str]()

    def second() -> None:
        try:
            backend.write(key, stage_bytes(b"second", tmp_path))
            outcome.append("written")
        except AlreadyExists:
            outcome.append("refused")
        finally:
            second_asked.set()

    other = Thread(target=second)

    def flock_seen(file: int, how: int) -> None:
        if other.is_alive() and how == fcntl.LOCK_EX:
            second_asked.set()
        flock(file, how)

    def rename_with_the_second_in_between(*args: Any, **options: Any) -> None:
        if next(turns) == 0:
            other.start()
            second_asked.wait()
        rename(*args, **options)

    monkeypatch.setattr(os, "link", _failing(errno.EPERM))
    monkeypatch.setattr(fcntl, "flock", flock_seen)
    monkeypatch.setattr(os, "rename", rename_with_the_second_in_between)
    backend.write(key, stage_bytes(b"first", tmp_path))
    other.join()
    assert outcome == ["refused"]
    assert (backend.root / key).read_bytes() == b"first"


@pytest.fixture
def shm() -> Iterator[Path]:
    place = Path("/dev/shm")
    if not place.is_dir():
        pytest.skip("no second file system here (/dev/shm)")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def _never(file: int) -> NoReturn:
    raise AssertionError("fsync was called")


def _failing(number: int) -> Any:
    def fail(*args: Any, **options: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail
