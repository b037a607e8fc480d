"""The Supabase project that the settings name, and what its keys say of themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from audiostore.access import STORAGE, claims, with_key
from audiostore.backends.supabase import SupabaseBackend
from audiostore.backends.supabase.server import Server
from audiostore.errors import ConfigurationError
from audiostore.settings import Settings
from audiostore.transport import Timeouts, Transport

BRIEF = Timeouts(
    connect=timedelta(seconds=5),
    read=timedelta(seconds=10),
    write=timedelta(seconds=10),
    total=timedelta(seconds=20),
    tries=2,
)
"""Somebody waits for the answer: two tries, then it is told."""
HOSTED = "supabase.co"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project's address, keys and bucket, as set."""

    url: str
    service_key: str = field(repr=False)
    public_key: str | None = field(repr=False)
    bucket: str
    max_file_size: int | None

    @classmethod
    def of(cls, settings: Settings) -> Project | None:
        """Give the project of *settings*, if they name one.

        Raises:
            ConfigurationError: half of it is missing.

        """
        url, key = settings.supabase_url, settings.supabase_service_key
        if url is None and key is None:
            return None
        if url is None or key is None:
            there, missing = ("SUPABASE_SERVICE_KEY", "SUPABASE_URL")[:: 1 if url is None else -1]
            raise ConfigurationError(f"{there} is set without {missing}")
        return cls(
            url=url,
            service_key=key,
            public_key=settings.supabase_anon_key,
            bucket=settings.supabase_bucket,
            max_file_size=settings.max_file_size,
        )

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def ref(self) -> str | None:
        """The project's own part of its address, where Supabase hosts it."""
        name, dot, rest = self.host.partition(".")
        return name if dot and rest == HOSTED else None

    @property
    def storage(self) -> str:
        """The address of the storage API."""
        url = self.url.rstrip("/")
        return url if url.endswith(STORAGE) else url + STORAGE

    @property
    def timeouts(self) -> Timeouts:
        return BRIEF

    def backend(self, key: str) -> SupabaseBackend:
        """Give its bucket, as who has *key* sees it."""
        return SupabaseBackend(self.url, key, self.bucket, timeouts=self.timeouts)

    def server(self, key: str) -> Server:
        """Give its storage API, as who has *key* sees it."""
        return Server(with_key(self.url, key, None), self.bucket, Transport(self.timeouts))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """What a key says of itself, unverified. ``role`` is None if it is no key of Supabase's."""

    role: str | None
    ref: str | None = None
    expires_at: datetime | None = None

    @classmethod
    def of(cls, key: str) -> KeyFacts:
        """Read *key*: a JWT, or one of the newer kind, whose beginning tells its role."""
        if named := re.match(r"sb_(secret|publishable)_.", key):
            return cls(role="service_role" if named[1] == "secret" else "anon")
        told = claims(key)
        role, ref, expiry = told.get("role"), told.get("ref"), told.get("exp")
        try:
            expires_at = datetime.fromtimestamp(expiry, UTC) if isinstance(expiry, int | float) else None
        except (OverflowError, ValueError, OSError):
            expires_at = None  # beyond the calendar
        return cls(
            role=role if isinstance(role, str) else None,
            ref=ref if isinstance(ref, str) else None,
            expires_at=expires_at,
        )
