"""What every chapter of the facade shares: the parts behind the seams, and how a caller's words are resolved."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TypeAlias, TypedDict, TypeVar

from audiostore.errors import AudioStoreError, ConfigurationError, NotFound, Unavailable
from audiostore.events import Event, Events
from audiostore.keys import Key
from audiostore.models import AudioFile, Limits, Removal, Upload, parse_text
from audiostore.paths import ChapterSectionPath
from audiostore.protocols import Backend, Catalog, PathBuilder, Processor, QuotaPolicy
from audiostore.quota import DEFAULT_QUOTA, CatalogQuota
from audiostore.signing import LinkSigner
from audiostore.store.memo import LinkMemo

_T = TypeVar("_T")

_log = logging.getLogger("audiostore")

CACHE_CONTROL = "private, max-age=31536000, immutable"
"""Bytes under a key never change, so whoever may see them may keep them."""


Secret: TypeAlias = str | bytes | Sequence[str | bytes]


class Options(TypedDict, total=False):
    """What every way to make a store takes; ``AudioStore`` says what each is for."""

    backends: Iterable[Backend]
    fallback: Backend | None
    quota: QuotaPolicy | None
    paths: PathBuilder | None
    process: Processor | None
    secret: Secret | None
    base_url: str
    ttl: timedelta
    hold: timedelta
    cache_control: str
    clock: Callable[[], float]


class StoreParts:
    """The parts of one store. ``AudioStore`` documents the arguments."""

    def __init__(
        self,
        backend: Backend,
        catalog: Catalog,
        *,
        backends: Iterable[Backend] = (),
        fallback: Backend | None = None,
        quota: QuotaPolicy | None = None,
        paths: PathBuilder | None = None,
        process: Processor | None = None,
        secret: Secret | None = None,
        base_url: str = "/audio",
        ttl: timedelta = timedelta(minutes=15),
        hold: timedelta = timedelta(seconds=30),
        cache_control: str = CACHE_CONTROL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if min(ttl, hold) <= timedelta(0):
            raise ConfigurationError("ttl and hold must be longer than nothing")
        self.backend = backend
        self.catalog = catalog
        self.fallback = fallback
        self.backends = _by_name((backend, *backends, *((fallback,) if fallback else ())))
        self.quota = quota or (CatalogQuota() if catalog.has_plans else DEFAULT_QUOTA)
        self.paths: PathBuilder = paths if paths is not None else ChapterSectionPath()
        self.process = process
        self.base_url = base_url.rstrip("/")
        self.ttl = ttl
        self.hold = hold
        self.cache_control = cache_control
        self.events = Events()
        self._links = LinkMemo(clock)
        self._signer = None if secret is None else LinkSigner(_as_list(secret), clock=clock)

    @property
    def signer(self) -> LinkSigner:
        """What signs and verifies the links that this app serves itself.

        Raises:
            ConfigurationError: the store was made without a secret.

        """
        if self._signer is None:
            raise ConfigurationError(
                "links that this app serves need a secret: AudioStore(secret=…) or AUDIOSTORE_SECRET in the environment"
            )
        return self._signer

    def _limits(self, owner: str) -> Limits | None:
        try:
            limits = self.quota(owner)
        except AudioStoreError:
            raise
        except Exception as error:
            # A quota that can't be read refuses; what the app's own function raised stays visible as the cause.
            raise Unavailable(f"the quota of owner {owner!r} can't be read", retryable=True) from error
        if limits is not None and not isinstance(limits, Limits):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"a quota policy gives Limits or None, not {type(limits).__name__}")
        return limits

    def _key(self, upload: Upload) -> Key:
        return Key(self.paths(upload))

    def _resolve(self, file: AudioFile | str, owner: str | None) -> AudioFile:
        return self._resolve_all([file], owner)[0]

    def _follow(self, file: AudioFile | str, owner: str | None, use: Callable[[AudioFile], _T]) -> _T:
        """Give *use* the record; once more whenever the file got other bytes before *use* came to the old ones."""
        record = self._resolve(file, owner)
        while True:
            try:
                return use(record)
            except NotFound:
                latest = self._resolve(record, None)
                if latest.key == record.key:
                    raise
                record = latest

    def _resolve_all(self, files: Sequence[AudioFile | str], owner: str | None) -> list[AudioFile]:
        """Read the records afresh, so that yesterday's ``AudioFile`` follows a replace; foreign ones aren't found."""
        if owner is None and any(isinstance(each, str) for each in files):
            raise TypeError("pass owner= with an id: who is asking? (find(id) is the look-up without an owner)")
        ids = [each.id if isinstance(each, AudioFile) else parse_text("id", each) for each in files]
        records = {record.id: record for record in self.catalog.find(ids)}
        for each, file_id in zip(files, ids, strict=True):
            asking = each.owner if owner is None and isinstance(each, AudioFile) else owner
            if file_id not in records or records[file_id].owner != asking:
                raise NotFound(f"file {file_id}")
        return [records[file_id] for file_id in ids]

    def _backend(self, name: str) -> Backend:
        try:
            return self.backends[name]
        except KeyError:
            raise ConfigurationError(f"a file lives in backend {name!r}, which this store was not given") from None

    def _staging_of(self, backend: Backend) -> Path | None:
        try:
            return backend.capabilities.staging
        except Unavailable:
            return None  # it is away: the temp folder does, and a fallback may take the bytes

    def _erase_what_came(self, removals: Sequence[Removal], backend: str) -> None:
        """Erase the bytes of an upload that is over, now, and once more when no more of them can come.

        Somebody may still be sending: the process that reserved, or a browser with a link that nobody can take back.
        """
        if removals:
            self.catalog.postpone([each.id for each in removals], max(self.ttl, self._upload_life(backend)))
            self._erase(removals, forget=False)

    def _shut(self, objects: Iterable[AudioFile | Removal]) -> None:
        """Erase once more, later, what browsers have links to: with such a link the bytes could be brought back."""
        for name, group in groupby(sorted(objects, key=_backend_name), key=_backend_name):
            if life := self._upload_life(name):
                self.catalog.discard(name, [each.key for each in group], life)

    def _upload_life(self, backend: str) -> timedelta:
        try:
            return self._backend(backend).capabilities.upload_life
        except Unavailable:
            return timedelta(0)  # only a disk can be away now, and it takes bytes through the store alone

    def _erase(self, removals: Iterable[Removal], *, forget: bool = True) -> list[Removal]:
        """Erase the bytes of *removals*, then forget them; give back those that are left for a later sweep.

        The decision is already made and recorded, so a backend that is down now is no error: the queue keeps it.
        """
        left: list[Removal] = []
        for name, group in groupby(sorted(removals, key=_backend_name), key=_backend_name):
            batch = list(group)
            try:
                self._backend(name).delete([each.key for each in batch])
                if forget:
                    self.catalog.forget([each.id for each in batch])
            except AudioStoreError as error:
                if len(batch) > 1 and not isinstance(error, Unavailable):
                    for each in batch:  # one that can't be erased must not keep the others charged
                        left += self._erase([each], forget=forget)
                    continue
                left += batch
                _log.warning("%d objects in %s are left for a later sweep: %s", len(batch), name, error)
                self.events.tell(Event(name="erase.failed", backend=name, error=error, facts={"objects": len(batch)}))
        return left


def _backend_name(each: AudioFile | Removal) -> str:
    return each.backend


def _by_name(backends: Iterable[Backend]) -> Mapping[str, Backend]:
    named: dict[str, Backend] = {}
    for backend in backends:
        if named.setdefault(backend.name, backend) is not backend:
            raise ConfigurationError(f"two backends are called {backend.name!r}; a name is written into every record")
    return named


def _as_list(secret: Secret) -> Sequence[str | bytes]:
    return [secret] if isinstance(secret, str | bytes) else secret
