"""A disk that is full, for real where a tiny file system can be mounted, and staged everywhere."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audiostore.backends import local, publishing
from audiostore.backends.local import LocalBackend
from audiostore.errors import PermissionDenied, StorageFull
from audiostore.keys import Key
from audiostore.testing import stage_bytes

MB = 1024 * 1024


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tiny file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def sees_enough(target: int, size: int, where: str) -> None:
    """Stand in for ``check_room``: there was room when it looked, and then somebody else took it."""


def files_below(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


class TestReallyFull:
    def test_what_can_not_fit_is_refused_before_a_byte_is_copied(self, tiny: Path, tmp_path: Path) -> None:
        backend, told = LocalBackend(tiny), list[int]()
        with pytest.raises(StorageFull) as raised:
            backend.write(
                Key("a/big.wav"), stage_bytes(bytes(2 * MB), tmp_path), progress=lambda done, resume: told.append(done)
            )
        assert raised.value.needed == 2 * MB
        assert raised.value.free is not None
        assert raised.value.free <= MB
        assert (told, files_below(tiny)) == ([], [])

    def test_a_disk_that_fills_midway_keeps_nothing(
        self, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (publishing, local):
            monkeypatch.setattr(module, "check_room", sees_enough)
        backend = LocalBackend(tiny)
        with pytest.raises(StorageFull):
            backend.write(Key("a/big.wav"), stage_bytes(bytes(2 * MB), tmp_path))
        assert files_below(tiny) == []
        assert not (tiny / "a").exists()
        backend.write(Key("a/small.wav"), stage_bytes(b"fits", tmp_path))

    def test_a_copy_that_can_not_fit_leaves_its_source(self, tiny: Path, tmp_path: Path) -> None:
        backend = LocalBackend(tiny)
        backend.write(Key("a.wav"), stage_bytes(bytes(700 * 1024), tmp_path))
        with pytest.raises(StorageFull):
            backend.copy(Key("a.wav"), Key("b/b.wav"))
        assert [(each.key, each.size) for each in backend.list()] == [("a.wav", 700 * 1024)]
        assert files_below(tiny) == [tiny / "a.wav"]

    def test_a_full_disk_can_still_be_emptied(self, tiny: Path, tmp_path: Path) -> None:
        backend = LocalBackend(tiny)
        backend.write(Key("a.wav"), stage_bytes(b"x", tmp_path))
        (tiny / "filler").write_bytes(bytes(900 * 1024))
        assert backend.delete([Key("a.wav"), Key("filler")]) == {Key("a.wav"), Key("filler")}


class TestReadOnly:
    def test_a_read_only_disk_still_reads_and_denies_the_rest(self, tiny: Path, tmp_path: Path) -> None:
        backend = LocalBackend(tiny)
        backend.write(Key("a/x.wav"), stage_bytes(b"sound", tmp_path))
        subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
        assert b"".join(backend.read(Key("a/x.wav"))) == b"sound"
        with pytest.raises(PermissionDenied):
            backend.write(Key("a/y.wav"), stage_bytes(b"y", tmp_path))
        with pytest.raises(PermissionDenied):
            backend.write(Key("b/y.wav"), stage_bytes(b"y", tmp_path, disposable=True))
        with pytest.raises(PermissionDenied):
            backend.delete([Key("a/x.wav")])
        with pytest.raises(PermissionDenied):
            backend.move(Key("a/x.wav"), Key("a/z.wav"))
        assert [each.key for each in backend.list()] == ["a/x.wav"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["ENOSPC", "EDQUOT"])
class TestStaged:
    def test_a_copy_that_finds_no_space_midway_keeps_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        backend, staged, real = LocalBackend(tmp_path / "uploads"), stage_bytes(bytes(3 * MB), tmp_path), os.write
        written: list[int] = []

        def write(file: int, data: Any) -> int:
            if sum(written) >= MB:
                raise OSError(number, os.strerror(number))
            written.append(real(file, data[: MB // 2]))  # a short write is not an error
            return written[-1]

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(StorageFull):
            backend.write(Key("a/b/x.wav"), staged)
        monkeypatch.undo()
        assert files_below(backend.root) == []
        assert not (backend.root / "a").exists()

    @pytest.mark.parametrize("call", ["mkdir", "link", "fsync"])
    def test_a_name_that_finds_no_space_keeps_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
    ) -> None:
        backend = LocalBackend(tmp_path / "uploads")
        staging = backend.capabilities.staging
        assert staging is not None
        staged = stage_bytes(b"x", staging, disposable=True)

        def full(*args: Any, **options: Any) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, call, full)
        with pytest.raises(StorageFull):
            backend.write(Key("a/b/x.wav"), staged)
        monkeypatch.undo()
        assert files_below(backend.root) == [staged.path]
        assert not (backend.root / "a").exists()


def test_short_writes_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, data, real = LocalBackend(tmp_path / "uploads"), bytes(range(256)) * 1024, os.write
    staged = stage_bytes(data, tmp_path)

    def write(file: int, block: memoryview) -> int:
        return real(file, block[:999])

    monkeypatch.setattr(os, "write", write)
    backend.write(Key("x.wav"), staged)
    assert (backend.root / "x.wav").read_bytes() == data
