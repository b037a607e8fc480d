"""Chapter one: bytes come in. stage → process → path → reserve → write → commit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from audiostore.cancelling import CallerGone, check_cancelled, keep_if_cancelled, undo_if_cancelled
from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    FileTooLarge,
    NotFound,
    QuotaExceeded,
    Unavailable,
    UnsupportedAudio,
)
from audiostore.events import Progressing
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import (
    AudioFile,
    Limits,
    Metadata,
    ObjectStat,
    Place,
    PlaceId,
    Removal,
    Reservation,
    Staged,
    Upload,
    Usage,
    allows,
    parse_text,
)
from audiostore.protocols import Backend, Progress, Request, Written
from audiostore.sources import Source
from audiostore.staging import Refusal, StagingArea, staging_area
from audiostore.store.heartbeat import Heartbeat, StorageOutage
from audiostore.store.parts import StoreParts

_log = logging.getLogger("audiostore")

Check: TypeAlias = Callable[[Reservation, ObjectStat | None, Progress], None]
"""Looks at what was written before it is recorded, and raises if it is not what was sent. It gets what the backend saw
when it had written; None if the bytes were there already."""

Supersede: TypeAlias = Callable[[Sequence[Removal]], None]
"""Takes over the removals of what a replacement made superfluous, which otherwise would be erased at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the caller asked to have recorded, whatever the bytes turn out to be."""

    owner: str
    place: Place
    filename: str | None = None
    content_type: str | None = None
    metadata: Metadata = field(default_factory=dict[str, Any])
    idempotency_key: str | None = None
    replaces: AudioFile | None = None
    instead_of: str | None = None
    only_over: Key | None = None
    as_is: bool = False
    limits: Limits | None = None
    progress: Progress | None = None
    # What only those ask for who bring files from elsewhere.
    id: str | None = None
    hold: timedelta | None = None
    check: Check | None = None
    supersede: Supersede | None = None

    @property
    def is_new(self) -> bool:
        """Whether nobody but the caller can know of the file: who repeats the call has its idempotency key."""
        return self.replaces is None and self.instead_of is None and self.idempotency_key is None


class Writing(StoreParts):
    """``put`` and ``replace``."""

    def put(
        self,
        source: Source,
        *,
        owner: str,
        project: PlaceId = None,
        chapter: PlaceId = None,
        section: PlaceId = None,
        filename: str | None = None,
        content_type: str | None = None,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
        move: bool = False,
        as_is: bool = False,
        progress: Progress | None = None,
    ) -> AudioFile:
        """Store *source* for *owner*, at a place in a book, and give back its record.

        *source* is bytes, a path (a ``str`` is one), a binary file object, an iterable of bytes, or what Flask and
        FastAPI hand out for an upload. It is read once, from where it stands; a file object is neither closed nor,
        if it can seek, left elsewhere. *filename* (default: the source's own) is kept in any language and given back
        on download. *content_type* wins over what the bytes and the name say. *metadata* is any JSON.

        An equal *idempotency_key* (per owner, for a week) gives the first result back instead of storing again.
        With *move* the caller gives a path away: it is linked instead of copied where that can be done, and removed
        once the file is stored. *progress* is called with the bytes sent so far; what it raises cancels the put.
        *as_is* passes the store's processor by: for what the app made itself, never for an upload.

        Either the file is stored, recorded and counted when this returns, or nothing is.

        >>> store.put(b"RIFF....WAVE", owner="alice", project="p1", chapter=1, section=2).content_type
        'audio/wav'

        Raises:
            QuotaExceeded, FileTooLarge: no room for this owner, or for a file of this size.
            UnsupportedAudio: empty, not of an allowed type, or refused by the processor.
            AlreadyExists: the idempotency key was used for something else, or the path builder repeated a key.
            InvalidKey: the path builder made no portable key.
            StorageFull, PermissionDenied: the disk says no.
            Unavailable: the backend or the catalog can't be reached; see ``retryable``.
            TypeError, ValueError: no kind of source; an empty owner or id.

        """
        wanted = Wanted(
            owner=parse_text("owner", owner),
            place=Place.of(project, chapter, section),
            filename=filename,
            content_type=content_type,
            metadata=dict(metadata or {}),
            idempotency_key=None if idempotency_key is None else parse_text("idempotency_key", idempotency_key),
            as_is=as_is,
            progress=progress,
        )
        with self.events.operation("put", owner=owner) as operation:
            return self._take_in(source, wanted, operation, move=move)

    def replace(
        self,
        file: AudioFile | str,
        source: Source,
        *,
        owner: str | None = None,
        filename: str | None = None,
        content_type: str | None = None,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
        move: bool = False,
        progress: Progress | None = None,
    ) -> AudioFile:
        """Put other bytes behind *file*: same id and place, new key; only the growth is charged.

        Until the switch, which is atomic, readers get the old bytes; afterwards the new ones. *metadata* that is not
        given stays as it was, and so does the stem of the name where the source has none. The rest is as in ``put``.

        Raises:
            NotFound: no such file for *owner*, or it was deleted meanwhile. Otherwise as ``put``.

        """
        old = self._resolve(file, owner)
        wanted = Wanted(
            owner=old.owner,
            place=old.place,
            filename=filename,
            content_type=content_type,
            metadata=dict(old.metadata if metadata is None else metadata),
            idempotency_key=None if idempotency_key is None else parse_text("idempotency_key", idempotency_key),
            replaces=old,
            progress=progress,
        )
        with self.events.operation("replace", owner=old.owner, file=old.id) as operation:
            return self._take_in(source, wanted, operation, move=move)

    def _take_in(self, source: Source, wanted: Wanted, operation: Progressing, *, move: bool) -> AudioFile:
        wanted = replace(wanted, limits=self._limits(wanted.owner))
        usage = self.catalog.usage(wanted.owner, wanted.limits)
        with staging_area(self._staging_of(self.backend)) as area:
            limit, refuse = _bound(usage, wanted)
            staged = area.take(
                source,
                filename=wanted.filename,
                default=wanted.replaces.filename if wanted.replaces else None,
                content_type=wanted.content_type,
                limit=limit,
                refuse=refuse,
                move=move,
            )
            staged = self._processed(area, staged, usage.limits, as_is=wanted.as_is)
            file = self._keep(staged, wanted, operation)
        if move and isinstance(source, str | os.PathLike):
            self._last_chance(file, wanted)
            _give_up(os.fspath(source))
        return file

    def _processed(self, area: StagingArea, staged: Staged, limits: Limits, *, as_is: bool) -> Staged:
        if staged.size == 0:
            raise UnsupportedAudio("empty", "there are no bytes in it")
        if self.process is not None and not as_is:
            staged = area.settle(staged, self.process(staged))
        if limits.types is not None and not allows(limits.types, staged.content_type):
            raise UnsupportedAudio("type", f"{staged.content_type} is not among {', '.join(sorted(limits.types))}")
        return staged

    def _keep(self, staged: Staged, wanted: Wanted, operation: Progressing) -> AudioFile:
        try:
            return self._keep_in(self.backend, staged, wanted, operation)
        except StorageOutage as outage:
            if self.fallback is None:
                raise outage.error from outage.error.__cause__
            _log.warning("backend %s is unavailable, using %s", self.backend.name, self.fallback.name)
        operation.learn(facts={"fallback_from": self.backend.name})
        try:
            return self._keep_in(self.fallback, staged, wanted, operation)
        except StorageOutage as outage:
            raise outage.error from outage.error.__cause__

    def _keep_in(self, backend: Backend, staged: Staged, wanted: Wanted, operation: Progressing) -> AudioFile:
        upload_id = wanted.id or new_id()
        reservation = self.catalog.reserve(self._request(upload_id, backend, staged, wanted))
        operation.learn(
            file=reservation.file_id, key=reservation.key, backend=reservation.backend, bytes=reservation.size
        )
        if reservation.state == "committed":
            return self._resolve(reservation.file_id, wanted.owner)
        try:
            stored = self._write(reservation, staged, wanted, repeated=reservation.id != upload_id)
            self._check(reservation, stored, wanted)
            written = Written(
                size=staged.size, sha256=staged.sha256, content_type=staged.content_type, duration=staged.duration
            )
            check_cancelled()
            file, superseded = self.catalog.commit(
                reservation.id, written, limits=wanted.limits, only_over=wanted.only_over
            )
        except BaseException as error:
            # Bytes that were there before us are not ours to erase.
            ours = not isinstance(error, AlreadyExists)
            resumable = wanted.idempotency_key is not None and self.fallback is None
            self._undo(reservation, error, ours=ours, resumable=resumable)
            raise
        if wanted.is_new:
            undo_if_cancelled(partial(self._take_back, file))
        (wanted.supersede or self._erase)(superseded)
        if wanted.instead_of is not None or (wanted.replaces is not None and wanted.replaces.sha256 is None):
            self._shut(superseded)
        return file

    def _request(self, upload_id: str, backend: Backend, staged: Staged, wanted: Wanted) -> Request:
        upload = Upload(
            id=upload_id,
            owner=wanted.owner,
            place=wanted.place,
            filename=staged.filename,
            content_type=staged.content_type,
            size=staged.size,
            sha256=staged.sha256,
        )
        return Request(
            id=upload_id,
            owner=wanted.owner,
            place=wanted.place,
            filename=staged.filename,
            key=self._key(upload),
            backend=backend.name,
            size=staged.size,
            content_type=staged.content_type,
            limits=wanted.limits,
            ttl=self.ttl,
            hold=self.hold if wanted.hold is None else wanted.hold,
            sha256=staged.sha256,
            metadata={**wanted.metadata, **staged.metadata},
            replaces=wanted.replaces.id if wanted.replaces else None,
            idempotency_key=wanted.idempotency_key,
            instead_of=wanted.instead_of,
        )

    def _write(self, reservation: Reservation, staged: Staged, wanted: Wanted, *, repeated: bool) -> ObjectStat | None:
        backend = self._backend(reservation.backend)
        heartbeat = self._heartbeat(reservation, wanted.progress, wanted.hold)
        try:
            # An earlier try may have brought the bytes and been cut off before its commit.
            if not (repeated and _arrived(backend, reservation)):
                return backend.write(reservation.key, staged, resume=reservation.resume, progress=heartbeat)
        except AlreadyExists:
            # A call with the same idempotency key, thought dead, was faster: the bytes are the same.
            if not (wanted.idempotency_key is not None and _arrived(backend, reservation)):
                raise
        except Unavailable as error:
            if error is heartbeat.error:
                raise
            raise StorageOutage(error) from error
        return None

    def _check(self, reservation: Reservation, stored: ObjectStat | None, wanted: Wanted) -> None:
        if wanted.check is None:
            return
        heartbeat = self._heartbeat(reservation, None, wanted.hold)
        try:
            wanted.check(reservation, stored, heartbeat)
        except Unavailable as error:
            if error is heartbeat.error:
                raise
            raise StorageOutage(error) from error

    def _heartbeat(
        self, reservation: Reservation, progress: Progress | None, hold: timedelta | None = None
    ) -> Heartbeat:
        held = self.hold if hold is None else hold

        def extend(resume: str | None) -> None:
            self.catalog.extend(reservation.id, ttl=self.ttl, hold=held, resume=resume)

        return Heartbeat(extend, min(self.ttl, held or self.ttl) / 3, reservation.resume, progress)

    def _last_chance(self, file: AudioFile, wanted: Wanted) -> None:
        """Take *file* back if its caller is gone, now that the source still has its bytes; from here on it stays."""
        if wanted.is_new:
            try:
                check_cancelled()
            except CallerGone:
                self._take_back(file)
                raise
        keep_if_cancelled()

    def _take_back(self, file: AudioFile) -> None:
        """Delete what a call has made whose caller is gone."""
        self._erase(self.catalog.hide(file.owner, [file.id]))

    def _undo(
        self, reservation: Reservation, error: BaseException, *, ours: bool = True, resumable: bool = False
    ) -> None:
        try:
            if resumable and isinstance(error, StorageOutage):
                # The caller can come back with the same idempotency key: let go of the reservation, but keep it.
                self.catalog.extend(reservation.id, ttl=self.ttl, hold=timedelta(0))
                return
            removals = self.catalog.release(reservation.id, erase=ours)
            # A request that got no answer may still be on its way: the removal waits until it must have come.
            wait = self.ttl if _is_unknown(error) else timedelta(0)
            if ours and not removals:
                # Somebody ended the reservation and erased the key, perhaps before our bytes came to lie there.
                self.catalog.discard(reservation.backend, [reservation.key], wait)
            elif isinstance(error, CallerGone):
                self._erase_what_came(removals, reservation.backend)  # the caller waits until it is undone
            elif removals and wait:
                self.catalog.postpone([each.id for each in removals], wait)
            else:
                self._erase(removals)
        except AudioStoreError as second:
            # The reservation's ttl ends it; the first error is the one that tells what happened.
            error.add_note(f"and the reservation could not be released, it will expire: {second}")


def _arrived(backend: Backend, reservation: Reservation) -> bool:
    try:
        return backend.stat(reservation.key).size == reservation.size
    except NotFound:
        return False


def _is_unknown(error: BaseException) -> bool:
    """Tell whether *error* leaves open what became of the bytes: no answer, or an interrupt at any moment."""
    return isinstance(error, StorageOutage | Unavailable) or not isinstance(error, Exception)


def _bound(usage: Usage, wanted: Wanted) -> tuple[int | None, Refusal]:
    """Give the bytes at which staging stops, and what it raises then."""
    per_file, available = usage.limits.per_file, usage.quota
    if wanted.idempotency_key is not None:
        available = None  # a repeated put is already charged; the reservation decides
    elif available is not None:
        # What is reserved may be held by the dead, or for this very file: the reservation decides that, too.
        available = max(0, available - usage.used + (wanted.replaces.size if wanted.replaces else 0))
    if available is None or (per_file is not None and per_file <= available):
        return per_file, partial(_too_large, per_file or 0)
    return available, partial(_no_room, wanted.owner, usage)


def _too_large(limit: int, size: int) -> AudioStoreError:
    return FileTooLarge(limit=limit, size=size)


def _no_room(owner: str, usage: Usage, size: int) -> AudioStoreError:
    return QuotaExceeded(owner, limit=usage.quota, used=usage.used, reserved=usage.reserved, needed=size)


def _give_up(path: str) -> None:
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        # The bytes are stored; a source that can't be removed is the caller's to know, not a failed put.
        _log.warning("stored, but the source could not be removed: %s", error)
