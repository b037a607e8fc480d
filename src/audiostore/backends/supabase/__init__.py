"""Objects in a bucket of Supabase Storage."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from audiostore.access import with_client, with_key
from audiostore.backends.supabase.bucket import AUDIO_TYPES, BucketReport, ensure
from audiostore.backends.supabase.changing import Changes
from audiostore.backends.supabase.links import UPLOAD_LIFE, Links
from audiostore.backends.supabase.listing import list_objects
from audiostore.backends.supabase.reading import read_object
from audiostore.backends.supabase.sending import CHUNK_SIZE, Sending
from audiostore.backends.supabase.server import Server
from audiostore.errors import ConfigurationError, NotFound
from audiostore.keys import Key
from audiostore.models import ObjectStat, SignedUrl, Staged, UploadGrant, parse_text
from audiostore.protocols import Capabilities, Progress
from audiostore.sizes import Size, parse_size
from audiostore.streams import CHUNK, ByteStream, SeekableFile
from audiostore.transport import Timeouts, Transport

CACHE_CONTROL = "max-age=31536000, immutable"
"""Bytes under a key never change, so whoever may see them may keep them."""


class SupabaseBackend:
    """Keep objects in a bucket of Supabase Storage: streaming, resuming, over one pool of HTTP/1.1 connections.

    >>> backend = SupabaseBackend("https://abc.supabase.co", key="service-key")
    >>> backend.name
    'supabase'

    Args:
        url: the project, ``https://….supabase.co``.
        key: the service key; or the public key, together with *token*.
        bucket: a private bucket; ``ensure_bucket`` makes it.
        client: a ``supabase.Client`` or ``AsyncClient`` instead of *url* and *key*. Its address and headers are read
            at each call, so whoever is signed in there by then acts; it is neither called nor closed.
        token: a user's JWT, to act as that user: row level security decides then. What the user may not see is
            ``NotFound``, what they may not do is ``PermissionDenied``, and so is a token that has expired.
        cache_control: what the server tells browsers about an object. For uploads in chunks it takes the
            ``max-age`` alone, so those come without ``immutable``.
        tus_threshold: files up to this size are sent in one request; above it in chunks that survive a restart.
        chunk_size: of those chunks. The hosted service asks for exactly 6 MB.
        timeouts: see ``Timeouts``.

    The server's "create only" is not atomic: of two writers of one key that overlap, both may hear that they won. The
    keys of a store are unique, so that does not happen there.

    One backend serves a whole process: it is safe across threads and after ``fork``, and a context manager. Without a
    store around it, ``exists``, ``open``, ``delete_prefix`` and, for links, ``sign`` are here.

    Raises:
        ConfigurationError: both or neither of *client* and *url*, or one that is malformed.

    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        bucket: str = "audio-files",
        *,
        name: str = "supabase",
        client: Any = None,
        token: str | None = None,
        cache_control: str = CACHE_CONTROL,
        chunk_size: Size = CHUNK_SIZE,
        tus_threshold: Size = 4 * CHUNK_SIZE,
        timeouts: Timeouts | None = None,
    ) -> None:
        if (client is None) == (url is None and key is None):
            raise ConfigurationError("SupabaseBackend takes client=, or url= and key=")
        if client is not None:
            accessing = with_client(client, token)
        elif url is None or key is None:
            raise ConfigurationError("SupabaseBackend takes url= and key= together")
        else:
            accessing = with_key(url, key, token)
        self._name = parse_text("name", name)
        self._server = Server(accessing, parse_text("bucket", bucket), Transport(timeouts or Timeouts()))
        self._changes = Changes(self._server)
        self._links = Links(self._server)
        self._sending = Sending(
            self._server,
            cache_control=cache_control,
            chunk_size=max(1, parse_size(chunk_size)),
            tus_threshold=parse_size(tus_threshold),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r}, bucket={self._server.bucket!r})"

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(signs=True, upload_life=UPLOAD_LIFE)

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        return self._sending.write(key, staged, resume, progress)

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        return read_object(self._server, key, start, end)

    def stat(self, key: Key) -> ObjectStat:
        return self._server.stat(key)

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        return self._changes.delete(keys)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        return list_objects(self._server, f"{Key(prefix)}/" if prefix else "")

    def copy(self, source: Key, target: Key) -> ObjectStat:
        return self._changes.copy(source, target)

    def move(self, source: Key, target: Key) -> ObjectStat:
        return self._changes.move(source, target)

    def sign(
        self, keys: Sequence[Key], *, expires: timedelta, download_as: str | None = None
    ) -> Mapping[Key, SignedUrl]:
        return self._links.sign(keys, expires, download_as)

    def sign_upload(
        self, key: Key, *, size: int, content_type: str, expires: timedelta, reservation: str
    ) -> UploadGrant:
        return self._links.sign_upload(
            key,
            content_type,
            expires,
            reservation,
            cache_control=self._sending.cache_control,
            chunk_size=self._sending.chunk_size,
        )

    def exists(self, key: Key) -> bool:
        """Tell whether there is such an object. ``False`` only if the server says so, and of the object.

        Raises:
            PermissionDenied: it does not take our token. ConfigurationError: there is no bucket to look in.
            Unavailable: it can't be known now.

        """
        try:
            self.stat(key)
        except NotFound:
            return False
        return True

    def open(self, key: Key) -> io.BufferedReader:
        """Open for reading, seekable, with bounded read-ahead. Raises NotFound here, not at the first read."""
        size = self.stat(key).size
        return io.BufferedReader(SeekableFile(partial(self.read, key), size, name=key), CHUNK)

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object below a folder (``"alice/p1"``), and tell how many went.

        Objects that come meanwhile may stay. What row level security hides from us, or keeps us from deleting, stays
        and is not counted. Doing it again finishes what broke off.

        Raises:
            InvalidKey: no folder, or the whole bucket, which nobody means. Unavailable: some of it may be gone.

        """
        folder = Key(prefix)
        return self._changes.delete_all(each.key for each in self.list(folder))

    def ensure_bucket(
        self,
        *,
        max_file_size: Size | None = None,
        types: Sequence[str] = AUDIO_TYPES,
        change: bool = True,
        fix: bool = False,
    ) -> BucketReport:
        """Make the bucket, private and for audio only; one that exists is compared, and changed only with *fix*.

        With *change* false nothing is made or changed: the report tells what would be.

        >>> from audiostore.testing.supabase import mock_supabase
        >>> with mock_supabase() as fake:
        ...     fake.create_bucket("takes", public=True)
        ...     backend = SupabaseBackend(fake.url, fake.service_key, "takes")
        ...     found = backend.ensure_bucket(max_file_size="50 MB")
        ...     fixed = backend.ensure_bucket(max_file_size="50 MB", fix=True)
        >>> found.ok, found.differences["public"], found.differences["file_size_limit"]
        (False, (True, False), (None, 52428800))
        >>> fixed.ok, sorted(fixed.changed), fixed.differences
        (True, ['allowed_mime_types', 'file_size_limit', 'public'], {})

        Args:
            max_file_size: the bucket's limit for one file; ``None`` leaves it to the project.
            types: the media types it takes, with ``*`` for any of a kind.
            change: make a bucket that is missing.
            fix: change what differs in one that exists.

        Raises:
            PermissionDenied: that takes the service key.
            ConfigurationError: *max_file_size* is over the limit of the whole project.

        """
        limit = None if max_file_size is None else parse_size(max_file_size)
        return ensure(self._server, limit, types, change=change, fix=fix)

    def close(self) -> None:
        self._server.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
