"""What can go wrong, as one tree of facts.

    AudioStoreError
    ├── NotFound             (FileNotFoundError)   no such file for this owner
    │   └── SectionsMissing                        sections of a book have no audio that can be had
    ├── AlreadyExists        (FileExistsError)     the key or the idempotency key is taken
    ├── InvalidKey           (ValueError)          not a portable key, or an id that can't be part of one
    ├── InvalidBook          (ValueError)          a project's JSON that is no book
    ├── PermissionDenied     (PermissionError)     the disk or the server refuses us
    ├── QuotaExceeded                              the owner's bytes or files are used up
    ├── FileTooLarge         (ValueError)          one file over its own limit
    ├── UnsupportedAudio     (ValueError)          refused for what it is; ``code`` tells why
    ├── ChecksumMismatch     (ValueError)          the bytes are not the ones that were recorded
    ├── ReservationExpired                         finished too late; nothing is kept or charged
    ├── LinkInvalid          (ValueError)          a signed link that was not made by us, or not for this
    │   └── LinkExpired                            a genuine link, too late
    ├── StorageFull          (OSError)             no space left where bytes are kept
    ├── Unavailable          (ConnectionError)     the outcome is unknown: look before you repeat
    ├── Cancelled                                  ended because the caller said so; nothing is left of it
    ├── NotSupported                               this part can't do that
    └── ConfigurationError   (ValueError)          settings that are missing or contradict each other

Each error carries its facts as attributes, survives ``pickle`` (task queues, process pools), and says in
``retryable`` whether the very same call may simply be made again.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from datetime import timedelta
from typing import Any


class AudioStoreError(Exception):
    """The root of everything this library raises on purpose."""

    retryable: bool = False

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.__dict__.update(facts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[AudioStoreError], args: tuple[Any, ...], facts: dict[str, Any]) -> AudioStoreError:
    # The constructors take facts, not messages, so unpickling goes round them.
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class NotFound(AudioStoreError, FileNotFoundError):
    """No such file, object or reservation, or it belongs to someone else (the two are not told apart)."""

    what: str

    def __init__(self, what: str) -> None:
        super().__init__(f"not found: {what}", what=what)


class SectionsMissing(NotFound):
    """Sections of a book have no audio that can be had, and the caller would not have it without them.

    ``missing`` are the ``MissingSection`` values of ``audiostore.export``, which say which ones, and why.
    """

    missing: tuple[Any, ...]

    def __init__(self, missing: Iterable[Any]) -> None:
        self.missing = tuple(missing)
        super().__init__(f"the audio of {len(self.missing)} section{'' if len(self.missing) == 1 else 's'}")


class AlreadyExists(AudioStoreError, FileExistsError):
    """The place is taken.

    ``reason`` is ``"key"`` (bytes or a record live under that key) or ``"idempotency"`` (the idempotency key
    was used for a different request).
    """

    what: str
    reason: str

    def __init__(self, what: str, *, reason: str = "key") -> None:
        told = {"key": "already exists", "idempotency": "the idempotency key was used for another request"}
        super().__init__(f"{told.get(reason, reason)}: {what}", what=what, reason=reason)


class InvalidKey(AudioStoreError, ValueError):
    """Not a portable key; ``key`` is what was given, ``reason`` what is wrong with it."""

    key: str
    reason: str

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"invalid key {key[:80]!r}: {reason}", key=key, reason=reason)


class InvalidBook(AudioStoreError, ValueError):
    """Not the JSON of a book. ``where`` is the place in it (``chapters[2].id``), ``reason`` what is wrong."""

    where: str
    reason: str

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"not a book: {where + ': ' if where else ''}{reason}", where=where, reason=reason)


class PermissionDenied(AudioStoreError, PermissionError):
    """The disk or the server refuses; nothing was changed."""

    what: str

    def __init__(self, what: str) -> None:
        super().__init__(f"permission denied: {what}", what=what)


class QuotaExceeded(AudioStoreError):
    """The owner has no room; nothing was stored.

    ``kind`` is ``"bytes"``, ``"files"`` or ``"unset"`` (a policy that has no number for this owner refuses).
    ``limit``, ``used``, ``reserved`` and ``needed`` are bytes, or files for ``kind="files"``.
    """

    owner: str
    kind: str
    limit: int | None
    used: int
    reserved: int
    needed: int

    def __init__(
        self, owner: str, *, kind: str = "bytes", limit: int | None, used: int = 0, reserved: int = 0, needed: int = 0
    ) -> None:
        if kind == "unset":
            message = f"no quota is set for owner {owner!r}"
        else:
            counts = f"{used} used, {reserved} reserved, {needed} needed"
            message = f"quota of {limit} {kind} exceeded for owner {owner!r}: {counts}"
        super().__init__(message, owner=owner, kind=kind, limit=limit, used=used, reserved=reserved, needed=needed)


class FileTooLarge(AudioStoreError, ValueError):
    """One file is over the limit for one file; ``limit`` in bytes, ``size`` the bytes seen until then."""

    limit: int
    size: int

    def __init__(self, *, limit: int, size: int) -> None:
        super().__init__(f"file too large: more than the {limit} bytes allowed for one file", limit=limit, size=size)


class UnsupportedAudio(AudioStoreError, ValueError):
    """Refused for what it is. ``code`` is a stable word: ``empty``, ``type`` or one of a processor's own.

    ``part`` is the place in the list, from 0, where several recordings were given.
    """

    code: str
    detail: str
    part: int | None

    def __init__(self, code: str, detail: str = "", *, part: int | None = None) -> None:
        told = f"unsupported audio ({code}){': ' + detail if detail else ''}"
        super().__init__(told, code=code, detail=detail, part=part)


class ChecksumMismatch(AudioStoreError, ValueError):
    """The bytes are not the ones that were recorded; ``expected`` and ``actual`` are sha256 hex digests or sizes."""

    what: str
    expected: str
    actual: str

    def __init__(self, what: str, *, expected: str, actual: str) -> None:
        super().__init__(
            f"checksum mismatch for {what}: expected {expected}, got {actual}",
            what=what,
            expected=expected,
            actual=actual,
        )


class ReservationExpired(AudioStoreError):
    """The reservation ran out, or was released, before it was committed. Nothing is kept or charged."""

    reservation: str

    def __init__(self, reservation: str) -> None:
        super().__init__(f"reservation {reservation} expired", reservation=reservation)


class LinkInvalid(AudioStoreError, ValueError):
    """A signed link that we did not make, or not for this use. The message never repeats the token."""

    reason: str

    def __init__(self, reason: str = "bad signature") -> None:
        super().__init__(f"invalid link: {reason}", reason=reason)


class LinkExpired(LinkInvalid):
    """A genuine link whose time is over; ``expired_at`` is a POSIX time in seconds."""

    expired_at: float

    def __init__(self, expired_at: float) -> None:
        super().__init__("expired")
        self.expired_at = expired_at


class StorageFull(AudioStoreError, OSError):
    """No space left where the bytes are kept; nothing was stored. ``needed`` and ``free`` in bytes, when known."""

    where: str
    needed: int | None
    free: int | None

    def __init__(self, where: str, *, needed: int | None = None, free: int | None = None) -> None:
        super().__init__(f"no space left in {where}", where=where, needed=needed, free=free)


class Unavailable(AudioStoreError, ConnectionError):
    """Storage or catalog could not be reached, or broke off: **the outcome is unknown**.

    ``retryable`` is true when the same call may be made again without harm; ``retry_after``, when the server told,
    is how long to wait before.
    """

    what: str
    retry_after: timedelta | None

    def __init__(self, what: str, *, retryable: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(f"unavailable: {what}", what=what, retryable=retryable, retry_after=retry_after)


class Cancelled(AudioStoreError):
    """Ended because ``cancelled()`` said so. Nothing of ``what`` is left; the same call may be made again."""

    what: str

    def __init__(self, what: str) -> None:
        super().__init__(f"cancelled: {what}", what=what)


class NotSupported(AudioStoreError):
    """This part can't do that; ``operation`` and ``part`` say which."""

    operation: str
    part: str

    def __init__(self, operation: str, part: str) -> None:
        super().__init__(f"{part} does not support {operation}", operation=operation, part=part)


class ConfigurationError(AudioStoreError, ValueError):
    """Settings that are missing or contradict each other; the message names the setting."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP})


def from_os_error(error: OSError, what: str) -> AudioStoreError:
    """Translate what the operating system says, in the one place where that is done."""
    if error.errno in _FULL:
        return StorageFull(what)
    if error.errno in _DENIED:
        return PermissionDenied(what)
    if error.errno == errno.ENOENT:
        return NotFound(what)
    return Unavailable(f"{what} ({error.strerror or type(error).__name__})", retryable=True)
