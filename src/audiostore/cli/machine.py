"""What ``doctor`` looks at on this machine: disk, clock, SQLite, secret."""

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
from typing import Final
from urllib.parse import quote

from audiostore.backends.disk import OWN_FOLDER
from audiostore.catalogs.sqlite import schema
from audiostore.cli.checks import Check, Finding, examined
from audiostore.signing import MIN_SECRET
from audiostore.sizes import format_size
from audiostore.staging import staging_area
from audiostore.store import AudioStore

_LEAST_SPACE: Final = 256 * 1024 * 1024
_RELEASED: Final = datetime(2026, 11, 1, tzinfo=UTC)
_SKEW: Final = 5.0
"""Seconds that the disk's clock and ours may differ."""
_OLDEST_SQLITE: Final = (3, 35, 0)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What a store has on one machine.

    ``catalog`` is None if it is in a database elsewhere. ``secret`` is its own one, None if the settings bring it; one
    whose new files go elsewhere does not make any.
    """

    store: AudioStore
    root: Path
    catalog: Path | None
    secret: Path | None
    makes_secret: bool

    @property
    def own(self) -> Path:
        return self.root / OWN_FOLDER

    @property
    def staging(self) -> Path:
        return self.own / "staging"


def examine(local: Local) -> Iterator[Check]:
    """Look at what a store has on this machine; a catalog of its own must be there."""
    for name, look in _LOOKS.items():
        if local.catalog is not None or name not in _OF_SQLITE:
            yield examined(name, look, local)


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
    if local.catalog is not None and (ahead := local.catalog.stat().st_mtime - time.time()) > _SKEW:
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
    assert local.catalog is not None
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
    if not local.makes_secret and not path.exists():
        return "none: AUDIOSTORE_SECRET is needed for links to files on this disk; Supabase signs its own"
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


_LOOKS: Final[Mapping[str, Callable[[Local], str]]] = {
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
_OF_SQLITE: Final = frozenset({"sqlite", "schema", "integrity"})
