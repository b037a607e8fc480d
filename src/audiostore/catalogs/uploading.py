"""The life of a reservation: taken, kept alive, then committed, released or expired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from audiostore.catalogs import rules
from audiostore.catalogs.removing import queue
from audiostore.catalogs.rows import Booking, Decision, Record
from audiostore.errors import AlreadyExists, NotFound, QuotaExceeded, ReservationExpired, Unavailable
from audiostore.keys import Key
from audiostore.models import AudioFile, Limits, Override, Removal, Reservation
from audiostore.protocols import Request, Written


def reserve(at: Decision, request: Request) -> Reservation:
    earlier = _earlier(at, request)
    if earlier is not None:
        return earlier.reservation
    upload = _stood_in_for(at, request)
    file_id = request.replaces or (upload.id if upload else request.id)
    replaced = None if request.replaces is None else visible(at, request.owner, request.replaces)
    limits = rules.in_force(request.owner, request.limits, override_of(at, request.owner))
    rules.check_one_file(request.size, limits)
    if at.tables.holders(request.backend, request.key):
        raise AlreadyExists(request.key)
    if replaced is None and at.tables.record(file_id) is not None:
        raise AlreadyExists(file_id)

    def takes() -> int:
        if replaced is None:
            return max(0, request.size - (upload.charged if upload else 0))
        return max(0, request.size - rules.footprint(replaced, at.tables.replacing(replaced.id)))

    new_file = replaced is None and upload is None
    _make_room(at, request.owner, limits, takes, new_files=int(new_file), spare=request.instead_of or "")
    booking = _booked(at, request, file_id, charged=takes() if replaced is None else 0)
    at.tables.add_booking(booking)
    if replaced is None:
        at.tables.charge(request.owner, reserved=booking.reservation.charged, pending=int(new_file))
        return booking.reservation
    _settle(at, replaced)
    return _booking(at, request.id).reservation


def extend(at: Decision, reservation: str, *, ttl: timedelta, hold: timedelta, resume: str | None) -> Reservation:
    booking = _booking(at, reservation)
    if booking.reservation.state != "pending":
        raise ReservationExpired(reservation)
    if resume is not None:
        booking = booking.but(resume=resume)
    return _renewed(at, booking, ttl, hold).reservation


def commit(
    at: Decision, reservation: str, written: Written, limits: Limits | None, only_over: Key | None
) -> tuple[AudioFile, Sequence[Removal]]:
    booking = _booking(at, reservation)
    made = booking.reservation
    if made.state == "committed":
        return visible(at, made.owner, made.file_id), ()
    if made.state != "pending":
        raise ReservationExpired(reservation)
    replaced = None if made.replaces is None else visible(at, made.owner, made.replaces)
    if replaced is not None and only_over not in {None, replaced.key}:
        raise NotFound(f"{made.replaces} under its earlier key")
    given_up = _finish_upload_of(at, booking) if booking.stands_in else ()
    if written.size > made.size:
        _check_excess(at, booking, replaced, written.size, limits)
    _finish(at, booking, "committed")
    if replaced is None:
        file = _new_file(at, made, written)
        at.tables.add_record(Record(file=file))
        at.tables.charge(made.owner, committed=written.size, files=1)
        return file, given_up
    file = _changed_file(replaced, made, written)
    at.tables.change_record(Record(file=file))
    at.tables.charge(made.owner, committed=written.size - replaced.size)
    _settle(at, file)
    return file, (queue(at, replaced.backend, replaced.key, owner=made.owner, delay=at.removal_delay),)


def release(at: Decision, reservation: str, *, erase: bool) -> Sequence[Removal]:
    booking = at.tables.booking(reservation)
    if booking is None or booking.reservation.state != "pending":
        return ()
    _give_up(at, booking, "released")
    return (_queue_key(at, booking, at.removal_delay),) if erase else ()


def expire(at: Decision, limit: int, keep: timedelta) -> int:
    overdue = at.tables.overdue(at.now, limit=limit)
    for booking in overdue:
        _expire(at, booking)
    at.tables.drop_finished(at.now - keep, limit)
    return len(overdue)


def adopt(at: Decision, file: AudioFile) -> bool:
    """Record a file that another catalog had, charged whatever the quota says; tell whether it is recorded here."""
    record = at.tables.record(file.id)
    if record is not None:
        return record.file.owner == file.owner
    if at.tables.holders(file.backend, file.key):
        return False
    at.tables.add_record(Record(file=file))
    at.tables.charge(file.owner, committed=file.size, files=1)
    return True


def visible(at: Decision, owner: str, file: str) -> AudioFile:
    """Give the record that *owner* may see. Raises NotFound."""
    record = at.tables.record(file)
    if record is None or record.hidden or record.file.owner != owner:
        raise NotFound(file)
    return record.file


def override_of(at: Decision, owner: str) -> Override | None:
    """Give the override of *owner* that is in force now."""
    override = at.tables.override(owner)
    if override is None or (override.until is not None and override.until <= at.now):
        return None
    return override


def _earlier(at: Decision, request: Request) -> Booking | None:
    """Find the booking that answers this request already; let a dead one's idempotency key go."""
    repeated = at.tables.booking(request.id)
    if repeated is not None:
        # The very same call again: its first answer was lost on the way.
        made = repeated.reservation
        asked = (request.owner, request.backend, request.key, "pending")
        if (made.owner, made.backend, made.key, made.state) != asked or not rules.is_same(repeated, request):
            raise AlreadyExists(request.id)
        return _renewed(at, repeated, request.ttl, request.hold)
    if request.idempotency_key is None:
        return None
    earlier = at.tables.booking_of(request.owner, request.idempotency_key)
    if earlier is None:
        return None
    if not _lives(at, earlier):
        at.tables.change_booking(replace(earlier, idempotency_key=None))
        return None
    if not rules.is_same(earlier, request):
        raise AlreadyExists(request.idempotency_key, reason="idempotency")
    if earlier.reservation.state == "committed":
        return earlier
    if earlier.held_until > at.now:
        raise Unavailable("another caller is uploading with this idempotency key", retryable=True)
    return _renewed(at, earlier, request.ttl, request.hold)


