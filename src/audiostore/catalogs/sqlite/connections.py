"""Connections to one SQLite file: whose turn it is to write, what a fork does to them, and what their errors mean."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from audiostore.catalogs.sqlite import schema
from audiostore.catalogs.sqlite.queues import Queue
from audiostore.errors import (
    AudioStoreError,
    ConfigurationError,
    PermissionDenied,
    StorageFull,
    Unavailable,
    from_os_error,
)

_IDLE_READERS = 8
_POLL = 0.002

_queues: dict[tuple[int, str], Queue] = {}
_all: weakref.WeakValueDictionary[int, Connections] = weakref.WeakValueDictionary()
_forking = threading.Lock()
_paused: list[Connections] = []
_inherited: list[sqlite3.Connection] = []


class Connections:
    """Two writers and a pool of readers, opened on first use and again after ``close``.

    SQLite lets one writer at a time in, and those who wait poll: threads would starve. So the threads of a process
    stand in one queue for each file, and only the first of them waits for SQLite.
    """

    def __init__(self, path: Path, timeout: float, migrations: schema.Migrations | None = None) -> None:
        self.path = path
        self.name = os.path.realpath(path)
        self.timeout = timeout
        self._migrations = migrations
        self._start()
        _all[id(self)] = self

    @contextmanager
    def writing(self, *, durable: bool) -> Generator[sqlite3.Connection]:
        """Open one write transaction; leaving normally commits it, an exception undoes it."""
        self._check_fork()
        with self._translated(), self._turn():
            connection = self._writer(durable=durable)
            self._patiently(connection, "BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Open one snapshot; readers wait for nobody."""
        self._check_fork()
        with self._translated():
            connection, opened = self._borrow()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._give_back(connection, opened)

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as it no longer is."""
        self._check_fork()
        with self._translated(), self._turn():
            self._close_all()

    def abandon(self) -> None:
        """Close at the end of the owner's life. Nobody else is left.

        The garbage collector calls this in any thread, whatever that thread holds: so it must not wait for a lock.
        """
        if self.pid == os.getpid():
            self._drain()

    def _start(self) -> None:
        self.pid = os.getpid()
        self._queue = _queues.setdefault((self.pid, self.name), Queue())
        self._readers = threading.Condition()
        self._writers: dict[bool, sqlite3.Connection] = {}
        self._idle: list[sqlite3.Connection] = []
        self._in_use = 0
        self._opened = 0
        self._upgraded = False

    def _check_fork(self) -> None:
        if self.pid == os.getpid():
            return
        # A connection belongs to the process that opened it: not even closing it is safe here, so it is left dangling.
        _inherited.extend([*self._writers.values(), *self._idle])
        self._start()

    @contextmanager
    def _turn(self) -> Generator[None]:
        queue = self._queue
        if not queue.acquire(self.timeout):
            raise Unavailable(f"{self.path} is locked", retryable=True)
        try:
            yield
        finally:
            queue.release()

    def _writer(self, *, durable: bool) -> sqlite3.Connection:
        if durable not in self._writers:
            connection = self._open()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("PRAGMA busy_timeout = 0")  # see _patiently
            self._writers[durable] = connection
        return self._writers[durable]

    def _borrow(self) -> tuple[sqlite3.Connection, int]:
        if not self._upgraded:
            with self._turn():
                self._writer(durable=True)
        with self._readers:
            opened = self._opened
            self._in_use += 1
            if self._idle:
                return self._idle.pop(), opened
        try:
            connection = self._open()
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            with self._readers:
                self._in_use -= 1
                self._readers.notify_all()
            raise
        return connection, opened

    def _give_back(self, connection: sqlite3.Connection, opened: int) -> None:
        with self._readers:
            self._in_use -= 1
            if opened == self._opened and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
            else:
                connection.close()
            self._readers.notify_all()

    def _open(self) -> sqlite3.Connection:
        Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.name, timeout=self.timeout, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            migrations = self._migrations or schema.shipped()
            if not self._upgraded:
                schema.check(connection, str(self.path), migrations)
            self._use_wal(connection)
            if not self._upgraded:
                schema.upgrade(connection, str(self.path), migrations)
                self._upgraded = True
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            return
        if self._patiently(connection, "PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise ConfigurationError(f"{self.path} lies on a file system that SQLite's WAL can't use")

    def _patiently(self, connection: sqlite3.Connection, statement: str) -> sqlite3.Cursor:
        """Run what needs the file for itself, waiting for other processes to leave.

        SQLite would not wait at all for a change to WAL, and for a transaction it would look ten times a second, and so
        miss the short moments between the transactions of a busy process for as long as half a minute.
        """
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                return connection.execute(statement)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL)

    def _close_all(self) -> None:
        with self._readers:
            self._opened += 1
            self._upgraded = False
        self._drain()

    def _drain(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
        with suppress(KeyError):
            while True:
                self._writers.popitem()[1].close()

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except AudioStoreError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise _translate(error, self.path) from error

    def pause(self) -> None:
        """Close everything and hold readers back; the caller has this file's turn, and calls ``resume``."""
        self._readers.acquire()
        self._readers.wait_for(lambda: not self._in_use, timeout=self.timeout)
        self._close_all()

    def resume(self) -> None:
        self._readers.release()


def _translate(error: sqlite3.Error | OSError, path: Path) -> AudioStoreError:
    if isinstance(error, OSError):
        return from_os_error(error, str(path))
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Unavailable(f"{path} is locked", retryable=True)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}:
        return PermissionDenied(str(path))
    if code == sqlite3.SQLITE_CANTOPEN and not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        return PermissionDenied(str(path))
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(str(path))
    return Unavailable(f"{path}: {error}")


def _before_fork() -> None:
    # SQLite keeps, for each process, a table of the locks it holds. A child would inherit that table but not the locks,
    # and its own connections would trust it. So there must be no open connection while a process forks.
    _forking.acquire()
    pid = os.getpid()
    mine = [each for ref in _all.valuerefs() if (each := ref()) is not None and each.pid == pid]
    for name in sorted({each.name for each in mine}):
        sharing = [each for each in mine if each.name == name]
        if _queues[pid, name].acquire(max(each.timeout for each in sharing)):
            _paused.extend(sharing)
    for each in _paused:
        each.pause()


def _after_fork_in_parent() -> None:
    for name in {each.name for each in _paused}:
        _queues[os.getpid(), name].release()
    for each in _paused:
        each.resume()
    _paused.clear()
    _forking.release()


def _after_fork_in_child() -> None:
    # The queues and readers need no release: another process id means other ones (see _check_fork).
    _paused.clear()
    _forking.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
