"""The embedded default catalog: one SQLite file beside the audio, shared by many threads and processes."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from audiostore.catalogs.decided import DecidedCatalog
from audiostore.catalogs.rows import Tables
from audiostore.catalogs.sqlite.connections import Connections
from audiostore.catalogs.sqlite.tables import SQLiteTables
from audiostore.errors import ConfigurationError


class SQLiteCatalog(DecidedCatalog):
    """Keep the records in the SQLite file *path*, which is made on first use, its folder too.

    Any number of threads and processes of one machine may share the file; it must not lie on a network drive. What
    ``reserve``, ``extend`` and ``release`` decided outlives the death of the process; all other decisions also outlive
    a power cut. A caller that finds the file locked for longer than *busy_timeout* gets ``Unavailable``.

    >>> import tempfile
    >>> from audiostore.models import Limits
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     catalog = SQLiteCatalog(f"{folder}/catalog.db")
    ...     catalog.usage("alice", Limits(total=1000)).available
    ...     catalog.close()
    1000

    Raises (on first use):
        ConfigurationError: the file was written by a newer audiostore or by another program, or ``:memory:`` was asked
            for (take ``MemoryCatalog``).
        PermissionDenied: the file or its folder can't be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        removal_delay: timedelta = timedelta(minutes=1),
        busy_timeout: timedelta = timedelta(seconds=30),
        keep: timedelta = timedelta(days=7),
    ) -> None:
        super().__init__(clock=clock, removal_delay=removal_delay, keep=keep)
        if os.fspath(path) in {"", ":memory:"}:
            raise ConfigurationError("SQLiteCatalog needs a file that processes can share; MemoryCatalog keeps nothing")
        self.path = Path(path)
        self._connections = Connections(self.path, busy_timeout.total_seconds())
        weakref.finalize(self, self._connections.abandon)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._connections.close()

    @contextmanager
    def _writing(self, *, durable: bool) -> Generator[Tables]:
        with self._connections.writing(durable=durable) as connection:
            yield SQLiteTables(connection)

    @contextmanager
    def _reading(self) -> Generator[Tables]:
        with self._connections.reading() as connection:
            yield SQLiteTables(connection)
