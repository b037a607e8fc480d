"""The facade: one class, told in chapters that follow a file's life. It knows the seams, never what stands behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

from audiostore import settings
from audiostore.events import Handler
from audiostore.store.accounts import Accounts
from audiostore.store.batch import Batches
from audiostore.store.direct import DirectUploads
from audiostore.store.parts import Options
from audiostore.store.upkeep import Upkeep


class AudioStore(DirectUploads, Batches, Accounts, Upkeep):
    """Keep people's audio: one store over a backend (where bytes live) and a catalog (who owns what).

    >>> store = AudioStore.local("uploads")                     # disk + SQLite, no set-up
    >>> take = store.put("take.wav", owner="alice", project="p1", chapter=1, section=2)
    >>> store.usage("alice").files
    1

    Args:
        backend: where new bytes go.
        catalog: who owns what, how much is used, what is in flight.
        backends: further ones that can be read, by the name that records bear.
        fallback: takes new bytes while *backend* is ``Unavailable``, and only then; ``promote`` brings them over.
        quota: owner -> ``Limits``; default 500 MB in all, 50 MB per file, or what the catalog itself says.
        paths: ``Upload`` -> key; default ``ChapterSectionPath()``.
        process: ``Staged -> Staged``, e.g. to refuse or convert; default none: nothing is decoded.
        secret: signs the links that the app serves itself; a list rotates, oldest first; 16 bytes at least.
        base_url: where the app serves them, e.g. ``"/audio"`` or ``"https://example.org/audio"``.
        ttl: how long room stays reserved without a sign of life.
        hold: how long a put counts as alive without a sign of life, for others with its idempotency key.
        cache_control: the header that ``serve`` sends with a file.
        clock: POSIX seconds, for links; the catalog has its own.

    One store serves a whole process: it is safe across threads and after ``fork``, and a context manager.

    """

    @classmethod
    def local(cls, root: str | os.PathLike[str], **options: Unpack[Options]) -> Self:
        """Make a store on one machine: files below *root*, catalog and staging in ``root/.audiostore``.

        *options* are those of ``AudioStore``: ``quota= paths= process= secret= base_url=`` … Without *secret*, one
        is made on first use and kept in ``root/.audiostore/secret`` (mode 0600), so links survive a restart.

        Raises:
            PermissionDenied: *root* can't be written.

        """
        backend, catalog = settings.local_backend(root), settings.embedded_catalog(root)
        if options.get("secret") is None:
            options["secret"] = settings.local_secret(root)
        return cls(backend, catalog, **options)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        tier_of: Callable[[str], str] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Make a store from environment variables (or *environ*); the docs have the table of them.

        *tier_of* says who is ``"free"`` and who is ``"paid"``; without it everyone is free. *options* are those of
        ``AudioStore`` itself, and win over the environment.

        Raises:
            ConfigurationError: a variable that is missing, malformed or contradicts another; the message names it.

        """
        parts: dict[str, Any] = {**settings.Settings.from_env(environ).parts(tier_of=tier_of), **options}
        return cls(**parts)

    @classmethod
    def from_supabase(
        cls,
        client: Any,
        *,
        bucket: str = "audio-files",
        **options: Unpack[Options],
    ) -> Self:
        """Make a store over the ``supabase.Client`` that the app has: files in its *bucket*, the catalog beside them.

        The client needs the service key, the project audiostore's tables (``audiostore schema``). *options* are those
        of ``AudioStore``.

        Raises:
            ConfigurationError: not a client, or the extra is missing: ``pip install "audiostore[supabase]"``.

        """
        backend, catalog = settings.supabase_parts(client, bucket)
        return cls(backend, catalog, **options)

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Call *handler* with each ``Event`` of that *name* (``"*"``: of every name); gives back a way to stop.

        >>> stop = store.on("put.finished", lambda event: print(event.owner, event.bytes, event.duration))
        """
        return self.events.on(name, handler)

    def close(self) -> None:
        """Let go of files and connections. A closed store opens them again when it is used."""
        for backend in self.backends.values():
            backend.close()
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
