"""What ``doctor`` looks at: each look gives what it saw, or raises a ``Finding`` that says what to do."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from audiostore.backends.disk import OWN_FOLDER
from audiostore.backends.local import LocalBackend
from audiostore.catalogs.sqlite import SQLiteCatalog, schema
from audiostore.errors import AudioStoreError
from audiostore.models import AudioFile
from audiostore.serving import serve
from audiostore.signing import MIN_SECRET
from audiostore.sizes import format_size
from audiostore.staging import staging_area
from audiostore.store import AudioStore

_T = TypeVar("_T")

_LEAST_SPACE: Final = 256 * 1024 * 1024
_RELEASED: Final = datetime(2026, 11, 1, tzinfo=UTC)
_SKEW: Final = 5.0
"""Seconds that the disk's clock and ours may differ."""
_OLDEST_SQLITE: Final = (3, 35, 0)
_HOUR: Final = timedelta(hours=1)
_OWNER: Final = "audiostore-doctor-6f1d2c9ae0b74c55"
"""No app's user, and always the same one: a doctor who is asked every minute leaves no more than one account."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Finding(Exception):
    """Something is not as it should be, and what to do about it."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one look found; ``fix`` is what to do, or None where all is well."""

    name: str
    detail: str
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What a store on one machine consists of. ``secret`` is its own one, None if the settings bring it."""

    store: AudioStore
    root: Path
    catalog: Path
    secret: Path | None

    @property
    def own(self) -> Path:
        return self.root / OWN_FOLDER

    @property
    def staging(self) -> Path:
        return self.own / "staging"


def examine(store: AudioStore, secret: Path | None) -> Iterator[Check]:
    """Make every check that can be made of *store*."""
    trip = _examined("round trip", _round_trip, store)  # first, because it makes a catalog that is not there yet
    if isinstance(store.backend, LocalBackend) and isinstance(store.catalog, SQLiteCatalog):
        local = Local(store=store, root=store.backend.root, catalog=store.catalog.path, secret=secret)
        for name, look in _LOCAL.items():
            yield _examined(name, look, local)
    yield trip


def _examined(name: str, look: Callable[[_T], str], subject: _T) -> Check:
    try:
        return Check(name=name, detail=look(subject))
    except Finding as finding:
        return Check(name=name, detail=str(finding), fix=finding.fix)
    except (AudioStoreError, OSError) as error:
        return Check(name=name, detail=str(error), fix="find out why: the store can't do without")


def _folder(local: Local) -> str:
    with staging_area(local.staging) as area:
        if area.folder.stat().st_dev != local.root.stat().st_dev:
            raise Finding(f"{local.own} is on another file system than {local.root}", "keep them on the same one")
    return f"{local.root} can be written"


def _private(local: Local) -> str:
    if found := [each for each in (local.own, local.staging) if each.stat().st_mode & _OTHERS]:
        raise Finding("other users can look into the store's own folder", f"chmod 700 {_quoted(*found)}")
    return f"only this user can look into {local.own}"


def _space(local: Local) -> str:
    room = shutil.disk_usage(local.root)
    told = f"{format_size(room.free)} free of {format_size(room.total)}"
    if room.free < _LEAST_SPACE:
        raise Finding(told, f"make room: under {format_size(_LEAST_SPACE)} puts will soon be refused")
    return told


def _fsync(local: Local) -> str:
    with staging_area(local.staging) as area:
        begun = time.perf_counter()
        with (area.folder / "probe").open("wb") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        took = time.perf_counter() - begun
    return f"works, {1000 * took:.1f} ms"


def _links(local: Local) -> str:
    with staging_area(local.staging) as area:
        (area.folder / "one").touch()
        try:
            os.link(area.folder / "one", area.folder / "two")
        except OSError:
            return "not on this file system: files are renamed into place under a lock, which is as safe"
    return "work"


def _clock(local: Local) -> str:
    now = time.time()
    if now < _RELEASED.timestamp():
        raise Finding("this machine's clock is years behind", "set the clock; links and reservations go by it")
    with staging_area(local.staging) as area:
        (area.folder / "probe").touch()
        skew = (area.folder / "probe").stat().st_mtime - time.time()
    if abs(skew) > _SKEW:
        raise Finding(f"the disk's clock is {skew:+.0f} s off ours", "set the file server's clock, or this one's")
    ahead = local.catalog.stat().st_mtime - time.time()
    if ahead > _SKEW:
        raise Finding(f"the catalog was last written {ahead:.0f} s in the future", "the clock was set back: check it")
    return "agrees with the disk's"


def _staging(local: Local) -> str:
    left = [each for each in local.staging.iterdir() if _is_left_over(each, local.store.ttl)]
    if left:
        raise Finding(f"{len(left)} left by processes that died", "run audiostore sweep, every few minutes from now on")
    return "nothing left by processes that died"


def _is_left_over(folder: Path, older_than: timedelta) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if time.time() - os.fstat(handle).st_mtime < older_than.total_seconds():
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # a put that still works on it
    finally:
        os.close(handle)
    return True


def _sqlite(local: Local) -> str:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise Finding(f"version {sqlite3.sqlite_version}", f"use a Python with SQLite {oldest} or newer")
    if (mode := _ask(local, "journal_mode")) != "wal":
        raise Finding(f"journal mode {mode}", "keep the store on a local disk, where SQLite's WAL works")
    return f"version {sqlite3.sqlite_version}, journal mode WAL"


def _schema(local: Local) -> str:
    version, newest = _ask(local, "user_version"), len(schema.shipped())
    if version != newest:
        raise Finding(f"version {version}, this audiostore has {newest}", "use the newest audiostore everywhere")
    return f"version {version}, the newest"


def _integrity(local: Local) -> str:
    found = str(_ask(local, "quick_check"))
    if found != "ok":
        raise Finding(found.splitlines()[-1], _restore(local))
    return "the catalog's file is sound"


def _ask(local: Local, pragma: str) -> object:
    name = f"file:{quote(str(local.catalog.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(name, uri=True)) as connection:
            return connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    except sqlite3.Error as error:
        raise Finding(str(error), _restore(local)) from error


def _restore(local: Local) -> str:
    return f"stop the app, and bring back {local.catalog} from a backup"


def _quoted(*paths: Path) -> str:
    return " ".join(shlex.quote(str(path)) for path in paths)


def _secret(local: Local) -> str:
    path = local.secret
    if path is None:
        return "from the settings"
    found = path.stat()
    if found.st_mode & _OTHERS:
        raise Finding(
            f"other users can reach it (mode {stat.S_IMODE(found.st_mode):04o})", f"chmod 600 {_quoted(path)}"
        )
    if found.st_uid != os.geteuid():
        raise Finding("it belongs to another user", f"chown {_quoted(path)} to the user that the app runs as")
    if found.st_size < MIN_SECRET:
        raise Finding("too short", f"rm {_quoted(path)}: a new one is made, and old links end")
    return "only this user can read it"


def _round_trip(store: AudioStore) -> str:
    begun, now = time.perf_counter(), datetime.now(UTC)
    for file in store.list(owner=_OWNER):
        if now - file.created_at > _HOUR:  # of a doctor that was killed
            store.delete(file)
    # Numbers of its own: a plan that allows nothing is no fault of the store's.
    store.set_quota(_OWNER, None, per_file=None, files=None, until=now + _HOUR)
    content = b"RIFF\0\0\1\0WAVE" + os.urandom(64 * 1024)
    file = store.put(content, owner=_OWNER, filename="doctor.wav", content_type="audio/wav")
    try:
        _read_back(store, file, content)
        link = store.url(file)
        _fetch(store, link, content)
    finally:
        store.delete(file)
    with serve(store, link.rpartition("/")[2]) as reply:
        _expect(reply.status == 404, "a deleted file's link still works")  # noqa: PLR2004
    return f"put, get, range, link, delete: {1000 * (time.perf_counter() - begun):.0f} ms"


def _read_back(store: AudioStore, file: AudioFile, content: bytes) -> None:
    _expect(store.get(file) == content, "what was put is not what comes back")
    with store.stream(file, 10, 1000) as part:
        _expect(b"".join(part) == content[10:1000], "a part of a file is not what was asked for")


def _fetch(store: AudioStore, link: str, content: bytes) -> None:
    with serve(store, link.rpartition("/")[2], headers={"Range": "bytes=10-999"}) as reply:
        _expect(reply.status == 206 and b"".join(reply.body) == content[10:1000], "a signed link gives something else")  # noqa: PLR2004


def _expect(fact: bool, complaint: str) -> None:
    if not fact:
        raise Finding(complaint, "please report it, with the output of audiostore version")


_LOCAL: Final[Mapping[str, Callable[[Local], str]]] = {
    "folder": _folder,
    "private": _private,
    "space": _space,
    "fsync": _fsync,
    "hard links": _links,
    "clock": _clock,
    "staging": _staging,
    "sqlite": _sqlite,
    "schema": _schema,
    "integrity": _integrity,
    "secret": _secret,
}
