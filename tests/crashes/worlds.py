"""One store on parts whose every call can be broken, and what must be true of it whatever was broken."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias, cast

from audiostore import AudioFile, AudioStore, ChapterSectionPath, FixedQuota, serve
from audiostore.backends.local import LocalBackend
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import AudioStoreError, Unavailable
from audiostore.keys import Key
from audiostore.models import Place, Staged, UploadGrant
from audiostore.protocols import Backend, Catalog
from audiostore.reports import SweepReport
from audiostore.testing import SettableClock, stage_bytes
from tests.crashes.cloud import shared_cloud
from tests.crashes.faults import Faults

OWNERS = ("alice", "bob", "carol")
QUOTA = 1000
TTL = timedelta(minutes=15)
HOLD = timedelta(seconds=30)
LONG = timedelta(days=1)
SECRET = "a secret of the crash machine"
_PATHS = ChapterSectionPath()
_RAM = Path("/dev/shm")  # nothing here needs to survive a power cut, and its fsyncs cost nothing


@dataclass(frozen=True, slots=True)
class File:
    """What a file is to its owner."""

    owner: str
    place: Place
    content: bytes


State: TypeAlias = Mapping[str, File]
"""The files there are, by id."""


def temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="crashes-", dir=_RAM if os.access(_RAM, os.W_OK) else None))


class World:
    """A store, its parts, its clock, its faults, in a folder of its own.

    *kind*: ``"memory"``, ``"disk"``, or ``"cloud"``: Supabase with its Postgres, and a disk as the spare backend.
    """

    def __init__(
        self,
        kind: str,
        *,
        store: type[AudioStore] = AudioStore,
        catalog: Callable[[Catalog], Catalog] = lambda part: part,
        backend: Callable[[Backend], Backend] = lambda part: part,
    ) -> None:
        self.kind = kind
        self.folder = temporary_folder()
        self.cloud = shared_cloud() if kind == "cloud" else None
        self.clock = SettableClock() if self.cloud is None else self.cloud.empty()
        self.faults = Faults()
        self.fallback = self.processing = self.slow = self.orphans = False
        self.down: set[str] = set()
        self._store_type, self._defect_of_catalog, self._defect_of_backend = store, catalog, backend
        self._kept_tempdir, tempfile.tempdir = tempfile.tempdir, str(self.folder)
        self._memory: dict[str, Any] = {}
        self.restart()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.cloud is None:
            self._catalog.close()
        tempfile.tempdir = self._kept_tempdir
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self) -> None:
        """Begin anew with what outlives a process."""
        self._parts = {name: self._backend(name) for name in ("main", "spare")}
        self._catalog = self._new_catalog()
        self.faults.begin()
        self.store = self._watched_store()
        self.plain = self.second_store()

    def configure(
        self, *, fallback: bool = False, processing: bool = False, slow: bool = False, orphans: bool = False
    ) -> None:
        """Give the store a fallback or a processor, heartbeats at every chunk, sweeps that look for orphans."""
        self.fallback, self.processing, self.slow, self.orphans = fallback, processing, slow, orphans
        self.restart()

    def state(self) -> State:
        return {
            each.id: File(owner, each.place, self._content(each))
            for owner in OWNERS
            for each in self.plain.list(owner=owner)
        }

    def check(self) -> None:
        """Check what holds at every moment, in the middle of a catastrophe too."""
        for owner in OWNERS:
            usage = self.plain.usage(owner)
            seen = [len(self._content(each)) for each in self.plain.list(owner=owner)]
            assert usage.used + usage.reserved <= QUOTA, f"{owner} is above quota: {usage}"
            assert sum(seen) <= usage.used, f"{owner} has more than is counted: {usage}"

    def settle(self) -> None:
        """Let time go by and sweep, until there can be nothing left to do; then all must agree to the byte."""
        self.faults.land()
        self.faults.begin()
        self.down.clear()
        for _ in range(3):
            self.pass_time(LONG)
            if self.plain.sweep(orphans=self.orphans, grace=timedelta(0)) == SweepReport():
                break
        report = self.plain.audit()
        assert report.ok, report.drift
        self._check_ledger()
        self._check_objects()
        assert self.staged() == [], "staging holds what nobody works on"

    def pass_time(self, by: timedelta) -> None:
        self.clock.advance(by)
        then = time.time() - by.total_seconds()
        for place in self._staging_places():
            for each in place.iterdir():
                os.utime(each, (then, then))

    def staged(self) -> list[str]:
        return sorted(str(each) for place in self._staging_places() for each in place.rglob("*"))

    def reserved(self) -> dict[str, int]:
        return {owner: self.plain.usage(owner).reserved for owner in OWNERS}

    def objects(self, backend: str = "main") -> list[str]:
        return [each.key for each in self._parts[backend].list()]

    def send(self, grant: UploadGrant, size: int, chunks: Iterable[bytes]) -> int:
        """Send the bytes of a direct upload, as a browser does; gives the HTTP status."""
        if (cloud := self.cloud) is not None:
            return self.faults.cross("browser", "send", lambda: cloud.send(grant, size, chunks))
        token = grant.url.rpartition("/")[2]
        answer = serve(self.store, token, "PUT", {"Content-Length": str(size)}, chunks)
        b"".join(answer.body)
        return answer.status

    def write_orphan(self, content: bytes) -> None:
        self._parts["main"].write(Key("lost/take.wav"), stage_bytes(content, self.folder))

    def second_store(self) -> AudioStore:
        """Make the store of another process, which nothing breaks."""
        return self._store(self._parts["main"], self._parts["spare"], self._catalog)

    def _content(self, file: AudioFile) -> bytes:
        try:
            return self.plain.get(file)
        except AudioStoreError as error:
            raise AssertionError(f"what is seen can't be read: {error}") from error

    def _check_ledger(self) -> None:
        for owner in OWNERS:
            usage = self.plain.usage(owner)
            sizes = [each.size for each in self.plain.list(owner=owner)]
            told = (usage.used, usage.files, usage.reserved, usage.pending)
            assert told == (sum(sizes), len(sizes), 0, 0), f"the ledger of {owner}"

    def _check_objects(self) -> None:
        files = [each for owner in OWNERS for each in self.plain.list(owner=owner)]
        for name, part in self._parts.items():
            recorded = sorted(each.key for each in files if each.backend == name)
            assert [each.key for each in part.list()] == recorded, f"objects that no record knows, in {name}"
            if isinstance(part, LocalBackend):
                assert _files_below(self.folder / name) == recorded, "files on the disk that no record knows"

    def _staging_places(self) -> Iterable[Path]:
        places = [self.folder / name / ".audiostore" / "staging" for name in self._parts]
        places.append(self.folder / f"audiostore-staging-{os.getuid()}")
        return [each for each in places if each.is_dir()]

    def _backend(self, name: str) -> Backend:
        if self.cloud is not None and name == "main":
            part: Backend = self.cloud.backend
        elif self.kind != "memory":
            part = LocalBackend(self.folder / name, name=name, fsync=False)
        else:
            part = self._memory.setdefault(name, MemoryBackend(name=name))
        return self._defect_of_backend(part)

    def _new_catalog(self) -> Catalog:
        if self.cloud is not None:
            catalog: Catalog = self.cloud.catalog
        elif self.kind == "disk":
            catalog = SQLiteCatalog(self.folder / "catalog.sqlite3", clock=self.clock)
        else:
            catalog = self._memory.setdefault("catalog", MemoryCatalog(clock=self.clock))
        return self._defect_of_catalog(catalog)

    def _watched_store(self) -> AudioStore:
        switched = [cast("Backend", _Switched(each, self.down)) for each in self._parts.values()]
        main, spare = map(self.faults.backend, switched)
        return self._store(main, spare, self.faults.catalog(self._catalog), watched=True)

    def _store(self, main: Backend, spare: Backend, catalog: Catalog, *, watched: bool = False) -> AudioStore:
        def watch(seam: str, call: Callable[..., Any]) -> Callable[..., Any]:
            return self.faults.calls(seam, call) if watched else call

        return self._store_type(
            main,
            catalog,
            backends=() if self.fallback else [spare],
            fallback=spare if self.fallback else None,
            paths=_PATHS,
            quota=watch("quota", FixedQuota(total=QUOTA)),
            process=watch("process", _louder) if self.processing else None,
            secret=SECRET,
            ttl=TTL,
            hold=HOLD if not self.slow else timedelta(microseconds=3),
            clock=self.clock,
        )


class _Switched:
    """A backend that is away as long as its name is in *down*."""

    def __init__(self, part: Backend, down: set[str]) -> None:
        self._part = part
        self._down = down

    def __getattr__(self, name: str) -> Any:
        if self._part.name in self._down and name not in {"name", "capabilities"}:
            raise Unavailable(f"{self._part.name} is down", retryable=True)
        return getattr(self._part, name)


def _louder(staged: Staged) -> Staged:
    """Process: other bytes, of another length, in another file."""
    path = staged.path.with_name("louder")
    path.write_bytes(staged.path.read_bytes().upper() + b"!")
    return staged.become(path)


def _files_below(root: Path) -> list[str]:
    found = [each for each in root.rglob("*") if not each.is_relative_to(root / ".audiostore")]
    empty = [each for each in found if each.is_dir() and not any(each.iterdir())]
    assert not empty, "folders that nothing is in"
    return sorted(str(each.relative_to(root)) for each in found if each.is_file())
