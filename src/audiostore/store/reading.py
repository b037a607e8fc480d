"""Chapter three: files are found, read and linked to."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from audiostore.errors import AudioStoreError, ChecksumMismatch, InvalidKey, NotFound, from_os_error
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import AudioFile, ObjectStat, Place, PlaceId, SignedUrl, parse_text
from audiostore.protocols import Backend, Progress
from audiostore.signing import Link
from audiostore.store.direct import HOUR
from audiostore.store.memo import Wish
from audiostore.store.parts import StoreParts
from audiostore.streams import CHUNK, ByteStream, SeekableFile

PAGE = 500


class Reading(StoreParts):
    """``find list exists stat``, ``get stream open download_to``, ``url urls``. None of them changes anything.

    All take an ``AudioFile``, or an id together with ``owner``; a file of someone else is ``NotFound``.
    """

    def find(self, id: str | None = None, *, path: str | None = None, owner: str | None = None) -> AudioFile:
        """Look up a record by its id, or by the stored path (the key) that an app kept.

        ``find(id)`` without *owner* is the system's own look-up; everything else acts for *owner*.

        Raises:
            NotFound: no such file for *owner*; also for a path that could never have been a key.
            TypeError: neither or both of *id* and *path*, or a *path* without *owner*.

        """
        if (id is None) == (path is None):
            raise TypeError("give an id or path=, one of them")
        if path is not None:
            if owner is None:
                raise TypeError("pass owner= with a path: who is asking?")
            return self._find_path(path, owner)
        found = self.catalog.find([parse_text("id", id or "")])
        if not found or (owner is not None and found[0].owner != owner):
            raise NotFound(f"file {id}")
        return found[0]

    def list(
        self,
        *,
        owner: str,
        project: PlaceId = None,
        chapter: PlaceId = None,
        section: PlaceId = None,
        after: str | None = None,
    ) -> Iterator[AudioFile]:
        """Give *owner*'s files, oldest first, fetched page by page; places that are not given don't restrict.

        For pages of your own: ``itertools.islice(store.list(owner=…, after=last.id), 20)``.
        """
        owner, place = parse_text("owner", owner), Place.of(project, chapter, section)
        return self._pages(owner, place, after)

    def exists(self, file: AudioFile | str, *, owner: str | None = None) -> bool:
        """Tell whether the file is there, record and bytes. Raises Unavailable if that can't be known."""
        try:
            self.stat(file, owner=owner)
        except NotFound:
            return False
        return True

    def stat(self, file: AudioFile | str, *, owner: str | None = None) -> ObjectStat:
        """Look at the stored object itself: size in bytes, time of writing, etag as its backend tells them."""
        return self._follow(file, owner, lambda record: self._backend(record.backend).stat(record.key))

    def get(self, file: AudioFile | str, *, owner: str | None = None) -> bytes:
        """Give all bytes at once. For long files prefer ``stream``, ``open`` or ``download_to``: they need no memory.

        Raises:
            NotFound: as everywhere. ChecksumMismatch: the bytes are not those that were stored.

        """
        record, stream = self._follow(file, owner, self._read)
        with stream:
            content = b"".join(stream)
        verify(record, hashlib.sha256(content).hexdigest())
        return content

    def stream(
        self, file: AudioFile | str, start: int = 0, end: int | None = None, *, owner: str | None = None
    ) -> ByteStream:
        """Iterate over the bytes from *start* to *end* (exclusive; ``None``: the end) in chunks; ``.length`` in all.

        Close it (or use ``with``) if you stop early. Raises NotFound here, not at the first chunk.
        """
        return self._follow(file, owner, lambda record: self._backend(record.backend).read(record.key, start, end))

    def open(self, file: AudioFile | str, *, owner: str | None = None) -> io.BufferedReader:
        """Open for reading, seekable, with bounded read-ahead: what decoders and zip writers want."""
        record = self._resolve(file, owner)
        read = partial(self._backend(record.backend).read, record.key)
        return io.BufferedReader(SeekableFile(read, record.size, name=record.filename), CHUNK)

    def download_to(
        self,
        file: AudioFile | str,
        path: str | os.PathLike[str],
        *,
        owner: str | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Write the bytes to *path*: all or nothing, verified by sha256, over a file that is there.

        Raises:
            ChecksumMismatch: the bytes are not those that were stored; *path* is as it was.
            StorageFull, PermissionDenied: the disk says no; *path* is as it was.

        """
        (record, stream), target = self._follow(file, owner, self._read), Path(path)
        with self.events.operation("download", owner=record.owner, file=record.id, bytes=record.size):
            beside = target.with_name(f".{new_id()}.part")
            try:
                with stream, beside.open("xb") as out:
                    digest = hashlib.sha256()
                    for chunk in stream:
                        digest.update(chunk)
                        out.write(chunk)
                        if progress is not None:
                            progress(out.tell(), None)
                verify(record, digest.hexdigest())
                beside.replace(target)
            except AudioStoreError:
                raise  # some of them are OSErrors too
            except OSError as error:
                raise from_os_error(error, str(target)) from error
            finally:
                beside.unlink(missing_ok=True)
        return target

    def url(
        self,
        file: AudioFile | str,
        *,
        owner: str | None = None,
        expires: timedelta = HOUR,
        download_as: str | None = None,
    ) -> SignedUrl:
        """Sign a link that plays, seeks and needs no login, until at most *expires* from now (``.expires_at`` tells).

        Equal calls within a quarter of *expires* give the same link, so that players and caches keep what they have.
        *download_as* makes browsers save the file, under that name.

        >>> link = store.url(take, expires=timedelta(minutes=10))

        Raises:
            NotFound: as everywhere. ConfigurationError: the app serves its own links and the store has no secret.
            ValueError: *expires* is not in the future.

        """
        return self.urls([file], owner=owner, expires=expires, download_as=download_as)[0]

    def urls(
        self,
        files: Sequence[AudioFile | str],
        *,
        owner: str | None = None,
        expires: timedelta = HOUR,
        download_as: str | None = None,
    ) -> Sequence[SignedUrl]:
        """Sign a whole chapter at once, in the order of *files*; one request where the backend is far away.

        Raises NotFound, which names the first one, if any of them is not there (any more): no list with holes, whose
        links would belong to other files than the caller thinks. ``list`` afresh, then, or sign the rest one by one.
        """
        if expires <= timedelta(0):
            raise ValueError("expires must be in the future")
        records = self._resolve_all(files, owner)
        signed: dict[tuple[str, Key], SignedUrl] = {}
        for name in {record.backend for record in records}:
            keys = [record.key for record in records if record.backend == name]
            links = self._sign(name, keys, expires, download_as)
            signed |= {(name, key): link for key, link in links.items()}
        try:
            return [signed[record.backend, record.key] for record in records]
        except KeyError as missing:
            raise NotFound(str(missing.args[0][1])) from None

    def _sign(
        self, name: str, keys: Sequence[Key], expires: timedelta, download_as: str | None
    ) -> dict[Key, SignedUrl]:
        backend = self._backend(name)
        if backend.capabilities.signs:
            return self._sign_there(backend, keys, expires, download_as)
        until = self.signer.expiry(expires)
        links = [Link(method="GET", backend=name, key=key, expires_at=until, download_as=download_as) for key in keys]
        return {link.key: SignedUrl(f"{self.base_url}/{self.signer.sign(link)}", until) for link in links}

    def _sign_there(
        self, backend: Backend, keys: Sequence[Key], expires: timedelta, download_as: str | None
    ) -> dict[Key, SignedUrl]:
        wishes = [Wish(backend.name, key, expires, download_as) for key in keys]
        links = self._links.recall(wishes)
        if unknown := [wish for wish in wishes if wish.key not in links]:
            fresh = backend.sign([wish.key for wish in unknown], expires=expires, download_as=download_as)
            self._links.keep(unknown, fresh)
            links |= fresh
        return links

    def _read(self, record: AudioFile) -> tuple[AudioFile, ByteStream]:
        return record, self._backend(record.backend).read(record.key)

    def _find_path(self, path: str, owner: str) -> AudioFile:
        try:
            record = self.catalog.find_key(Key(path))
        except InvalidKey as error:
            raise NotFound(f"path {path[:80]!r}") from error
        if record.owner != owner:
            raise NotFound(f"path {path[:80]!r}")
        return record

    def _pages(self, owner: str, place: Place, after: str | None) -> Iterator[AudioFile]:
        while page := self.catalog.list(owner, place, after=after, limit=PAGE):
            yield from page
            after = page[-1].id


def verify(record: AudioFile, actual: str) -> None:
    if record.sha256 is not None and actual != record.sha256:
        raise ChecksumMismatch(f"file {record.id}", expected=record.sha256, actual=actual)
