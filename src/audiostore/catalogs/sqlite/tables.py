"""The rows in SQLite: every statement there is, and how a row becomes a value."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from audiostore.catalogs.rows import Account, Booking, Holder, Queued, Record
from audiostore.keys import Key
from audiostore.models import UNSET, AudioFile, Override, Place, Removal, Reservation

_Row = TypeVar("_Row")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_BOOKING = (
    "id, owner, project, chapter, section, filename, key, backend, size, charged, state, file_id, replaces, sha256,"
    " content_type, metadata, resume, created_at, expires_at, held_until, idempotency_key, finished_at"
)
_RECORD = (
    "id, owner, project, chapter, section, filename, key, backend, size, sha256, content_type, duration, created_at,"
    " metadata, hidden"
)
_REMOVAL = "id, backend, key, owner, file, attempts, due"

_SELECT_BOOKING = f"SELECT {_BOOKING} FROM reservations WHERE"  # noqa: S608 - our own words
_SELECT_RECORD = f"SELECT {_RECORD} FROM records WHERE"  # noqa: S608
_SELECT_REMOVAL = f"SELECT {_REMOVAL} FROM removals WHERE"  # noqa: S608

_HOLDERS = """
    SELECT CASE hidden WHEN 0 THEN 'record' ELSE 'hidden' END FROM records WHERE key = :key AND backend = :backend
    UNION ALL SELECT 'pending' FROM reservations WHERE key = :key AND backend = :backend AND state = 'pending'
    UNION ALL SELECT 'removal' FROM removals WHERE key = :key AND backend = :backend
"""

_UNEQUAL = """
    WITH parts (owner, committed, reserved, files, pending) AS (
        SELECT owner, sum(size), 0, count(*), 0 FROM records WHERE {owner} GROUP BY owner
        UNION ALL
        SELECT owner, 0, sum(charged), 0, sum(replaces IS NULL AND file_id = id)
        FROM reservations WHERE state = 'pending' AND {owner} GROUP BY owner
        UNION ALL
        SELECT owner, 0, 0, 0, 0 FROM accounts WHERE {owner}
    ), truth AS (
        SELECT owner, sum(committed) AS committed, sum(reserved) AS reserved, sum(files) AS files,
            sum(pending) AS pending
        FROM parts GROUP BY owner
    )
    SELECT owner, ifnull(ledger.committed, 0), ifnull(ledger.reserved, 0), ifnull(ledger.files, 0),
        ifnull(ledger.pending, 0), truth.committed, truth.reserved, truth.files, truth.pending
    FROM truth LEFT JOIN accounts AS ledger USING (owner)
    WHERE (ledger.committed, ledger.reserved, ledger.files, ledger.pending)
        IS NOT (truth.committed, truth.reserved, truth.files, truth.pending)
    ORDER BY owner