def _stood_in_for(at: Decision, request: Request) -> Reservation | None:
    """Find the upload that this request is to stand in for. It keeps its room and its bytes until the commit."""
    if request.instead_of is None:
        return None
    booking = _booking(at, request.instead_of)
    made = booking.reservation
    if (made.owner, made.state, booking.is_new_file) != (request.owner, "pending", True):
        raise ReservationExpired(made.id)
    return _renewed(at, booking, request.ttl, request.hold).reservation


def _finish_upload_of(at: Decision, booking: Booking) -> Sequence[Removal]:
    """Finish the upload that a commit stands in for: its room is the commit's now, its bytes are superfluous."""
    upload = _booking(at, booking.reservation.file_id)
    if upload.reservation.state != "pending":
        raise ReservationExpired(upload.reservation.id)
    _finish(at, upload, "committed")
    return (_queue_key(at, upload, at.removal_delay),)


def _lives(at: Decision, booking: Booking) -> bool:
    made = booking.reservation
    if made.state != "committed":
        return made.state == "pending"
    record = at.tables.record(made.file_id)
    return record is not None and not record.hidden


def _make_room(
    at: Decision, owner: str, limits: Limits, takes: Callable[[], int], *, new_files: int = 0, spare: str = ""
) -> None:
    """Raise QuotaExceeded unless it fits; before that, take back what the owner's overdue reservations hold."""

    def refusal() -> QuotaExceeded | None:
        return rules.refusal(at.tables.account(owner), limits, takes=takes(), new_files=new_files)

    refused = refusal()
    if refused is not None:
        for booking in at.tables.overdue(at.now, owner=owner):
            if booking.reservation.id != spare:
                _expire(at, booking)
        refused = refusal()
    if refused is not None:
        raise refused


def _check_excess(at: Decision, booking: Booking, replaced: AudioFile | None, size: int, limits: Limits | None) -> None:
    made = booking.reservation
    held = rules.in_force(made.owner, limits, override_of(at, made.owner))
    rules.check_one_file(size, held)

    def takes() -> int:
        if replaced is None:
            return size - made.size
        rivals = at.tables.replacing(replaced.id)
        others = [each.reservation.size for each in rivals if each.reservation.id != made.id]
        return max([size, *others]) - rules.footprint(replaced, rivals)

    _make_room(at, made.owner, held, takes, spare=made.id)


