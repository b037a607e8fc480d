"""Who and what is let in: told before a byte of a request's body is read; and how many files are examined at a time."""

from __future__ import annotations

import threading
from typing import NamedTuple, Protocol

from audiostore import Staged
from audiostore.protocols import Processor
from examples.shared.auth import Auth, User
from examples.shared.config import DOCUMENT, Config
from examples.shared.limits import RateLimit, check_size
from examples.shared.problems import Refused

OPEN = frozenset({"/api/auth/config", "/api/auth/login", "/api/auth/refresh"})
"""What needs no token; outside ``/api/`` nothing does."""


class Headers(Protocol):
    """A request's headers, as any framework has them."""

    def get(self, key: str, /) -> str | None: ...


class Asked(NamedTuple):
    """What of a request is looked at before its body is read; ``headers`` take a name in any case of letters."""

    path: str
    host: str
    address: str
    headers: Headers


class Admitted(NamedTuple):
    """``limit`` is how many bytes the body may have (None: any number); ``user`` who asks, where that is asked for."""

    limit: int | None
    user: User | None


class Admission:
    """Refuses what can be refused unread, the cheap things first, and then asks who it is."""

    def __init__(self, config: Config, auth: Auth) -> None:
        self._config, self._auth = config, auth
        self._rate = RateLimit(config.rate_limit)

    def __call__(self, asked: Asked) -> Admitted:
        """Let a request in.

        Raises:
            Refused: 403 a wrong host, 429 too many requests, 413 too large, 401 nobody who may.

        """
        if not self._config.check_host(asked.host):
            raise Refused(403, "Testing mode answers only on this machine.")
        self._rate(asked.address)
        limit: int | None = DOCUMENT
        if asked.path == "/api/upload":
            limit = self._config.max_request
        elif asked.path.startswith("/audio/"):
            limit = None  # the link itself says how much it may bring
        check_size(asked.headers.get("Content-Length"), limit)
        signed_in = asked.path.startswith("/api/") and asked.path not in OPEN
        return Admitted(limit, self._auth.user(asked.headers.get("Authorization")) if signed_in else None)


class InTurn:
    """A processor that takes two files at a time: each takes a process of its own, and fifty uploads would be fifty."""

    def __init__(self, processor: Processor) -> None:
        self._processor, self._room = processor, threading.BoundedSemaphore(2)

    def __call__(self, staged: Staged) -> Staged:
        with self._room:
            return self._processor(staged)