"""


class SQLiteTables:
    """The tables, inside the transaction that is open on *connection*."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def account(self, owner: str) -> Account:
        row = self._run("SELECT committed, reserved, files, pending FROM accounts WHERE owner = ?", (owner,)).fetchone()
        return _account(owner, row or (0, 0, 0, 0))

    def charge(self, owner: str, *, committed: int = 0, reserved: int = 0, files: int = 0, pending: int = 0) -> None:
        changes = (committed, reserved, files, pending, owner)
        # Not an upsert: its CHECKs would judge the change instead of the sum.
        changed = self._run(
            "UPDATE accounts SET committed = committed + ?, reserved = reserved + ?, files = files + ?,"
            " pending = pending + ? WHERE owner = ?",
            changes,
        )
        if not changed.rowcount:
            self._run(
                "INSERT INTO accounts (committed, reserved, files, pending, owner) VALUES (?, ?, ?, ?, ?)", changes
            )

    def booking(self, id: str) -> Booking | None:
        return _first(self._bookings(f"{_SELECT_BOOKING} id = ?", id))

    def booking_of(self, owner: str, idempotency_key: str) -> Booking | None:
        return _first(self._bookings(f"{_SELECT_BOOKING} owner = ? AND idempotency_key = ?", owner, idempotency_key))

    def add_booking(self, booking: Booking) -> None:
        values = _of_booking(booking)
        self._run(f"INSERT INTO reservations ({_BOOKING}) VALUES ({_marks(values)})", values)  # noqa: S608

    def change_booking(self, booking: Booking) -> None:
        made = booking.reservation
        self._run(
            "UPDATE reservations SET charged = ?, state = ?, resume = ?, expires_at = ?, held_until = ?,"
            " idempotency_key = ?, finished_at = ? WHERE id = ?",
            (
                made.charged,
                made.state,
                made.resume,
                _micros(made.expires_at),
                _micros(booking.held_until),
                booking.idempotency_key,
                None if booking.finished_at is None else _micros(booking.finished_at),
                made.id,
            ),
        )

    def pending(self, owner: str) -> Sequence[Booking]:
        return self._bookings(f"{_SELECT_BOOKING} state = 'pending' AND owner = ? ORDER BY expires_at", owner)

    def replacing(self, file: str) -> Sequence[Booking]:
        return self._bookings(f"{_SELECT_BOOKING} state = 'pending' AND replaces = ? ORDER BY size DESC, id", file)

    def overdue(self, now: datetime, *, owner: str | None = None, limit: int | None = None) -> Sequence[Booking]:
        late = "state = 'pending' AND expires_at <= ?"
        rest = "ORDER BY expires_at LIMIT ?"
        rows = -1 if limit is None else limit
        if owner is None:
            return self._bookings(f"{_SELECT_BOOKING} {late} {rest}", _micros(now), rows)
        return self._bookings(f"{_SELECT_BOOKING} owner = ? AND {late} {rest}", owner, _micros(now), rows)

    def drop_finished(self, before: datetime, limit: int) -> None:
        self._run(
            "DELETE FROM reservations WHERE id IN (SELECT id FROM reservations WHERE finished_at IS NOT NULL"
            " AND finished_at <= ? ORDER BY finished_at LIMIT ?)",
            (_micros(before), limit),
        )

    def record(self, id: str) -> Record | None:
        return _first(self._records(f"{_SELECT_RECORD} id = ?", id))

    def record_at(self, key: Key, backend: str | None) -> Record | None:
        there, rest = "key = ? AND NOT hidden", "ORDER BY id DESC LIMIT 1"
        if backend is None:
            return _first(self._records(f"{_SELECT_RECORD} {there} {rest}", key))
        return _first(self._records(f"{_SELECT_RECORD} {there} AND backend = ? {rest}", key, backend))

    def add_record(self, record: Record) -> None:
        values = _of_record(record)
        self._run(f"INSERT INTO records ({_RECORD}) VALUES ({_marks(values)})", values)  # noqa: S608

    def change_record(self, record: Record) -> None:
        values = _of_record(record)
        self._run(
            f"UPDATE records SET ({_RECORD}) = ({_marks(values)}) WHERE id = ?",  # noqa: S608
            (*values, record.file.id),
        )

    def drop_record(self, id: str) -> None:
        self._run("DELETE FROM records WHERE id = ?", (id,))

    def page(self, owner: str | None, place: Place, after: str, limit: int) -> Sequence[AudioFile]:
        wanted = {"owner": owner, "project": place.project, "chapter": place.chapter, "section": place.section}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join([*(f"{name} = ?" for name in given), "id > ?", "NOT hidden"])
        found = self._records(f"{_SELECT_RECORD} {where} ORDER BY id LIMIT ?", *given.values(), after, limit)
        return [record.file for record in found]

    def queued(self, id: str) -> Queued | None:
        return _first(self._removals(f"{_SELECT_REMOVAL} id = ?", id))

    def add_queued(self, queued: Queued) -> None:
        removal = queued.removal
        values = (
            removal.id,
            removal.backend,
            removal.key,
            removal.owner,
            queued.file,
            removal.attempts,
            _micros(queued.due),
        )
        self._run(f"INSERT INTO removals ({_REMOVAL}) VALUES ({_marks(values)})", values)  # noqa: S608

    def change_queued(self, queued: Queued) -> None:
        removal = queued.removal
        self._run(
            "UPDATE removals SET attempts = ?, due = ? WHERE id = ?",
            (removal.attempts, _micros(queued.due), removal.id),
        )

    def drop_queued(self, id: str) -> None:
        self._run("DELETE FROM removals WHERE id = ?", (id,))

    def due(self, now: datetime, limit: int) -> Sequence[Queued]:
        return self._removals(f"{_SELECT_REMOVAL} due <= ? ORDER BY due LIMIT ?", _micros(now), limit)

    def holders(self, backend: str, key: Key) -> frozenset[Holder]:
        return frozenset(row[0] for row in self._run(_HOLDERS, {"backend": backend, "key": key}))

    def override(self, owner: str) -> Override | None:
        row = self._run("SELECT numbers, until FROM overrides WHERE owner = ?", (owner,)).fetchone()
        return None if row is None else Override(**json.loads(row[0]), until=None if row[1] is None else _time(row[1]))

    def put_override(self, owner: str, override: Override | None) -> None:
        self._run("DELETE FROM overrides WHERE owner = ?", (owner,))
        if override is None:
            return
        numbers = {"total": override.total, "per_file": override.per_file, "files": override.files}
        given = json.dumps({name: number for name, number in numbers.items() if number is not UNSET})
        until = None if override.until is None else _micros(override.until)
        self._run("INSERT INTO overrides (owner, numbers, until) VALUES (?, ?, ?)", (owner, given, until))

    def unequal(self, owner: str | None) -> Sequence[tuple[Account, Account]]:
        query = _UNEQUAL.format(owner="true" if owner is None else "owner = :owner")
        rows = self._run(query, {} if owner is None else {"owner": owner}).fetchall()
        return [(_account(row[0], row[1:5]), _account(row[0], row[5:9])) for row in rows]

    def _bookings(self, query: str, *values: object) -> list[Booking]:
        return [_booking(row) for row in self._run(query, values).fetchall()]

    def _records(self, query: str, *values: object) -> list[Record]:
        return [_record(row) for row in self._run(query, values).fetchall()]

    def _removals(self, query: str, *values: object) -> list[Queued]:
        return [_queued(row) for row in self._run(query, values).fetchall()]


