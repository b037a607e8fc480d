"""What may be and what may not: the rules of accounting as functions of plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from audiostore.catalogs.rows import Account, Booking
from audiostore.errors import FileTooLarge, QuotaExceeded
from audiostore.keys import Key
from audiostore.models import UNSET, AudioFile, Limits, Override, Place, parse_text
from audiostore.protocols import Request, Written
from audiostore.reports import Drift

MAX_BYTES = 2**63 - 1
"""More than a database's integer can't be counted, whatever the quota."""

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def later(now: datetime, delay: timedelta) -> datetime:
    """Add *delay*, stopping at the last moment that a ``datetime`` can tell.

    Raises:
        ValueError: a negative delay.
    """
    if delay < timedelta(0):
        raise ValueError(f"a delay can't be negative: {delay}")
    try:
        return now + delay
    except OverflowError:
        return _END_OF_TIME


def parse_id(id: str) -> str:
    """Return *id* to look up; nothing is stored under an id that no catalog can hold, and nothing under ``""``."""
    if not isinstance(id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"an id is text, not {type(id).__name__}")
    try:
        id.encode()
    except UnicodeEncodeError:
        return ""
    return id


def parse_count(limit: int) -> int:
    """Return *limit* if it is a number of rows to ask for.

    Raises:
        TypeError: not an int. ValueError: negative, or more than there can be.
    """
    if isinstance(limit, bool) or not isinstance(limit, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"limit is an int, not {type(limit).__name__}")
    if not 0 <= limit <= MAX_BYTES:
        raise ValueError(f"not a limit: {limit}")
    return limit


def parse_bytes(name: str, size: int) -> int:
    """Return *size* if it is a number of bytes that can be counted.

    Raises:
        TypeError: not an int. ValueError: negative. FileTooLarge: beyond ``MAX_BYTES``.
    """
    if isinstance(size, bool) or not isinstance(size, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name} is an int of bytes, not {type(size).__name__}")
    if size < 0:
        raise ValueError(f"{name} can't be negative: {size}")
    if size > MAX_BYTES:
        raise FileTooLarge(limit=MAX_BYTES, size=size)
    return size


def parse_request(request: Request) -> Request:
    """Return *request* as it can be kept: texts checked, metadata as JSON gives it back.

    Raises:
        TypeError, ValueError: a text or number that can't be kept, metadata that JSON can't hold.
    """
    for name in ("id", "owner", "filename", "key", "backend", "content_type"):
        parse_text(name, getattr(request, name))
    for name in ("sha256", "replaces", "idempotency_key", "instead_of"):
        parse_optional(name, getattr(request, name))
    if request.replaces is not None and request.instead_of is not None:
        raise ValueError("a request replaces a file or stands in for an upload, not both")
    parse_place(request.place)
    parse_bytes("size", request.size)
    return replace(request, key=Key(request.key), metadata=parse_metadata(request.metadata))


def parse_written(written: Written) -> Written:
    parse_bytes("size", written.size)
    parse_text("content_type", written.content_type)
    parse_optional("sha256", written.sha256)
    if written.duration is not None and not 0 <= written.duration < math.inf:
        raise ValueError(f"not a duration: {written.duration}")
    return written


def parse_file(file: AudioFile) -> AudioFile:
    """Return *file* as it can be kept. Raises like ``parse_request``."""
    for name in ("id", "owner", "filename", "key", "backend"):
        parse_text(name, getattr(file, name))
    parse_place(file.place)
    parse_written(Written(size=file.size, sha256=file.sha256, content_type=file.content_type, duration=file.duration))
    if file.created_at.tzinfo is None:
        raise ValueError("created_at has no time zone")
    return replace(file, key=Key(file.key), metadata=parse_metadata(file.metadata))


def parse_optional(name: str, value: str | None) -> str | None:
    return None if value is None else parse_text(name, value)


def parse_place(place: Place) -> Place:
    return Place.of(place.project, place.chapter, place.section)


def parse_metadata(metadata: Mapping[str, object]) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except RecursionError:
        raise ValueError("metadata is nested too deeply") from None
    return kept


def parse_override(override: Override) -> Override:
    """Return *override* if its numbers can be held to.

    Raises:
        TypeError, ValueError: a number that is no int or negative, or an ``until`` without a time zone.
    """
    for name in ("total", "per_file", "files"):
        number = getattr(override, name)
        if number is UNSET or number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"{name} is an int or None, not {type(number).__name__}")
        if number < 0:
            raise ValueError(f"{name} can't be negative: {number}")
    if override.until is not None and override.until.tzinfo is None:
        raise ValueError("until has no time zone")
    return override


def in_force(owner: str, limits: Limits | None, override: Override | None) -> Limits:
    """Give the limits that hold: the policy's, under the owner's override.

    Raises:
        QuotaExceeded: ``kind="unset"``, neither gives a total.
    """
    if limits is not None:
        return limits if override is None else override.over(limits)
    if override is None or override.total is UNSET:
        raise QuotaExceeded(owner, kind="unset", limit=None)
    return override.over(Limits())


def check_one_file(size: int, limits: Limits) -> None:
    """Raise FileTooLarge if *size* is more than one file may have."""
    if limits.per_file is not None and size > limits.per_file:
        raise FileTooLarge(limit=limits.per_file, size=size)


def refusal(account: Account, limits: Limits, *, takes: int, new_files: int) -> QuotaExceeded | None:
    """Say why *takes* more bytes and *new_files* more files do not fit, or give None. What takes nothing, fits."""
    total = MAX_BYTES if limits.total is None else min(limits.total, MAX_BYTES)
    if takes > 0 and account.committed + account.reserved + takes > total:
        return QuotaExceeded(
            account.owner, limit=total, used=account.committed, reserved=account.reserved, needed=takes
        )
    if new_files and limits.files is not None and account.files + account.pending + new_files > limits.files:
        return QuotaExceeded(
            account.owner,
            kind="files",
            limit=limits.files,
            used=account.files,
            reserved=account.pending,
            needed=new_files,
        )
    return None


def footprint(file: AudioFile, replacements: Iterable[Booking]) -> int:
    """Give the bytes to keep for a file with pending replacements: those of the largest it may become.

    However many there are and in whatever order they are committed, the file is never larger than this.
    """
    return max([file.size, *(each.reservation.size for each in replacements)])


def is_same(booking: Booking, request: Request) -> bool:
    """Tell whether *request* asks for what *booking* was made for: the rule of idempotency."""
    made = booking.reservation
    return (made.place, made.filename, made.size, made.sha256, made.replaces) == (
        parse_place(request.place),
        request.filename,
        request.size,
        request.sha256,
        request.replaces,
    )


def drift(ledger: Account, truth: Account) -> Sequence[Drift]:
    """Name what differs between a ledger and its rows."""
    pairs = {
        "committed_bytes": (ledger.committed, truth.committed),
        "reserved_bytes": (ledger.reserved, truth.reserved),
        "file_count": (ledger.files, truth.files),
        "pending_count": (ledger.pending, truth.pending),
    }
    return [
        Drift(kind=kind, owner=ledger.owner, ledger=told, truth=found)
        for kind, (told, found) in pairs.items()
        if told != found
    ]
