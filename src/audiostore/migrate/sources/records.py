"""Files that a catalog has recorded: another store's, or the target's own that lie in another of its backends."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiostore.errors import ChecksumMismatch, NotFound
from audiostore.migrate.addresses import Addresses
from audiostore.migrate.protocols import Item
from audiostore.migrate.sources.protocol import Digests, Found, Incoming, Standing, title_of
from audiostore.models import AudioFile
from audiostore.staging import staging_area
from audiostore.store import AudioStore

_PAGE = 500


class RecordSource:
    """Every record of *store*, or those whose bytes lie in its backend called *backend*.

    With *switches* the store is the target, too: its records keep id and owner, and only get their bytes elsewhere.
    """

    backends: frozenset[str | None] | None = None

    def __init__(
        self, store: AudioStore, *, owner: str | None = None, backend: str | None = None, switches: bool = False
    ) -> None:
        self._store = store
        self._owner = owner
        self._only = backend
        self.switches = switches
        self.candidates = Addresses().candidates

    @property
    def title(self) -> str:
        backend = self._store.backend if self._only is None else self._store.backends[self._only]
        return f"records:{title_of(backend)}"

    def scan(self) -> Iterator[Found]:
        after = None
        while page := self._store.catalog.list(self._owner, after=after, limit=_PAGE):
            for each in page:
                if self._only in {None, each.backend}:
                    yield Found(address=each.id, name=each.key, size=each.size, owner=each.owner, place=each.place)
            after = page[-1].id

    def is_audio(self, found: Found) -> bool:
        return True

    @contextmanager
    def bring(self, item: Item, staging: Path | None, *, md5: bool = False) -> Generator[Incoming]:
        record = self._record(item)
        digests = Digests(md5=md5)
        with staging_area(staging) as area:
            with self._store.stream(record) as stream:
                staged = area.take(digests.passing(stream), filename=record.filename, content_type=record.content_type)
            if record.sha256 not in {None, staged.sha256}:
                raise ChecksumMismatch(f"file {record.id}", expected=str(record.sha256), actual=staged.sha256)
            yield Incoming(
                staged=staged.become(staged.path, duration=record.duration),
                md5=digests.md5,
                place=record.place,
                metadata=record.metadata,
                replaces=record if self.switches else None,
                facts={"key": record.key, "backend": record.backend},
            )

    def look(self, item: Item, facts: Mapping[str, Any]) -> Standing:
        try:
            return "same" if self._record(item).key == facts.get("key") else "changed"
        except NotFound:
            return "gone"

    def erase(self, item: Item) -> bool:
        if self.switches or self.look(item, item.facts) != "same":
            return False
        self._store.delete(item.address, owner=item.owner)
        return True

    def close(self) -> None:
        """The store is its maker's."""

    def _record(self, item: Item) -> AudioFile:
        return self._store.find(item.address, owner=item.owner)