def _booked(at: Decision, request: Request, file_id: str, charged: int) -> Booking:
    return Booking(
        reservation=Reservation(
            id=request.id,
            owner=request.owner,
            place=rules.parse_place(request.place),
            filename=request.filename,
            key=request.key,
            backend=request.backend,
            size=request.size,
            charged=charged,
            state="pending",
            file_id=file_id,
            replaces=request.replaces,
            sha256=request.sha256,
            content_type=request.content_type,
            metadata=request.metadata,
            resume=None,
            created_at=at.now,
            expires_at=rules.later(at.now, request.ttl),
        ),
        held_until=rules.later(at.now, request.hold),
        idempotency_key=request.idempotency_key,
    )


def _booking(at: Decision, reservation: str) -> Booking:
    booking = at.tables.booking(reservation)
    if booking is None:
        # Finished reservations are forgotten in time, so an unknown one is one that came too late.
        raise ReservationExpired(reservation)
    return booking


def _renewed(at: Decision, booking: Booking, ttl: timedelta, hold: timedelta) -> Booking:
    # Never sooner than it was to: a link that was given out for longer stays good.
    expires_at = max(booking.reservation.expires_at, rules.later(at.now, ttl))
    renewed = replace(booking.but(expires_at=expires_at), held_until=rules.later(at.now, hold))
    at.tables.change_booking(renewed)
    return renewed


def _expire(at: Decision, booking: Booking) -> None:
    _give_up(at, booking, "expired")
    # Due at once: nobody is left who would erase the bytes.
    _queue_key(at, booking, timedelta(0))


def _give_up(at: Decision, booking: Booking, state: Literal["released", "expired"]) -> None:
    made = booking.reservation
    _finish(at, booking, state)
    record = None if made.replaces is None else at.tables.record(made.replaces)
    if record is not None:
        _settle(at, record.file)


def _queue_key(at: Decision, booking: Booking, delay: timedelta) -> Removal:
    made = booking.reservation
    return queue(at, made.backend, made.key, owner=made.owner, delay=delay)


def _finish(at: Decision, booking: Booking, state: Literal["committed", "released", "expired"]) -> None:
    """End a reservation, and take its charge off the ledger."""
    made = booking.reservation
    # What is read afterwards may be of another decision: overdue bookings come in lists, and settling recharges them.
    charged = _booking(at, made.id).reservation.charged
    at.tables.change_booking(replace(booking.but(state=state, charged=0), finished_at=at.now))
    at.tables.charge(made.owner, reserved=-charged, pending=-int(booking.is_new_file))


def _settle(at: Decision, file: AudioFile) -> None:
    """Let the largest pending replacement of *file* hold its growth, and the others nothing (see ``footprint``)."""
    for rank, booking in enumerate(at.tables.replacing(file.id)):
        made = booking.reservation
        charged = max(0, made.size - file.size) if rank == 0 else 0
        if charged != made.charged:
            at.tables.change_booking(booking.but(charged=charged))
            at.tables.charge(made.owner, reserved=charged - made.charged)


def _new_file(at: Decision, made: Reservation, written: Written) -> AudioFile:
    return AudioFile(
        id=made.file_id,
        owner=made.owner,
        project=made.place.project,
        chapter=made.place.chapter,
        section=made.place.section,
        filename=made.filename,
        key=made.key,
        backend=made.backend,
        size=written.size,
        sha256=written.sha256,
        content_type=written.content_type,
        duration=written.duration,
        created_at=at.now,
        metadata=made.metadata,
    )


def _changed_file(replaced: AudioFile, made: Reservation, written: Written) -> AudioFile:
    # Place and created_at stay: a new take of a file is the same file of the book, wherever it was moved meanwhile.
    return replace(
        replaced,
        filename=made.filename,
        key=made.key,
        backend=made.backend,
        size=written.size,
        sha256=written.sha256,
        content_type=written.content_type,
        duration=written.duration,
        metadata=made.metadata,
    )
