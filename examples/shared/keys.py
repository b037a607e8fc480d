"""The public keys of a Supabase project (JWKS): fetched when they are needed, and not more often than that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import jwt

_FRESH: Final = 600.0
"""Seconds until the keys are fetched anew: a key that was revoked is accepted no longer than that."""
_PAUSE: Final = 30.0
"""Seconds between two attempts, whatever tokens ask for: made-up key ids must not become requests of ours."""


class PublicKeys:
    """Finds the key of a token's header. *fetch* gives the key set, as JSON."""

    ALGORITHMS: ClassVar[list[str]] = ["ES256", "RS256"]

    def __init__(self, fetch: Callable[[], dict[str, Any]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = threading.Lock()

    def of(self, head: Mapping[str, Any]) -> jwt.PyJWK:
        """Give the key that *head* names.

        Raises:
            jwt.InvalidTokenError: an algorithm or a key that the project does not have.
            Refused: 503, the keys can't be fetched, and there are none from before.

        """
        name, algorithm = head.get("kid"), head.get("alg")
        if algorithm not in self.ALGORITHMS or not isinstance(name, str):
            raise jwt.InvalidTokenError("no key of this project")
        with self._lock:
            now = self._clock()
            if (now - self._fetched >= _FRESH or name not in self._keys) and now - self._tried >= _PAUSE:
                self._tried = now
                self._keys = _parsed(self._fetch())
                self._fetched = now
            key = self._keys.get(name)
        if key is None or key.algorithm_name != algorithm:
            raise jwt.InvalidTokenError("no key of this project")
        return key


def _parsed(content: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    try:
        keys = jwt.PyJWKSet.from_dict(dict(content)).keys
    except jwt.PyJWTError:
        return {}
    return {each.key_id: each for each in keys if each.key_id and each.algorithm_name in PublicKeys.ALGORITHMS}
