"""Connections to a Postgres, by psycopg: a few, opened when they are needed, and what goes wrong on them."""

from __future__ import annotations

import os
import select
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from audiostore.catalogs.postgres.states import error_of
from audiostore.errors import ConfigurationError, Unavailable
from audiostore.transport import Patience

if TYPE_CHECKING:
    import psycopg

Explain: TypeAlias = Callable[[str, str, str], Exception]
"""``(SQLSTATE, message, what) -> error``."""

_DEFAULTS = {
    "application_name": "audiostore",
    "connect_timeout": "10",
    # Without these a call over a cable that was pulled would wait for hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

_inherited: list[object] = []


class Connections:
    """At most so many connections, on which each statement is one transaction.

    Safe across threads, and after ``fork``: the child opens its own.
    """

    def __init__(self, dsn: str, *, connections: int, part: str, explain: Explain = error_of) -> None:
        if find_spec("psycopg") is None:
            raise ConfigurationError(f'{part} needs an extra: pip install "audiostore[postgres]"')
        if connections < 1:
            raise ValueError(f"connections must be at least 1, not {connections}")
        self._conninfo = _with_defaults(dsn)
        self._connections = connections
        self._explain = explain
        self._start()

    @contextmanager
    def connected(self, what: str, patience: Patience, *, repeatable: bool) -> Generator[psycopg.Connection[Any]]:
        """Have a connection to oneself. *repeatable*: if it breaks, twice is as good as once."""
        with self._taken(what, patience) as connection, self._translated(what, connection, repeatable=repeatable):
            yield connection

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as it no longer is; the next call opens again."""
        self._check_fork()
        with self._guard:
            self._opened += 1
            idle = list(self._idle)
            self._idle.clear()
        for each in idle:
            each.close()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._connections)
        self._idle: list[psycopg.Connection[Any]] = []
        self._opened: int = 0
        # Whoever forgets to close, closes at the end of this object's life.
        weakref.finalize(self, _abandon, self._idle, self._pid)

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            # The parent talks over these: not even closing them is safe here, so they are left dangling.
            _inherited.extend(self._idle)
            self._start()

    @contextmanager
    def _taken(self, what: str, patience: Patience) -> Generator[psycopg.Connection[Any]]:
        self._check_fork()
        turns = self._turns
        if not turns.acquire(timeout=max(0.0, patience.left)):
            raise Unavailable(f"{what}: no connection was free", retryable=True)
        try:
            opened = self._opened
            connection = self._borrow() or self._open(what)
            try:
                yield connection
            finally:
                self._give_back(connection, opened)
        finally:
            turns.release()

    def _borrow(self) -> psycopg.Connection[Any] | None:
        while True:
            with self._guard:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _is_dead(connection):
                return connection
            connection.close()

    def _open(self, what: str) -> psycopg.Connection[Any]:
        driver = _psycopg()
        try:
            # Never prepared: poolers between here and the database hand each statement to another session.
            connection: psycopg.Connection[Any] = driver.connect(
                self._conninfo, autocommit=True, prepare_threshold=None
            )
        except driver.OperationalError as error:
            raise Unavailable(f"{what}: no connection to the database", retryable=True) from error
        return connection

    def _give_back(self, connection: psycopg.Connection[Any], opened: int) -> None:
        with self._guard:
            keep = opened == self._opened and not connection.closed
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    @contextmanager
    def _translated(self, what: str, connection: psycopg.Connection[Any], *, repeatable: bool) -> Generator[None]:
        driver = _psycopg()
        try:
            yield
        except driver.Error as error:
            code = error.sqlstate or ""
            if connection.closed or code.startswith("57P"):
                connection.close()
                raise Unavailable(f"{what}: the connection broke", retryable=repeatable) from error
            message = error.diag.message_primary or type(error).__name__
            raise self._explain(code, message, what) from error
        except BaseException:
            # Interrupted while it waited: the connection is in the middle of something.
            connection.close()
            raise


def _abandon(idle: list[psycopg.Connection[Any]], pid: int) -> None:
    while idle and pid == os.getpid():
        idle.pop().close()


def _is_dead(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the server has left: an idle connection has nothing to say but good-bye."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN | select.POLLPRI)
    return bool(poll.poll(0))


def _with_defaults(dsn: str) -> str:
    driver = _psycopg()
    try:
        given = driver.conninfo.conninfo_to_dict(dsn)
    except driver.Error:
        # What it complains of may hold the password.
        raise ConfigurationError(
            "the address of the database is no postgresql:// URL and no connection string"
        ) from None
    return str(driver.conninfo.make_conninfo(**{**_DEFAULTS, **given}))


def _psycopg() -> Any:
    import psycopg  # slower to load than the rest of the library

    return psycopg
