"""What was answered outlives a power cut: the order of the calls that see to it, and what is undone when one fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from audiostore.backends.local import LocalBackend
from audiostore.errors import Unavailable
from audiostore.keys import Key
from audiostore.testing import stage_bytes


class Calls(list[str]):
    """The calls that matter, as they come: ``fsync a/b``, ``link a/b/x.wav`` (paths below the root)."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._root = root
        self.failing: str | None = None
        fsync, link, rename, unlink, mkdir, rmdir = os.fsync, os.link, os.rename, os.unlink, os.mkdir, os.rmdir

        def recording_fsync(file: int) -> None:
            self._note("fsync", self._path(file))
            fsync(file)

        def recording_link(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int, **options: Any) -> None:
            self._note("link", self._path(dst_dir_fd, target))
            link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **options)

        def recording_rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
            self._note("rename", self._path(dst_dir_fd, target))
            rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

        def at(name: str, call: Any) -> Any:
            def recording(path: Any, *args: Any, dir_fd: int | None = None) -> None:
                if dir_fd is not None:
                    self._note(name, self._path(dir_fd, path))
                call(path, *args, dir_fd=dir_fd)

            return recording

        monkeypatch.setattr(os, "fsync", recording_fsync)
        monkeypatch.setattr(os, "link", recording_link)
        monkeypatch.setattr(os, "rename", recording_rename)
        for name, call in (("unlink", unlink), ("mkdir", mkdir), ("rmdir", rmdir)):
            monkeypatch.setattr(os, name, at(name, call))

    def _path(self, file: int, name: str = "") -> str:
        found = Path(f"/proc/self/fd/{file}").readlink() / name
        return "staged" if ".audiostore/staging" in str(found) else str(found.relative_to(self._root))

    def _note(self, call: str, path: str) -> None:
        self.append(f"{call} {path}")
        if self[-1] == self.failing:
            self.failing = None
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "uploads")


@pytest.fixture
def calls(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> Calls:
    _ = backend.capabilities  # the staging place is there
    return Calls(backend.root, monkeypatch)


def publish(backend: LocalBackend, key: str, data: bytes = b"sound") -> Path:
    staging = backend.capabilities.staging
    assert staging is not None
    staged = stage_bytes(data, staging, disposable=True)
    backend.write(Key(key), staged)
    return staged.path


def test_bytes_then_name_then_folders_then_the_old_name(backend: LocalBackend, calls: Calls) -> None:
    publish(backend, "a/b/x.wav")
    assert calls == [
        "mkdir a",
        "mkdir a/b",
        "fsync staged",
        "link a/b/x.wav",
        "fsync a/b",
        "fsync a",
        "fsync .",
        "unlink staged",
    ]


def test_folders_that_were_there_cost_one_fsync(backend: LocalBackend, calls: Calls) -> None:
    publish(backend, "a/b/x.wav")
    calls.clear()
    publish(backend, "a/b/y.wav")
    assert calls == ["fsync staged", "link a/b/y.wav", "fsync a/b", "unlink staged"]
    calls.clear()
    publish(backend, "a/c/z.wav")
    assert calls == ["mkdir a/c", "fsync staged", "link a/c/z.wav", "fsync a/c", "fsync a", "unlink staged"]


def test_without_hard_links_it_is_a_rename_in_the_same_place(
    backend: LocalBackend, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*args: Any, **options: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    publish(backend, "a/x.wav")
    assert calls == ["mkdir a", "fsync staged", "rename a/x.wav", "fsync a", "fsync ."]


def test_a_delete_is_kept_with_one_fsync_per_folder(backend: LocalBackend, calls: Calls) -> None:
    keys = [Key(f"a/{n % 2}/{n}.wav") for n in range(6)]
    for key in (*keys, "a/0/kept.wav"):
        publish(backend, key)
    calls.clear()
    backend.delete(keys)
    assert sorted(each for each in calls if each.startswith("fsync")) == ["fsync a", "fsync a/0"]
    assert calls.index("rmdir a/1") < calls.index("fsync a")
    assert not [each for each in calls[calls.index("fsync a") :] if each.startswith(("unlink", "rmdir"))]


def test_a_move_keeps_the_new_name_before_it_takes_the_old(backend: LocalBackend, calls: Calls) -> None:
    publish(backend, "old/x.wav")
    calls.clear()
    backend.move(Key("old/x.wav"), Key("new/x.wav"))
    assert calls == [
        "mkdir new",
        "fsync old/x.wav",
        "link new/x.wav",
        "fsync new",
        "fsync .",
        "unlink old/x.wav",
        "fsync old",
        "rmdir old",
    ]


def fails_and_is_undone(backend: LocalBackend, calls: Calls, failing: str) -> bool:
    staging = backend.capabilities.staging
    assert staging is not None
    staged = stage_bytes(b"sound", staging, disposable=True)
    calls.failing = failing
    with pytest.raises(Unavailable):
        backend.write(Key("a/b/x.wav"), staged)
    return failing in calls and staged.path.read_bytes() == b"sound" and not (backend.root / "a").exists()


STEPS = ["mkdir a", "mkdir a/b", "fsync staged", "link a/b/x.wav", "fsync a/b", "fsync a", "fsync .", "unlink staged"]


@pytest.mark.parametrize("failing", STEPS)
def test_a_step_that_fails_is_undone(backend: LocalBackend, calls: Calls, failing: str) -> None:
    assert fails_and_is_undone(backend, calls, failing)
    publish(backend, "a/b/x.wav")


@pytest.mark.parametrize("failing", ["rename a/b/x.wav", "fsync a/b", "fsync a", "fsync ."])
def test_a_rename_that_fails_is_undone(
    backend: LocalBackend, calls: Calls, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def no_links(*args: Any, **options: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    assert fails_and_is_undone(backend, calls, failing)
    publish(backend, "a/b/x.wav")


@pytest.mark.parametrize("failing", ["fsync new", "unlink old/x.wav", "fsync old", "rmdir old"])
def test_a_move_that_fails_never_loses_the_bytes(backend: LocalBackend, calls: Calls, failing: str) -> None:
    publish(backend, "old/x.wav")
    calls.failing = failing
    with pytest.raises(Unavailable):
        backend.move(Key("old/x.wav"), Key("new/x.wav"))
    assert [each.size for each in backend.list()] == [5]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_can_not_sync_folders_is_used_all_the_same(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().is_dir():
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    publish(backend, "a/x.wav")
    assert backend.delete([Key("a/x.wav")])


def test_without_fsync_nothing_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = LocalBackend(tmp_path / "uploads", fsync=False)
    calls = Calls(backend.root, monkeypatch)
    publish(backend, "a/x.wav")
    backend.delete([Key("a/x.wav")])
    assert not [each for each in calls if each.startswith("fsync")]
