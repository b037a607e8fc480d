"""One owner at the counter of a catalog: says in one word what takes a request of ten fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import AudioFile, Limits, Place, Removal, Reservation, Usage
from audiostore.protocols import Catalog, Request, Written

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FULL = Limits(total=100)
"""The quota that customers have unless a test says otherwise: 100 bytes, so that sums can be read."""


class Customer:
    """An owner that no other test has, in a backend that no other test has: a catalog may serve many tests."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.name = f"alice-{new_id()}"
        self.backend = f"disk-{new_id()}"

    def asks(self, size: int = 10, **facts: Any) -> Request:
        """Make a request of *size* bytes, with any of its fields as *facts* say."""
        number = new_id()
        request = Request(
            id=number,
            owner=self.name,
            place=Place("p1", "1", "2"),
            filename="take.wav",
            key=Key(f"audio/{number}.wav"),
            backend=self.backend,
            size=size,
            content_type="audio/wav",
            limits=FULL,
            ttl=HOUR,
            sha256="ab" * 32,
            metadata={},
        )
        return replace(request, **facts)

    def reserves(self, size: int = 10, **facts: Any) -> Reservation:
        return self.catalog.reserve(self.asks(size, **facts))

    def finishes(
        self, reservation: Reservation, size: int | None = None, limits: Limits | None = FULL
    ) -> tuple[AudioFile, Sequence[Removal]]:
        """Commit what was reserved, or *size* bytes of it."""
        count = reservation.size if size is None else size
        written = Written(size=count, sha256=reservation.sha256, content_type=reservation.content_type)
        return self.catalog.commit(reservation.id, written, limits=limits)

    def stores(self, size: int = 10, **facts: Any) -> AudioFile:
        """Reserve and commit."""
        return self.finishes(self.reserves(size, **facts))[0]

    def deletes(self, *files: AudioFile) -> Sequence[Removal]:
        """Hide; the bytes, and so the charge, are still there."""
        return self.catalog.hide(self.name, [file.id for file in files])

    def sees(self) -> list[str]:
        """The ids of all files in the listing."""
        return [file.id for file in self.catalog.list(self.name)]

    def counts(self) -> tuple[int, int, int]:
        """Bytes used, bytes reserved, files."""
        usage = self.usage()
        return usage.used, usage.reserved, usage.files

    def usage(self, limits: Limits | None = FULL) -> Usage:
        return self.catalog.usage(self.name, limits)

    def due(self) -> list[Removal]:
        """Claim every removal that is due, and give those of this customer's backend."""
        found: list[Removal] = []
        while batch := self.catalog.claim(100, HOUR):
            found += [removal for removal in batch if removal.backend == self.backend]
        return found
