"""What a catalog remembers, row by row, and the tables that keep the rows for the length of one decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias

from audiostore.keys import Key
from audiostore.models import AudioFile, Override, Place, Removal, Reservation

Holder: TypeAlias = Literal["record", "hidden", "pending", "removal"]
"""What may refer to a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One owner's ledger. ``files`` counts hidden records too; ``pending`` counts reservations of new files."""

    owner: str
    committed: int = 0
    reserved: int = 0
    files: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A reservation, with what only the catalog needs to know of it."""

    reservation: Reservation
    held_until: datetime
    idempotency_key: str | None = None
    finished_at: datetime | None = None

    @property
    def stands_in(self) -> bool:
        """Tell whether it takes the place of an upload, whose id (and whose file's) it then bears as ``file_id``."""
        made = self.reservation
        return made.replaces is None and made.file_id != made.id

    @property
    def is_new_file(self) -> bool:
        """Tell whether it counts as a file to come. What stands in for an upload does not: the upload counts."""
        return self.reservation.replaces is None and not self.stands_in

    def but(self, **facts: Any) -> Booking:
        """Give the same booking with other facts of its reservation."""
        return replace(self, reservation=replace(self.reservation, **facts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A file; hidden once its deletion has begun, and charged until it is forgotten."""

    file: AudioFile
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A removal, the moment from which it may be handed out, and the hidden record that goes with it."""

    removal: Removal
    due: datetime
    file: str | None = None


class Tables(Protocol):
    """The rows, inside one decision: what is read stays true until the decision ends; all changes count, or none."""

    def account(self, owner: str) -> Account:
        """Give the ledger of *owner*; zeros if there is none yet."""
        ...

    def charge(self, owner: str, *, committed: int = 0, reserved: int = 0, files: int = 0, pending: int = 0) -> None:
        """Add to the ledger of *owner*."""
        ...

    def booking(self, id: str) -> Booking | None: ...

    def booking_of(self, owner: str, idempotency_key: str) -> Booking | None: ...

    def add_booking(self, booking: Booking) -> None: ...

    def change_booking(self, booking: Booking) -> None:
        """Write what may change: charge, state, resume, times, idempotency key."""
        ...

    def pending(self, owner: str) -> Sequence[Booking]: ...

    def replacing(self, file: str) -> Sequence[Booking]:
        """Give the pending replacements of one file, largest first."""
        ...

    def overdue(self, now: datetime, *, owner: str | None = None, limit: int | None = None) -> Sequence[Booking]: ...

    def drop_finished(self, before: datetime, limit: int) -> None: ...

    def record(self, id: str) -> Record | None: ...

    def record_at(self, key: Key, backend: str | None) -> Record | None:
        """Give the visible record with this key; the youngest, should several backends have one."""
        ...

    def add_record(self, record: Record) -> None: ...

    def change_record(self, record: Record) -> None: ...

    def drop_record(self, id: str) -> None: ...

    def page(self, owner: str | None, place: Place, after: str, limit: int) -> Sequence[AudioFile]: ...

    def queued(self, id: str) -> Queued | None: ...

    def add_queued(self, queued: Queued) -> None: ...

    def change_queued(self, queued: Queued) -> None:
        """Write what may change: due, attempts."""
        ...

    def drop_queued(self, id: str) -> None: ...

    def due(self, now: datetime, limit: int) -> Sequence[Queued]: ...

    def holders(self, backend: str, key: Key) -> frozenset[Holder]: ...

    def override(self, owner: str) -> Override | None: ...

    def put_override(self, owner: str, override: Override | None) -> None: ...

    def unequal(self, owner: str | None) -> Sequence[tuple[Account, Account]]:
        """Give (ledger, what the rows add up to) wherever the two differ."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What every decision has at hand."""

    tables: Tables
    now: datetime
    removal_delay: timedelta
