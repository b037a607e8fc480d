"""The ``Catalog`` contract over any tables: one method, one decision, one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from audiostore.catalogs import removing, rules, uploading
from audiostore.catalogs.rows import Decision, Record, Tables
from audiostore.errors import NotFound
from audiostore.keys import Key
from audiostore.models import ANYWHERE, AudioFile, Limits, Override, Place, Removal, Reservation, Usage, parse_text
from audiostore.protocols import Request, Written
from audiostore.reports import Drift


class DecidedCatalog(ABC):
    """All of a catalog but where its rows are kept.

    *removal_delay* is how long a removal is left to the caller that caused it, *keep* how long finished reservations
    (and so idempotency keys) are remembered.
    """

    has_plans = False

    def __init__(self, *, clock: Callable[[], float], removal_delay: timedelta, keep: timedelta) -> None:
        self._clock = clock
        self._removal_delay = removal_delay
        self._keep = keep

    @abstractmethod
    def _writing(self, *, durable: bool) -> AbstractContextManager[Tables]:
        """Open one writing decision; *durable* ones outlive a power cut, others only the end of the process."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Tables]:
        """Open one snapshot."""

    def reserve(self, request: Request) -> Reservation:
        request = rules.parse_request(request)
        with self._deciding(durable=False) as at:
            return uploading.reserve(at, request)

    def extend(self, reservation: str, *, ttl: timedelta, hold: timedelta, resume: str | None = None) -> Reservation:
        rules.parse_optional("resume", resume)
        with self._deciding(durable=False) as at:
            return uploading.extend(at, rules.parse_id(reservation), ttl=ttl, hold=hold, resume=resume)

    def commit(
        self, reservation: str, written: Written, *, limits: Limits | None, only_over: Key | None = None
    ) -> tuple[AudioFile, Sequence[Removal]]:
        rules.parse_written(written)
        with self._deciding(durable=True) as at:
            return uploading.commit(at, rules.parse_id(reservation), written, limits, only_over)

    def release(self, reservation: str, *, erase: bool = True) -> Sequence[Removal]:
        with self._deciding(durable=False) as at:
            return uploading.release(at, rules.parse_id(reservation), erase=erase)

    def reservation(self, reservation: str) -> Reservation:
        with self._reading() as tables:
            booking = tables.booking(rules.parse_id(reservation))
        if booking is None:
            raise NotFound(reservation)
        return booking.reservation

    def pending(self, owner: str) -> Sequence[Reservation]:
        parse_text("owner", owner)
        with self._reading() as tables:
            return [booking.reservation for booking in tables.pending(owner)]

    def expire(self, limit: int) -> int:
        with self._deciding(durable=True) as at:
            return uploading.expire(at, rules.parse_count(limit), self._keep)

    def hide(self, owner: str, files: Sequence[str]) -> Sequence[Removal]:
        parse_text("owner", owner)
        with self._deciding(durable=True) as at:
            return removing.hide(at, owner, _ids(files))

    def forget(self, removals: Sequence[str]) -> None:
        with self._deciding(durable=True) as at:
            removing.forget(at, _ids(removals))

    def postpone(self, removals: Sequence[str], delay: timedelta) -> None:
        with self._deciding(durable=True) as at:
            removing.postpone(at, _ids(removals), delay)

    def claim(self, limit: int, lease: timedelta) -> Sequence[Removal]:
        with self._deciding(durable=True) as at:
            return removing.claim(at, rules.parse_count(limit), lease)

    def discard(self, backend: str, keys: Sequence[Key], delay: timedelta) -> None:
        parse_text("backend", backend)
        with self._deciding(durable=True) as at:
            removing.discard(at, backend, [Key(key) for key in keys], delay)

    def known(self, backend: str, keys: Sequence[Key]) -> frozenset[Key]:
        parse_text("backend", backend)
        with self._reading() as tables:
            return frozenset(key for key in map(Key, keys) if tables.holders(backend, key))

    def adopt(self, files: Sequence[AudioFile]) -> frozenset[str]:
        parsed = [rules.parse_file(each) for each in files]
        with self._deciding(durable=True) as at:
            return frozenset(each.id for each in parsed if uploading.adopt(at, each))

    def move(self, owner: str, file: str, place: Place) -> AudioFile:
        place = rules.parse_place(place)
        with self._deciding(durable=True) as at:
            found = uploading.visible(at, parse_text("owner", owner), rules.parse_id(file))
            moved = replace(found, project=place.project, chapter=place.chapter, section=place.section)
            at.tables.change_record(Record(file=moved))
        return moved

    def find(self, files: Sequence[str]) -> Sequence[AudioFile]:
        with self._reading() as tables:
            found = [tables.record(each) for each in dict.fromkeys(_ids(files))]
        return [record.file for record in found if record is not None and not record.hidden]

    def find_key(self, key: Key, *, backend: str | None = None) -> AudioFile:
        rules.parse_optional("backend", backend)
        with self._reading() as tables:
            record = tables.record_at(Key(key), backend)
        if record is None:
            raise NotFound(key)
        return record.file

    def list(
        self,
        owner: str | None,
        place: Place = ANYWHERE,
        *,
        after: str | None = None,
        limit: int = 500,
    ) -> Sequence[AudioFile]:
        rules.parse_optional("owner", owner)
        rules.parse_optional("after", after or None)
        with self._reading() as tables:
            return tables.page(owner, rules.parse_place(place), after or "", rules.parse_count(limit))

    def usage(self, owner: str, limits: Limits | None) -> Usage:
        parse_text("owner", owner)
        with self._seeing() as at:
            account = at.tables.account(owner)
            held = rules.in_force(owner, limits, uploading.override_of(at, owner))
        return Usage(
            used=account.committed,
            reserved=account.reserved,
            files=account.files,
            pending=account.pending,
            limits=held,
        )

    def plan(self, owner: str) -> Limits | None:
        return None

    def override(self, owner: str) -> Override | None:
        parse_text("owner", owner)
        with self._seeing() as at:
            return uploading.override_of(at, owner)

    def set_override(self, owner: str, override: Override | None) -> None:
        parse_text("owner", owner)
        if override is not None:
            rules.parse_override(override)
        with self._deciding(durable=True) as at:
            at.tables.put_override(owner, override)

    def audit(self, owner: str | None = None) -> Sequence[Drift]:
        rules.parse_optional("owner", owner)
        with self._reading() as tables:
            unequal = tables.unequal(owner)
        return tuple(found for ledger, truth in unequal for found in rules.drift(ledger, truth))

    def recount(self, owner: str | None = None) -> Sequence[Drift]:
        rules.parse_optional("owner", owner)
        with self._deciding(durable=True) as at:
            unequal = at.tables.unequal(owner)
            for ledger, truth in unequal:
                at.tables.charge(
                    ledger.owner,
                    committed=truth.committed - ledger.committed,
                    reserved=truth.reserved - ledger.reserved,
                    files=truth.files - ledger.files,
                    pending=truth.pending - ledger.pending,
                )
        return tuple(found for ledger, truth in unequal for found in rules.drift(ledger, truth))

    @contextmanager
    def _deciding(self, *, durable: bool) -> Generator[Decision]:
        with self._writing(durable=durable) as tables:
            yield self._decision(tables)

    @contextmanager
    def _seeing(self) -> Generator[Decision]:
        with self._reading() as tables:
            yield self._decision(tables)

    def _decision(self, tables: Tables) -> Decision:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return Decision(tables=tables, now=now, removal_delay=self._removal_delay)


def _ids(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str):
        raise TypeError("pass a list of ids, not one id")
    return [rules.parse_id(each) for each in ids]