def _first(rows: Sequence[_Row]) -> _Row | None:
    return rows[0] if rows else None


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _account(owner: str, sums: Sequence[int]) -> Account:
    committed, reserved, files, pending = sums
    return Account(owner=owner, committed=committed, reserved=reserved, files=files, pending=pending)


def _of_booking(booking: Booking) -> tuple[object, ...]:
    made = booking.reservation
    return (
        made.id,
        made.owner,
        made.place.project,
        made.place.chapter,
        made.place.section,
        made.filename,
        made.key,
        made.backend,
        made.size,
        made.charged,
        made.state,
        made.file_id,
        made.replaces,
        made.sha256,
        made.content_type,
        json.dumps(made.metadata),
        made.resume,
        _micros(made.created_at),
        _micros(made.expires_at),
        _micros(booking.held_until),
        booking.idempotency_key,
        None if booking.finished_at is None else _micros(booking.finished_at),
    )


def _booking(row: Sequence[Any]) -> Booking:
    return Booking(
        reservation=Reservation(
            id=row[0],
            owner=row[1],
            place=Place(row[2], row[3], row[4]),
            filename=row[5],
            key=Key(row[6]),
            backend=row[7],
            size=row[8],
            charged=row[9],
            state=row[10],
            file_id=row[11],
            replaces=row[12],
            sha256=row[13],
            content_type=row[14],
            metadata=json.loads(row[15]),
            resume=row[16],
            created_at=_time(row[17]),
            expires_at=_time(row[18]),
        ),
        held_until=_time(row[19]),
        idempotency_key=row[20],
        finished_at=None if row[21] is None else _time(row[21]),
    )


def _of_record(record: Record) -> tuple[object, ...]:
    file = record.file
    return (
        file.id,
        file.owner,
        file.project,
        file.chapter,
        file.section,
        file.filename,
        file.key,
        file.backend,
        file.size,
        file.sha256,
        file.content_type,
        file.duration,
        _micros(file.created_at),
        json.dumps(file.metadata),
        record.hidden,
    )


def _record(row: Sequence[Any]) -> Record:
    return Record(
        file=AudioFile(
            id=row[0],
            owner=row[1],
            project=row[2],
            chapter=row[3],
            section=row[4],
            filename=row[5],
            key=Key(row[6]),
            backend=row[7],
            size=row[8],
            sha256=row[9],
            content_type=row[10],
            duration=row[11],
            created_at=_time(row[12]),
            metadata=json.loads(row[13]),
        ),
        hidden=bool(row[14]),
    )


def _queued(row: Sequence[Any]) -> Queued:
    return Queued(
        removal=Removal(id=row[0], backend=row[1], key=Key(row[2]), owner=row[3], attempts=row[5]),
        due=_time(row[6]),
        file=row[4],
    )
