"""Every seam of the library, on one page. There are no others, but for two that only ``migrate`` has.

These contracts are for those who *implement* a part; those who *use* one call ``AudioStore``, where the
conveniences live. An implementation needs no base class: it has these methods, and it passes the suite in
``audiostore.testing`` (``BackendSuite``, ``CatalogSuite``, ``PathBuilderSuite``).

All parts: safe across threads and after ``fork``; they raise only the errors of ``audiostore.errors``
(and ``TypeError``/``ValueError`` for misuse).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeAlias

from audiostore.keys import Key
from audiostore.models import (
    ANYWHERE,
    AudioFile,
    Limits,
    ObjectStat,
    Override,
    Place,
    Removal,
    Reservation,
    SignedUrl,
    Staged,
    Upload,
    UploadGrant,
    Usage,
)
from audiostore.reports import Drift
from audiostore.streams import ByteStream

QuotaPolicy: TypeAlias = Callable[[str], Limits | None]
"""``owner -> Limits``. ``None`` leaves the numbers to the catalog. Raising refuses: quotas fail closed."""

PathBuilder: TypeAlias = Callable[[Upload], Key | str]
"""``Upload -> Key``, another one for each upload (``upload.id`` is unique). The store parses a plain ``str``."""

Processor: TypeAlias = Callable[[Staged], Staged]
"""``Staged -> Staged``: look at the bytes, refuse them (``UnsupportedAudio``), or give other ones."""

Progress: TypeAlias = Callable[[int, str | None], None]
"""``(bytes done so far, what is needed to resume)``. A backend calls it at least once per chunk it sends, and once
right before the object becomes visible. Whatever it raises ends the write and goes through unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do, as data.

    ``staging`` is a folder on the backend's own file system, so that staged bytes are published and not copied
    (``None``: the temp folder). ``signs`` tells whether ``sign`` and ``sign_upload`` give links to a server of the
    backend's own; if not, the store signs and the app serves. ``upload_life`` is how long such a server takes bytes
    from whoever has a link of ``sign_upload``, whatever was asked and however the upload has ended.
    """

    staging: Path | None = None
    signs: bool = False
    upload_life: timedelta = timedelta(0)


class Backend(Protocol):
    """Where the bytes live. Keys are immutable: an object is written once, and never changes."""

    @property
    def name(self) -> str:
        """Unique among the backends of a store, and the same for ever: it is written into every record."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    def write(
        self, key: Key, staged: Staged, *, resume: str | None = None, progress: Progress | None = None
    ) -> ObjectStat:
        """Store ``staged.size`` bytes under *key*: all or nothing, never over an object that is there.

        A ``staged.disposable`` file may be moved away; any other is only read. *resume* is what an earlier, broken
        write of the same bytes reported through *progress*.

        Raises:
            AlreadyExists: an object has that key. StorageFull, PermissionDenied: nothing was stored.
            ChecksumMismatch: what arrived is not what was staged. Unavailable: look with ``stat`` before repeating.
        """
        ...

    def read(self, key: Key, start: int = 0, end: int | None = None) -> ByteStream:
        """Stream the bytes from *start* to *end* (exclusive, clamped to the size; ``None``: the end).

        Raises NotFound at the call, not at the first chunk. *start* at or beyond the end gives an empty stream.
        """
        ...

    def stat(self, key: Key) -> ObjectStat:
        """Look at one object. Raises NotFound only if it is known to be missing; Unavailable if that can't be known."""
        ...

    def delete(self, keys: Sequence[Key]) -> frozenset[Key]:
        """Remove objects, any number of them; missing ones are fine. Give back the keys that were really removed."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Every object below a folder (``"alice/p1"``; ``""``: all), recursively and paged inside, in order of key."""
        ...

    def copy(self, source: Key, target: Key) -> ObjectStat:
        """Copy within the backend, without the bytes passing through here if possible. As ``write`` otherwise."""
        ...

    def move(self, source: Key, target: Key) -> ObjectStat:
        """Rename within the backend; at every moment at least one key has the bytes. As ``write`` otherwise."""
        ...

    def sign(
        self, keys: Sequence[Key], *, expires: timedelta, download_as: str | None = None
    ) -> Mapping[Key, SignedUrl]:
        """Sign links for a whole batch in one request; missing objects are missing in the answer.

        Raises NotSupported where ``capabilities.signs`` is false.
        """
        ...

    def sign_upload(
        self, key: Key, *, size: int, content_type: str, expires: timedelta, reservation: str
    ) -> UploadGrant:
        """Let a browser send one object straight to the backend. Raises NotSupported like ``sign``."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a reservation asks for. ``limits`` are the policy's (``None``: the catalog's own numbers).

    ``id`` becomes the id of the reservation, and of the file unless it ``replaces`` one. ``size`` in bytes.
    ``hold`` is how long the caller counts as alive without a word from it. ``instead_of`` is a pending upload of
    the owner that this one stands in for: it takes its ``file_id``, and is charged only what it is larger. The upload
    keeps its room until the commit, which finishes it in the same decision and returns its removal. If it is not
    pending by then, or already now, that is ReservationExpired.
    """

    id: str
    owner: str
    place: Place
    filename: str
    key: Key
    backend: str
    size: int
    content_type: str
    limits: Limits | None
    ttl: timedelta
    hold: timedelta = timedelta(0)
    sha256: str | None = None
    metadata: Mapping[str, object]
    replaces: str | None = None
    idempotency_key: str | None = None
    instead_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was measured once the bytes were in place; settles a reservation."""

    size: int
    sha256: str | None
    content_type: str
    duration: float | None = None


class Catalog(Protocol):
    """Who owns what, how much is used, what is in flight.

    Each method is **one decision**: atomic, durable when it returns, and final. The client holds no transaction open
    between two of them, so each may be a SQL function called over HTTP. Cost does not grow with the number of files.
    The catalog's clock counts, not the caller's.

    ``committed + reserved <= limits.total`` after every decision that takes room. Whatever makes an object
    superfluous queues its removal in the same decision; the caller then erases the bytes and calls ``forget``,
    and if it dies first, ``claim`` hands the removal to a sweep.
    """

    @property
    def has_plans(self) -> bool:
        """Whether it knows what owners may keep, so that a store needs no quota policy (and can only tighten it)."""
        ...

    def reserve(self, request: Request) -> Reservation:
        """Take room for an upload, or give back the reservation that the same idempotency key made.

        An equal request with the same (owner, idempotency key) gives the first reservation, ``committed`` or still
        ``pending`` and now held by this caller; after ``released`` or ``expired``, or when the committed file was
        deleted since, it starts over. Equal is: place, filename, size, sha256, replaces. For a replacement only the
        growth is charged; pending replacements of one file share the growth of the largest, since only one can be the
        file in the end. An owner short of room gets its own expired reservations back first.

        Raises:
            QuotaExceeded: ``kind`` bytes, files, or unset (no limits given and none known). FileTooLarge.
            AlreadyExists: ``reason="key"`` a record, a pending reservation or a queued removal has the key;
                ``reason="idempotency"`` the idempotency key made a different request.
            Unavailable: ``retryable``, another live caller holds the same idempotency key.
            NotFound: the file that it replaces is not there (for this owner).
        """
        ...

    def extend(self, reservation: str, *, ttl: timedelta, hold: timedelta, resume: str | None = None) -> Reservation:
        """Heartbeat of a long write: expire *ttl* from now, count as alive for *hold*; keep *resume* if given.

        Raises ReservationExpired unless it is pending.
        """
        ...

    def commit(
        self, reservation: str, written: Written, *, limits: Limits | None, only_over: Key | None = None
    ) -> tuple[AudioFile, Sequence[Removal]]:
        """Turn the reservation into a record, and charge what was really written. Again gives the same file.

        A pending reservation is committed even a little late, as long as no one has expired it. ``written.size`` up
        to what was reserved always fits, even if the quota was lowered since; more is checked against *limits*. A
        replacement swaps key, backend and facts of the record under its id and returns the old object's removal;
        given *only_over*, only if the record still has that key.

        Raises:
            ReservationExpired: released or expired.
            NotFound: the replaced file was deleted meanwhile, or is not under *only_over* any more.
            QuotaExceeded, FileTooLarge: more arrived than was reserved, and it does not fit; the reservation stays.
        """
        ...

    def release(self, reservation: str, *, erase: bool = True) -> Sequence[Removal]:
        """Give the room back and queue the key for removal; nothing to do (and ``()``) if it is not pending.

        Without *erase* the key is not queued: what lies under it is not ours.
        """
        ...

    def reservation(self, reservation: str) -> Reservation:
        """Look one up. Raises NotFound."""
        ...

    def pending(self, owner: str) -> Sequence[Reservation]:
        """Every pending reservation of one owner."""
        ...

    def expire(self, limit: int) -> int:
        """Expire up to *limit* overdue reservations, queue their keys; how many. Forgets finished ones after 7 days."""
        ...

    def hide(self, owner: str, files: Sequence[str]) -> Sequence[Removal]:
        """Begin to delete: the records are no longer seen but still charged, their keys are queued.

        Files of someone else, and missing ones, are left out of the answer.
        """
        ...

    def forget(self, removals: Sequence[str]) -> None:
        """The bytes are gone: drop the removals, and the hidden records with their charge. Unknown ids are fine."""
        ...

    def postpone(self, removals: Sequence[str], delay: timedelta) -> None:
        """The bytes could not be removed: hand these out again after *delay*."""
        ...

    def claim(self, limit: int, lease: timedelta) -> Sequence[Removal]:
        """Take up to *limit* due removals; no one else gets them before *lease* is over.

        A fresh removal is not due for a minute: the caller that caused it erases the bytes itself. Removals
        of keys that a visible record or a pending reservation holds are dropped, never handed out.
        """
        ...

    def discard(self, backend: str, keys: Sequence[Key], delay: timedelta) -> None:
        """Queue objects that nothing refers to, due after *delay*; keys that something refers to are left alone."""
        ...

    def known(self, backend: str, keys: Sequence[Key]) -> frozenset[Key]:
        """Those of *keys* that a record (hidden too), a pending reservation or a queued removal refers to."""
        ...

    def adopt(self, files: Sequence[AudioFile]) -> frozenset[str]:
        """Take records over from another catalog as they are, id, key and times; charged, whatever the quota says.

        Gives the ids that are recorded here now, for that owner. Left out, and unchanged, is a file whose id is another
        owner's or whose key something refers to. Again changes nothing.
        """
        ...

    def move(self, owner: str, file: str, place: Place) -> AudioFile:
        """Put a record at another place of a book; no byte moves. Raises NotFound."""
        ...

    def find(self, files: Sequence[str]) -> Sequence[AudioFile]:
        """The visible records with these ids, whoever owns them, in no order; missing ones are left out."""
        ...

    def find_key(self, key: Key, *, backend: str | None = None) -> AudioFile:
        """The visible record with this key. Raises NotFound."""
        ...

    def list(
        self,
        owner: str | None,
        place: Place = ANYWHERE,
        *,
        after: str | None = None,
        limit: int = 500,
    ) -> Sequence[AudioFile]:
        """One page of visible records in order of id, those after id *after*.

        ``None`` in *place* does not restrict; *owner* ``None`` is everyone (audits only).
        """
        ...

    def usage(self, owner: str, limits: Limits | None) -> Usage:
        """What the owner has, and the limits in force: *limits*, or the catalog's own, under the owner's override.

        Raises QuotaExceeded(kind="unset") when there are no limits at all.
        """
        ...

    def plan(self, owner: str) -> Limits | None:
        """What the catalog itself lets the owner keep, overrides aside; None if it leaves that to quota policies."""
        ...

    def override(self, owner: str) -> Override | None:
        """The owner's override in force, or None."""
        ...

    def set_override(self, owner: str, override: Override | None) -> None:
        """Set or clear the owner's override."""
        ...

    def audit(self, owner: str | None = None) -> Sequence[Drift]:
        """Compare the ledger with the records it counts, in one snapshot. Nothing found: ``()``."""
        ...

    def recount(self, owner: str | None = None) -> Sequence[Drift]:
        """Set the ledger to what its records and reservations add up to; give what ``audit`` would have found."""
        ...

    def close(self) -> None: ...
