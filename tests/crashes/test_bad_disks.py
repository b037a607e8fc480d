"""A disk that is full, read-only or gone, and a catalog that somebody locked: typed errors, and nothing half done."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from audiostore import AudioStore, FixedQuota
from audiostore.backends.local import LocalBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import AudioStoreError, PermissionDenied, StorageFull, Unavailable

TAKE = b"take" * 1000
SOON = timedelta(milliseconds=50)


@contextmanager
def mounted(folder: Path, options: str) -> Generator[Path]:
    """Mount a file system of one's own, or skip: that takes root, and leave to mount."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"not permitted to mount: {done.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def make_store(root: Path, catalog: Path | None = None) -> AudioStore:
    path = (catalog or root / ".audiostore") / "catalog.sqlite3"
    return AudioStore(
        LocalBackend(root), SQLiteCatalog(path, busy_timeout=SOON), quota=FixedQuota(), secret="a secret for bad disks"
    )


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"\1" * 65536


class TestFull:
    def test_a_disk_that_fills_up_midway_keeps_what_it_had(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "audio", "size=2m") as root, make_store(root, tmp_path) as store:
            file = store.put(TAKE, owner="alice")
            with pytest.raises(StorageFull):
                store.put(chunks(64), owner="alice")
            with pytest.raises(StorageFull):
                store.replace(file, chunks(64), owner="alice")
            assert store.get(file) == TAKE
            assert (store.usage("alice").used, store.usage("alice").reserved) == (len(TAKE), 0)
            assert list((root / ".audiostore" / "staging").iterdir()) == []
            assert store.audit().ok
            assert store.put(chunks(8), owner="alice").size == 8 * 65536

    def test_a_full_disk_with_the_catalog_on_it_refuses_and_still_deletes(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "audio", "size=3m") as root, make_store(root) as store:
            files = [store.put(TAKE, owner="alice")]
            with suppress(StorageFull):
                while len(files) < 100:
                    files.append(store.put(chunks(4), owner="alice"))
            assert 1 < len(files) < 100
            for each in files:
                store.delete(each)
            assert store.usage("alice").used == 0
            assert store.audit().ok
            assert store.put(chunks(4), owner="alice").size == 4 * 65536


class TestNotOurs:
    def test_a_read_only_root_is_permission_denied(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "audio", "size=2m") as root, make_store(root, tmp_path) as store:
            file = store.put(TAKE, owner="alice")
            store.close()
            subprocess.run(["mount", "-o", "remount,ro", root], check=True)
            with pytest.raises(PermissionDenied):
                store.put(TAKE, owner="alice")
            assert store.get(file) == TAKE
            assert store.usage("alice").reserved == 0
            subprocess.run(["mount", "-o", "remount,rw", root], check=True)
            store.delete(file)
            assert store.audit().ok

    def test_a_root_that_is_gone_is_an_outage_for_which_there_is_a_fallback(self, tmp_path: Path) -> None:
        main, spare = (LocalBackend(tmp_path / name, name=name) for name in ("main", "spare"))
        store = AudioStore(main, MemoryCatalog(), fallback=spare, quota=FixedQuota())
        (tmp_path / "main").rename(tmp_path / "elsewhere")
        file = store.put(TAKE, owner="alice")
        assert file.backend == "spare"
        assert store.sweep(orphans=True).orphans == 0
        (tmp_path / "elsewhere").rename(tmp_path / "main")
        assert store.promote(file).backend == "main"

    def test_one_object_that_cannot_be_erased_does_not_keep_the_others(self, tmp_path: Path) -> None:
        store = make_store(tmp_path / "audio", tmp_path)
        files = [store.put(TAKE, owner="alice", project="p1") for _ in range(3)]
        path = tmp_path / "audio" / files[0].key
        path.unlink()
        path.symlink_to(tmp_path)
        store.delete_project("alice", "p1")
        assert store.usage("alice").used == len(TAKE)
        path.unlink()
        store.close()


class TestLocked:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[AudioStore]:
        with make_store(tmp_path / "audio", tmp_path) as store:
            yield store

    @pytest.fixture
    def locked(self, store: AudioStore, tmp_path: Path) -> Iterator[sqlite3.Connection]:
        store.usage("alice")
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield other

    def test_a_locked_catalog_is_unavailable_and_nothing_is_left(
        self, store: AudioStore, locked: sqlite3.Connection, tmp_path: Path
    ) -> None:
        with pytest.raises(Unavailable) as refused:
            store.put(TAKE, owner="alice")
        assert refused.value.retryable
        locked.execute("ROLLBACK")
        assert store.usage("alice").reserved == 0
        assert [each for each in (tmp_path / "audio").rglob("*") if each.is_file()] == []
        assert store.put(TAKE, owner="alice").size == len(TAKE)

    def test_a_catalog_that_gets_locked_during_a_put_leaves_what_a_sweep_can_find(
        self, store: AudioStore, tmp_path: Path
    ) -> None:
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite3", isolation_level=None)) as other:

            def lock(done: int, resume: str | None) -> None:
                if not other.in_transaction:
                    other.execute("BEGIN IMMEDIATE")

            with pytest.raises(AudioStoreError) as failed:
                store.put(TAKE, owner="alice", progress=lock)
            assert isinstance(failed.value, Unavailable)
            assert "expire" in "".join(failed.value.__notes__)
            other.execute("ROLLBACK")
        assert store.audit().ok
        assert list(store.list(owner="alice")) == []
