"""Whoever may put symlinks below the root gets nothing for it: none is followed, and nothing outside is touched."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiostore.backends.local import LocalBackend
from audiostore.errors import InvalidKey, PermissionDenied
from audiostore.keys import Key
from audiostore.testing import stage_bytes

SECRET = b"not yours"

ACTS: dict[str, Callable[[LocalBackend, Key, Path], object]] = {
    "stat": lambda backend, key, files: backend.stat(key),
    "read": lambda backend, key, files: backend.read(key),
    "delete": lambda backend, key, files: backend.delete([key]),
    "copy": lambda backend, key, files: backend.copy(key, Key("mine/copy.wav")),
    "move": lambda backend, key, files: backend.move(key, Key("mine/moved.wav")),
}
WRITES: dict[str, Callable[[LocalBackend, Key, Path], object]] = {
    "write": lambda backend, key, files: backend.write(key, stage_bytes(b"x", files)),
    "publish": lambda backend, key, files: backend.write(key, stage_bytes(b"x", files, disposable=True)),
    "copy_to": lambda backend, key, files: backend.copy(Key("mine/take.wav"), key),
    "move_to": lambda backend, key, files: backend.move(Key("mine/take.wav"), key),
}


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    backend = LocalBackend(tmp_path / "uploads")
    backend.write(Key("mine/take.wav"), stage_bytes(b"sound", tmp_path))
    return backend


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    (outside / "deeper").mkdir(parents=True)
    (outside / "secret.wav").write_bytes(SECRET)
    (outside / "deeper/secret.wav").write_bytes(SECRET)
    return outside


def all_is_as_it_was(backend: LocalBackend, outside: Path) -> bool:
    inside = sorted(each.key for each in backend.list())
    left = sorted(str(each.relative_to(outside)) for each in outside.rglob("*"))
    return (
        inside == ["mine/take.wav"]
        and left == ["deeper", "deeper/secret.wav", "secret.wav"]
        and all(each.read_bytes() == SECRET for each in outside.rglob("*.wav"))
    )


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("path", ["link/secret.wav", "link/deeper/secret.wav", "mine/link.wav", "mine/link/secret.wav"])
def test_what_lies_behind_a_symlink_is_denied(
    backend: LocalBackend, outside: Path, tmp_path: Path, act: Callable[[LocalBackend, Key, Path], object], path: str
) -> None:
    (backend.root / "link").symlink_to(outside)
    (backend.root / "mine/link").symlink_to(outside)
    (backend.root / "mine/link.wav").symlink_to(outside / "secret.wav")
    with pytest.raises(PermissionDenied):
        act(backend, Key(path), tmp_path)
    assert all_is_as_it_was(backend, outside)


@pytest.mark.parametrize("act", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("path", ["link/new.wav", "link/deeper/new.wav", "mine/link/new/new.wav"])
def test_nothing_is_written_through_a_symlinked_folder(
    backend: LocalBackend, outside: Path, tmp_path: Path, act: Callable[[LocalBackend, Key, Path], object], path: str
) -> None:
    (backend.root / "link").symlink_to(outside)
    (backend.root / "mine/link").symlink_to("../link")
    with pytest.raises(PermissionDenied):
        act(backend, Key(path), tmp_path)
    assert all_is_as_it_was(backend, outside)


@pytest.mark.parametrize("act", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("to", ["secret.wav", "dangling.wav"])
def test_nothing_is_written_over_a_symlink(
    backend: LocalBackend, outside: Path, tmp_path: Path, act: Callable[[LocalBackend, Key, Path], object], to: str
) -> None:
    (backend.root / "mine/link.wav").symlink_to(outside / to)
    with pytest.raises((PermissionDenied, FileExistsError)):
        act(backend, Key("mine/link.wav"), tmp_path)
    assert all_is_as_it_was(backend, outside)


def test_a_folder_that_is_swapped_for_a_symlink_midway_is_not_followed(
    backend: LocalBackend, outside: Path, tmp_path: Path
) -> None:
    def swap(done: int, resume: str | None) -> None:
        (backend.root / "victim").rename(backend.root / "aside")
        (backend.root / "victim").symlink_to(outside)

    staging = backend.capabilities.staging
    assert staging is not None
    backend.write(Key("victim/take.wav"), stage_bytes(b"x", staging, disposable=True), progress=swap)
    # The handle stays with the folder that was opened, wherever it is called to.
    assert (backend.root / "aside/take.wav").read_bytes() == b"x"
    assert not (outside / "take.wav").exists()


@pytest.mark.parametrize("of", ["delete", "read"])
def test_a_folder_that_is_swapped_while_we_walk_is_not_followed(
    backend: LocalBackend, outside: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    backend.write(Key("victim/deeper/secret.wav"), stage_bytes(b"inside", outside.parent))
    real = os.open

    def open_after_the_swap(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "deeper" and (backend.root / "victim").is_dir() and not (backend.root / "victim").is_symlink():
            (backend.root / "victim").rename(backend.root / "aside")
            (backend.root / "victim").symlink_to(outside)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_after_the_swap)
    if of == "read":
        assert b"".join(backend.read(Key("victim/deeper/secret.wav"))) == b"inside"
    else:
        with pytest.raises(PermissionDenied):  # it did delete inside, and then saw the swap
            backend.delete([Key("victim/deeper/secret.wav")])
        assert (outside / "deeper/secret.wav").read_bytes() == SECRET


def test_a_listing_passes_over_symlinks(backend: LocalBackend, outside: Path) -> None:
    (backend.root / "link").symlink_to(outside)
    (backend.root / "mine/link.wav").symlink_to(outside / "secret.wav")
    assert [each.key for each in backend.list()] == ["mine/take.wav"]
    with pytest.raises(PermissionDenied):
        list(backend.list("link"))


def test_a_symlinked_staging_place_is_denied(tmp_path: Path, outside: Path) -> None:
    backend = LocalBackend(tmp_path / "fresh")
    (backend.root / ".audiostore").symlink_to(outside)
    with pytest.raises(PermissionDenied):
        _ = backend.capabilities
    with pytest.raises(PermissionDenied):
        backend.write(Key("a.wav"), stage_bytes(b"x", tmp_path))


def test_a_disposable_file_that_is_a_symlink_is_not_published(backend: LocalBackend, outside: Path) -> None:
    staging = backend.capabilities.staging
    assert staging is not None
    staged = stage_bytes(SECRET, staging, disposable=True)
    staged.path.unlink()
    staged.path.symlink_to(outside / "secret.wav")
    with pytest.raises(PermissionDenied):
        backend.write(Key("mine/new.wav"), staged)
    assert all_is_as_it_was(backend, outside)


def test_a_callers_own_path_may_be_a_symlink(backend: LocalBackend, tmp_path: Path) -> None:
    staged = stage_bytes(b"x", tmp_path)
    real = staged.path.rename(tmp_path / "real")
    staged.path.symlink_to(real)
    backend.write(Key("a.wav"), staged)
    assert not (backend.root / "a.wav").is_symlink()
    assert real.exists()


@pytest.mark.parametrize("act", ["stat", "read", "delete"])
def test_a_pipe_makes_nobody_wait(backend: LocalBackend, tmp_path: Path, act: str) -> None:
    os.mkfifo(backend.root / "mine/pipe.wav")
    with pytest.raises(PermissionDenied):
        ACTS[act](backend, Key("mine/pipe.wav"), tmp_path)


@pytest.mark.parametrize(
    "path", ["../outside/secret.wav", "/etc/passwd", "a/../../x", "..", ".audiostore/secret", "a\0b"]
)
def test_no_path_that_leads_out_is_a_key(backend: LocalBackend, path: str) -> None:
    with pytest.raises(InvalidKey):
        Key(path)
    with pytest.raises(InvalidKey):
        list(backend.list(path))


def test_one_refused_key_does_not_save_the_others(backend: LocalBackend, outside: Path) -> None:
    (backend.root / "mine/link.wav").symlink_to(outside / "secret.wav")
    (backend.root / "a").symlink_to(outside)
    with pytest.raises(PermissionDenied):
        backend.delete([Key("a/secret.wav"), Key("mine/link.wav"), Key("mine/take.wav")])
    assert list(backend.list()) == []
    assert (outside / "secret.wav").read_bytes() == SECRET


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("call", ["mkdir", "link"])
def test_a_disk_that_refuses_is_permission_denied(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    staging = backend.capabilities.staging
    assert staging is not None
    staged = stage_bytes(b"x", staging, disposable=True)

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionDenied):
        backend.write(Key("new/x.wav"), staged)
    monkeypatch.undo()
    assert staged.path.read_bytes() == b"x"
    assert sorted(each.name for each in backend.root.iterdir()) == [".audiostore", "mine"]
