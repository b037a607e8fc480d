"""Links that a backend's server signed, remembered for a while: players and caches keep what they know by its URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from audiostore.keys import Key
from audiostore.models import SignedUrl

ROOM = 10_000
"""Links at most; then all are dropped, which costs one request each and needs no lock."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a link was asked for. Only an equal wish gets the same link."""

    backend: str
    key: Key
    expires: timedelta
    download_as: str | None


class LinkMemo:
    """Remembers a link for a quarter of its time. Each step is one dict operation, so threads need no lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[Wish, tuple[float, SignedUrl]] = {}

    def recall(self, wishes: Sequence[Wish]) -> dict[Key, SignedUrl]:
        now, kept = self._clock(), self._kept
        found = [(wish.key, kept[wish]) for wish in wishes if wish in kept]
        return {key: link for key, (until, link) in found if now < until}

    def keep(self, wishes: Sequence[Wish], links: Mapping[Key, SignedUrl]) -> None:
        if len(self._kept) + len(links) > ROOM:
            self._kept = {}
        now = self._clock()
        for wish in wishes:
            if wish.key in links:
                self._kept[wish] = (now + wish.expires.total_seconds() / 4, links[wish.key])
