"""How many requests one address may make: told before anything is read or verified."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from examples.shared.problems import Refused

_MOST = 10_000
"""Addresses that are remembered at a time."""


class RateLimit:
    """So many requests per minute for each address; as many at once, if it was silent before.

    Each process counts for itself. Behind a proxy the address is the proxy's, unless the server takes the client's
    from a header that the proxy sets (gunicorn: ``--forwarded-allow-ips``, uvicorn: ``--proxy-headers``).

    Raises:
        Refused: 429, from the call, with the seconds to wait.

    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = per_minute / 60, float(per_minute), clock
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, address: str) -> None:
        if not self._most:
            return
        now = self._clock()
        with self._lock:
            left, then = self._left.pop(address, (self._most, now))
            left = min(self._most, left + (now - then) * self._rate)
            # Last in the dict, so the first one is who was silent for the longest.
            self._left[address] = (max(0.0, left - 1) if left >= 1 else left, now)
            if len(self._left) > _MOST:
                del self._left[next(iter(self._left))]
        if left < 1:
            raise Refused(429, "Too many requests. Please wait a little.", retry_after=(1 - left) / self._rate)


def check_size(length: str | None, limit: int | None) -> None:
    """Refuse a request that says itself that it is larger than *limit* bytes; *length* is its Content-Length.

    Raises:
        Refused: 413, or 400 for a length that is none.

    """
    if length is None or limit is None:
        return
    if not (length.isascii() and length.isdecimal()):
        raise Refused(400, "Content-Length is no number.")
    if len(length) > len(str(limit)) or int(length) > limit:
        raise Refused(413, "The file is too large.", limit=limit)
