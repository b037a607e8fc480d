"""The objects of a backend that nobody recorded: a bucket, or a disk, which only an app's projects name."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiostore import media
from audiostore.errors import InvalidKey, NotFound
from audiostore.keys import Key
from audiostore.migrate.addresses import Addresses
from audiostore.migrate.protocols import Item
from audiostore.migrate.sources.protocol import Digests, Found, Incoming, Standing, title_of
from audiostore.protocols import Backend
from audiostore.staging import staging_area


class BucketSource:
    """Every object of *backend*, by its key."""

    switches = False

    def __init__(self, backend: Backend, *, prefixes: Sequence[str] = ()) -> None:
        self._backend = backend
        self.candidates = Addresses(prefixes=prefixes).candidates

    @property
    def title(self) -> str:
        return f"bucket:{title_of(self._backend)}"

    @property
    def backends(self) -> frozenset[str | None] | None:
        return frozenset({None, "", self._backend.name})

    def scan(self) -> Iterator[Found]:
        for each in self._backend.list():
            yield Found(address=each.key, name=each.key, size=each.size)

    def is_audio(self, found: Found) -> bool:
        kind = media.type_of_name(found.name)
        if kind is None:
            try:
                with self._backend.read(Key(found.address), 0, media.SNIFF_BYTES) as stream:
                    kind = media.sniff(b"".join(stream))
            except NotFound:
                return False
        return kind is not None and kind.startswith(("audio/", "video/"))

    @contextmanager
    def bring(self, item: Item, staging: Path | None, *, md5: bool = False) -> Generator[Incoming]:
        try:
            key = Key(item.address)
        except InvalidKey as error:
            raise NotFound(item.address) from error
        digests, seen = Digests(md5=md5), self._backend.stat(key)
        with staging_area(staging) as area:
            with self._backend.read(key) as stream:
                kind = seen.content_type if seen.content_type not in {None, "application/octet-stream"} else None
                staged = area.take(digests.passing(stream), filename=key.name, content_type=kind)
            yield Incoming(staged=staged, md5=digests.md5, facts={"size": seen.size, "etag": seen.etag})

    def look(self, item: Item, facts: Mapping[str, Any]) -> Standing:
        try:
            seen = self._backend.stat(Key(item.address))
        except NotFound:
            return "gone"
        return "same" if (seen.size, seen.etag) == (facts.get("size"), facts.get("etag")) else "changed"

    def erase(self, item: Item) -> bool:
        return self.look(item, item.facts) == "same" and bool(self._backend.delete([Key(item.address)]))

    def close(self) -> None:
        """The backend is its maker's."""
