"""The accounting in Postgres: SQL functions, called over Supabase's PostgREST or over a direct connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from audiostore.catalogs.postgres import codec
from audiostore.keys import Key
from audiostore.models import (
    ANYWHERE,
    AudioFile,
    Drift,
    Limits,
    Override,
    Place,
    Removal,
    Reservation,
    Usage,
)
from audiostore.protocols import Request, Written
from audiostore.transport import Timeouts


class Calls(Protocol):
    """A way to the database: the name of a method and what it asks, as JSON, for what it answers."""

    def call(self, method: str, request: Mapping[str, Any]) -> Mapping[str, Any]: ...

    def close(self) -> None: ...


class PostgresCatalog:
    """Keep the records in Postgres, where each decision is one function and one transaction.

    The database needs audiostore's tables and functions: ``audiostore schema apply``. Its clock counts, and its
    numbers: the limits of an owner are those of its plan, and a quota policy can only tighten them.

    Make one with ``connect`` or ``from_supabase``.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @classmethod
    def connect(cls, dsn: str, *, connections: int = 16, timeouts: Timeouts | None = None) -> PostgresCatalog:
        """Talk to any Postgres from version 15 on, directly: ``postgresql://user@host/database``.

        At most so many *connections* are open at once; nothing is opened before the first call.

        Raises:
            ConfigurationError: psycopg is missing, or *dsn* is malformed.

        """
        from audiostore.catalogs.postgres.direct import DirectCalls

        return cls(DirectCalls(dsn, connections=connections, timeouts=timeouts or Timeouts()))

    def reserve(self, request: Request) -> Reservation:
        return self._ask("reserve", request=request)

    def extend(self, reservation: str, *, ttl: timedelta, hold: timedelta, resume: str | None = None) -> Reservation:
        return self._ask("extend", reservation=reservation, ttl=ttl, hold=hold, resume=resume)

    def commit(
        self, reservation: str, written: Written, *, limits: Limits | None, only_over: Key | None = None
    ) -> tuple[AudioFile, Sequence[Removal]]:
        return self._ask("commit", reservation=reservation, written=written, limits=limits, only_over=only_over)

    def release(self, reservation: str, *, erase: bool = True) -> Sequence[Removal]:
        return self._ask("release", reservation=reservation, erase=erase)

    def reservation(self, reservation: str) -> Reservation:
        return self._ask("reservation", reservation=reservation)

    def pending(self, owner: str) -> Sequence[Reservation]:
        return self._ask("pending", owner=owner)

    def expire(self, limit: int) -> int:
        return self._ask("expire", limit=limit)

    def hide(self, owner: str, files: Sequence[str]) -> Sequence[Removal]:
        return self._ask("hide", owner=owner, files=files)

    def forget(self, removals: Sequence[str]) -> None:
        self._ask("forget", removals=removals)

    def postpone(self, removals: Sequence[str], delay: timedelta) -> None:
        self._ask("postpone", removals=removals, delay=delay)

    def claim(self, limit: int, lease: timedelta) -> Sequence[Removal]:
        return self._ask("claim", limit=limit, lease=lease)

    def discard(self, backend: str, keys: Sequence[Key], delay: timedelta) -> None:
        self._ask("discard", backend=backend, keys=keys, delay=delay)

    def known(self, backend: str, keys: Sequence[Key]) -> frozenset[Key]:
        return self._ask("known", backend=backend, keys=keys)

    def move(self, owner: str, file: str, place: Place) -> AudioFile:
        return self._ask("move", owner=owner, file=file, place=place)

    def find(self, files: Sequence[str]) -> Sequence[AudioFile]:
        return self._ask("find", files=files)

    def find_key(self, key: Key, *, backend: str | None = None) -> AudioFile:
        return self._ask("find_key", key=key, backend=backend)

    def list(
        self,
        owner: str | None,
        place: Place = ANYWHERE,
        *,
        after: str | None = None,
        limit: int = 500,
    ) -> Sequence[AudioFile]:
        return self._ask("list", owner=owner, place=place, after=after or None, limit=limit)

    def usage(self, owner: str, limits: Limits | None) -> Usage:
        return self._ask("usage", owner=owner, limits=limits)

    def override(self, owner: str) -> Override | None:
        return self._ask("override", owner=owner)

    def set_override(self, owner: str, override: Override | None) -> None:
        self._ask("set_override", owner=owner, override=override)

    def audit(self, owner: str | None = None) -> Sequence[Drift]:
        return self._ask("audit", owner=owner)

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        self._calls.close()

    def _ask(self, method: str, **arguments: Any) -> Any:
        return codec.read_answer(method, self._calls.call(method, codec.write_request(method, arguments)))
