"""The suite is only worth something if it finds fault: each catalog here has one, and a named test that sees it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, BrokenBarrierError, Lock

import pytest

from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.rows import Account
from audiostore.errors import AudioStoreError, QuotaExceeded, ReservationExpired
from audiostore.keys import Key
from audiostore.models import ANYWHERE, AudioFile, Limits, Override, Place, Removal, Reservation, Usage
from audiostore.protocols import Request, Written
from audiostore.testing import CatalogSuite, SettableClock
from audiostore.testing.customer import Customer


class ChecksAndThenAdds(MemoryCatalog):
    def __init__(self, *, clock: SettableClock) -> None:
        super().__init__(clock=clock)
        self._between = Barrier(2)

    def reserve(self, request: Request) -> Reservation:
        usage = self.usage(request.owner, request.limits)
        if usage.available is not None and request.size > usage.available:
            raise QuotaExceeded(request.owner, limit=usage.quota)
        with suppress(BrokenBarrierError):
            self._between.wait(1)
        return super().reserve(replace(request, limits=Limits()))


class ForgetsToRelease(MemoryCatalog):
    def release(self, reservation: str, *, erase: bool = True) -> Sequence[Removal]:
        return ()


class AlwaysQueuesTheKey(MemoryCatalog):
    def release(self, reservation: str, *, erase: bool = True) -> Sequence[Removal]:
        return super().release(reservation)


class ChargesAgainOnReplay(MemoryCatalog):
    def commit(
        self, reservation: str, written: Written, *, limits: Limits | None, only_over: Key | None = None
    ) -> tuple[AudioFile, Sequence[Removal]]:
        replay = self.reservation(reservation).state == "committed"
        file, removals = super().commit(reservation, written, limits=limits, only_over=only_over)
        if replay:
            with self._writing(durable=True) as tables:
                tables.charge(file.owner, committed=file.size)
        return file, removals


class RefusesLateCommits(MemoryCatalog):
    def commit(
        self, reservation: str, written: Written, *, limits: Limits | None, only_over: Key | None = None
    ) -> tuple[AudioFile, Sequence[Removal]]:
        if self.reservation(reservation).expires_at.timestamp() < self._clock():
            raise ReservationExpired(reservation)
        return super().commit(reservation, written, limits=limits, only_over=only_over)


class ChargesTheReserved(MemoryCatalog):
    def commit(
        self, reservation: str, written: Written, *, limits: Limits | None, only_over: Key | None = None
    ) -> tuple[AudioFile, Sequence[Removal]]:
        size = max(written.size, self.reservation(reservation).size)
        return super().commit(reservation, replace(written, size=size), limits=limits, only_over=only_over)


class ReusesQueuedKeys(MemoryCatalog):
    def reserve(self, request: Request) -> Reservation:
        with self._lock:
            for queued in list(self._tables._queue.values()):
                if queued.removal.key == request.key:
                    self._tables.drop_queued(queued.removal.id)
        return super().reserve(request)


class ForgetsIdempotency(MemoryCatalog):
    def reserve(self, request: Request) -> Reservation:
        return super().reserve(replace(request, idempotency_key=None))


class IgnoresHolds(MemoryCatalog):
    def reserve(self, request: Request) -> Reservation:
        return super().reserve(replace(request, hold=timedelta(0)))


class ChargesAllOfAReplacement(MemoryCatalog):
    def reserve(self, request: Request) -> Reservation:
        reservation = super().reserve(request)
        if request.replaces:
            with self._writing(durable=True) as tables:
                tables.charge(request.owner, reserved=request.size - reservation.charged)
        return reservation


class FailsOpen(MemoryCatalog):
    def reserve(self, request: Request) -> Reservation:
        return super().reserve(replace(request, limits=request.limits or Limits()))


class CountsHiddenFilesFree(MemoryCatalog):
    def hide(self, owner: str, files: Sequence[str]) -> Sequence[Removal]:
        found = self.find(files)
        removals = super().hide(owner, files)
        with self._writing(durable=True) as tables:
            for file in found:
                tables.charge(owner, committed=-file.size, files=-1)
        return removals


class DeletesForAnyone(MemoryCatalog):
    def hide(self, owner: str, files: Sequence[str]) -> Sequence[Removal]:
        return [removal for file in self.find(files) for removal in super(type(self), self).hide(file.owner, [file.id])]


class ForgetsOnlyTheRemoval(MemoryCatalog):
    def forget(self, removals: Sequence[str]) -> None:
        with self._writing(durable=True) as tables:
            for removal in removals:
                if tables.queued(removal):
                    tables.drop_queued(removal)


class HandsOutAtOnce(MemoryCatalog):
    def __init__(self, *, clock: SettableClock) -> None:
        super().__init__(clock=clock, removal_delay=timedelta(0))


class HandsOutTwice(MemoryCatalog):
    def claim(self, limit: int, lease: timedelta) -> Sequence[Removal]:
        claimed = super().claim(limit, timedelta(0))
        self.postpone([each.id for each in claimed[1:]], lease)
        return claimed


class DiscardsWhatIsReferredTo(MemoryCatalog):
    def discard(self, backend: str, keys: Sequence[Key], delay: timedelta) -> None:
        for key in keys:
            with suppress(FileNotFoundError):
                file = self.find_key(key)
                self.hide(file.owner, [file.id])
        super().discard(backend, keys, delay)


class KnowsOnlyFiles(MemoryCatalog):
    def known(self, backend: str, keys: Sequence[Key]) -> frozenset[Key]:
        with self._reading() as tables:
            return frozenset(key for key in keys if tables.record_at(key, backend))


class NeverExpires(MemoryCatalog):
    def expire(self, limit: int) -> int:
        return 0


class PrefersThePolicy(MemoryCatalog):
    def usage(self, owner: str, limits: Limits | None) -> Usage:
        usage = super().usage(owner, limits)
        return usage if limits is None else replace(usage, limits=limits)


class KeepsOverridesForGood(MemoryCatalog):
    def set_override(self, owner: str, override: Override | None) -> None:
        super().set_override(owner, override and replace(override, until=None))


class StartsEveryPageAnew(MemoryCatalog):
    def list(
        self, owner: str | None, place: Place = ANYWHERE, *, after: str | None = None, limit: int = 500
    ) -> Sequence[AudioFile]:
        return super().list(owner, place, limit=limit)


class ListsForAnyone(MemoryCatalog):
    def list(
        self, owner: str | None, place: Place = ANYWHERE, *, after: str | None = None, limit: int = 500
    ) -> Sequence[AudioFile]:
        return super().list(None, place, after=after, limit=limit)


class MovesForAnyone(MemoryCatalog):
    def move(self, owner: str, file: str, place: Place) -> AudioFile:
        return super().move(self.find([file])[0].owner, file, place)


class AdoptsForFree(MemoryCatalog):
    def adopt(self, files: Sequence[AudioFile]) -> frozenset[str]:
        taken = super().adopt(files)
        with self._writing(durable=True) as tables:
            for file in files:
                tables.charge(file.owner, committed=-file.size if file.id in taken else 0)
        return taken


class AdoptsWhatIsSpokenFor(MemoryCatalog):
    def adopt(self, files: Sequence[AudioFile]) -> frozenset[str]:
        return super().adopt(files) | {file.id for file in files}


class LosesTheLedger(MemoryCatalog):
    """Two decisions at once, each of which writes what it read before the other one wrote."""

    def __init__(self, *, clock: SettableClock) -> None:
        super().__init__(clock=clock)
        self._stale: dict[str, Account] = {}
        self._guard = Lock()

    def release(self, reservation: str, *, erase: bool = True) -> Sequence[Removal]:
        with self._guard:
            owner = self.reservation(reservation).owner
            before = self._tables.account(owner)
            removals = super().release(reservation, erase=erase)
            self._tables._accounts[owner] = before
        return removals


WRONG: dict[type[MemoryCatalog], str] = {
    ChecksAndThenAdds: "test_not_even_when_all_come_at_once",
    ForgetsToRelease: "test_a_release_gives_the_room_back_and_queues_the_key",
    AlwaysQueuesTheKey: "test_a_release_without_erase_leaves_the_key_alone",
    ChargesAgainOnReplay: "test_committing_again_gives_the_same_file_and_charges_once",
    RefusesLateCommits: "test_a_late_commit_counts_as_long_as_nobody_expired_it",
    ChargesTheReserved: "test_fewer_bytes_than_reserved_give_the_rest_back",
    ReusesQueuedKeys: "test_a_key_is_taken_by_a_reservation_a_file_and_a_removal_of_its_backend",
    ForgetsIdempotency: "test_the_same_request_again_gives_the_first_reservation",
    IgnoresHolds: "test_a_live_caller_keeps_its_reservation_to_itself",
    ChargesAllOfAReplacement: "test_only_the_growth_is_charged",
    FailsOpen: "test_a_quota_that_nobody_set_refuses",
    CountsHiddenFilesFree: "test_a_hidden_file_is_not_seen_but_counted_until_its_bytes_are_gone",
    DeletesForAnyone: "test_deleting_leaves_out_what_is_foreign_missing_or_deleted",
    ForgetsOnlyTheRemoval: "test_a_hidden_file_is_not_seen_but_counted_until_its_bytes_are_gone",
    HandsOutAtOnce: "test_a_fresh_removal_is_left_to_its_causer_for_a_while",
    HandsOutTwice: "test_no_more_than_the_limit_is_claimed",
    DiscardsWhatIsReferredTo: "test_orphans_are_queued_and_what_is_referred_to_is_left_alone",
    KnowsOnlyFiles: "test_every_key_that_something_refers_to_is_known",
    NeverExpires: "test_an_expired_reservation_is_over_and_its_key_goes",
    PrefersThePolicy: "test_an_override_wins_over_the_policy_field_by_field",
    KeepsOverridesForGood: "test_an_override_ends_when_it_is_meant_to",
    StartsEveryPageAnew: "test_pages_follow_one_another_while_files_come_and_go",
    ListsForAnyone: "test_nobody_lists_what_is_not_theirs",
    MovesForAnyone: "test_a_file_moves_to_another_place_of_a_book",
    AdoptsForFree: "test_records_of_another_catalog_are_taken_over_as_they_are",
    AdoptsWhatIsSpokenFor: "test_nothing_is_taken_over_that_is_spoken_for",
    LosesTheLedger: "test_a_released_reservation_is_over",
}


def run_one(name: str, catalog: MemoryCatalog, clock: SettableClock) -> None:
    """Run one test of the suite as pytest would, with the audit at its end."""
    alice = Customer(catalog)
    have = {"alice": alice, "catalog": catalog, "clock": clock, "advance": clock.advance}
    test = getattr(CatalogSuite(), name)
    test(**{parameter: have[parameter] for parameter in inspect.signature(test).parameters})
    assert not catalog.audit(alice.name)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong.__name__))
def test_a_wrong_catalog_is_found_out(wrong: type[MemoryCatalog]) -> None:
    clock = SettableClock()
    with pytest.raises((AssertionError, AudioStoreError, ValueError, pytest.fail.Exception)):
        run_one(WRONG[wrong], wrong(clock=clock), clock)


@pytest.mark.parametrize("name", sorted(set(WRONG.values())))
def test_a_right_catalog_passes_the_same_tests(name: str) -> None:
    clock = SettableClock()
    run_one(name, MemoryCatalog(clock=clock), clock)
