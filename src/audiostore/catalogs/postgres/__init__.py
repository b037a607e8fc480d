"""The accounting in Postgres: SQL functions, called over Supabase's PostgREST or over a direct connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from audiostore import access
from audiostore.catalogs.postgres import codec
from audiostore.catalogs.postgres.schema import SchemaFacts
from audiostore.errors import ConfigurationError
from audiostore.keys import Key
from audiostore.models import (
    ANYWHERE,
    AudioFile,
    Limits,
    Override,
    Place,
    Removal,
    Reservation,
    Usage,
)
from audiostore.protocols import Request, Written
from audiostore.reports import Drift
from audiostore.transport import Timeouts

_T = TypeVar("_T")


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

    has_plans = True

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    @classmethod
    def connect(cls, dsn: str, *, connections: int = 16, timeouts: Timeouts | None = None) -> PostgresCatalog:
        """Talk to any Postgres from version 15 on, directly: ``postgresql://user@host/database``.

        At most so many *connections* are open at once; nothing is opened before the first call.

        Raises:
            ConfigurationError: psycopg is missing, or *dsn* is malformed.

        """
        from audiostore.catalogs.postgres.direct import DirectCalls

        return cls(DirectCalls(dsn, connections=connections, timeouts=timeouts or Timeouts()))

    @classmethod
    def from_supabase(
        cls,
        url: str | None = None,
        key: str | None = None,
        *,
        client: Any = None,
        timeouts: Timeouts | None = None,
    ) -> PostgresCatalog:
        """Call the functions of a Supabase project over its REST API, as ``SupabaseBackend`` is made.

        Args:
            url: the project, ``https://….supabase.co``.
            key: its service key, ``sb_secret_…`` or the JWT of ``service_role``.
            client: a ``supabase.Client`` with that key instead of *url* and *key*.
            timeouts: see ``Timeouts``.

        Raises:
            ConfigurationError: both or neither of *client* and *url*, or a key that is not the server's.

        """
        from audiostore.catalogs.postgres.rest import RestCalls

        if client is not None and url is None and key is None:
            accessing = access.with_client(client, api=access.REST)
        elif client is None and url is not None and key is not None:
            accessing = access.with_key(url, key, api=access.REST)
        else:
            raise ConfigurationError("PostgresCatalog.from_supabase takes client=, or url= and key= together")
        return cls(RestCalls(accessing, timeouts=timeouts or Timeouts()))

    def reserve(self, request: Request) -> Reservation:
        return self._ask(codec.RESERVE, request=request)

    def extend(self, reservation: str, *, ttl: timedelta, hold: timedelta, resume: str | None = None) -> Reservation:
        return self._ask(codec.EXTEND, reservation=reservation, ttl=ttl, hold=hold, resume=resume)

    def commit(
        self, reservation: str, written: Written, *, limits: Limits | None, only_over: Key | None = None
    ) -> tuple[AudioFile, Sequence[Removal]]:
        return self._ask(codec.COMMIT, reservation=reservation, written=written, limits=limits, only_over=only_over)

    def release(self, reservation: str, *, erase: bool = True) -> Sequence[Removal]:
        return self._ask(codec.RELEASE, reservation=reservation, erase=erase)

    def reservation(self, reservation: str) -> Reservation:
        return self._ask(codec.RESERVATION, reservation=reservation)

    def pending(self, owner: str) -> Sequence[Reservation]:
        return self._ask(codec.PENDING, owner=owner)

    def expire(self, limit: int) -> int:
        return self._ask(codec.EXPIRE, limit=limit)

    def hide(self, owner: str, files: Sequence[str]) -> Sequence[Removal]:
        return self._ask(codec.HIDE, owner=owner, files=files)

    def forget(self, removals: Sequence[str]) -> None:
        self._ask(codec.FORGET, removals=removals)

    def postpone(self, removals: Sequence[str], delay: timedelta) -> None:
        self._ask(codec.POSTPONE, removals=removals, delay=delay)

    def claim(self, limit: int, lease: timedelta) -> Sequence[Removal]:
        return self._ask(codec.CLAIM, limit=limit, lease=lease)

    def discard(self, backend: str, keys: Sequence[Key], delay: timedelta) -> None:
        self._ask(codec.DISCARD, backend=backend, keys=keys, delay=delay)

    def known(self, backend: str, keys: Sequence[Key]) -> frozenset[Key]:
        return self._ask(codec.KNOWN, backend=backend, keys=keys)

    def adopt(self, files: Sequence[AudioFile]) -> frozenset[str]:
        return self._ask(codec.ADOPT, files=files)

    def move(self, owner: str, file: str, place: Place) -> AudioFile:
        return self._ask(codec.MOVE, owner=owner, file=file, place=place)

    def find(self, files: Sequence[str]) -> Sequence[AudioFile]:
        return self._ask(codec.FIND, files=files)

    def find_key(self, key: Key, *, backend: str | None = None) -> AudioFile:
        return self._ask(codec.FIND_KEY, key=key, backend=backend)

    def list(
        self,
        owner: str | None,
        place: Place = ANYWHERE,
        *,
        after: str | None = None,
        limit: int = 500,
    ) -> Sequence[AudioFile]:
        return self._ask(codec.LIST, owner=owner, place=place, after=after or None, limit=limit)

    def usage(self, owner: str, limits: Limits | None) -> Usage:
        return self._ask(codec.USAGE, owner=owner, limits=limits)

    def override(self, owner: str) -> Override | None:
        return self._ask(codec.OVERRIDE, owner=owner)

    def set_override(self, owner: str, override: Override | None) -> None:
        self._ask(codec.SET_OVERRIDE, owner=owner, override=override)

    def audit(self, owner: str | None = None) -> Sequence[Drift]:
        return self._ask(codec.AUDIT, owner=owner)

    def recount(self, owner: str | None = None) -> Sequence[Drift]:
        return self._ask(codec.RECOUNT, owner=owner)

    def plan(self, owner: str) -> Limits | None:
        return self._ask(codec.PLAN, owner=owner)

    def schema(self) -> SchemaFacts:
        """Tell what was applied to the database.

        Raises:
            ConfigurationError: nothing was, or a version that can't tell yet. Unavailable, PermissionDenied.

        """
        told = self.calls.call(codec.SCHEMA, {})["result"]
        return SchemaFacts(
            version=told["version"], bucket=told["bucket"], watches_objects=bool(told["watches_objects"])
        )

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        self.calls.close()

    def _ask(self, method: codec.Method[_T], **arguments: Any) -> _T:
        return codec.read_answer(method, self.calls.call(method.name, codec.write_request(method, arguments)))
