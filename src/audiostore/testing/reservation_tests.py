"""What must hold of reservations, whatever the catalog. ``CatalogSuite`` has the fixtures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audiostore.errors import AlreadyExists, FileTooLarge, NotFound, QuotaExceeded, ReservationExpired, Unavailable
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Limits, Place
from audiostore.protocols import Catalog
from audiostore.testing.customer import DAY, HOUR, MINUTE, Customer

Advance = Callable[[timedelta], Any]


class ReservationTests:
    """Reserve, extend, commit, release, expire."""

    def test_room_is_taken_before_the_bytes_arrive(self, alice: Customer) -> None:
        reservation = alice.reserves(60)
        assert (reservation.state, reservation.size, reservation.charged) == ("pending", 60, 60)
        assert alice.counts() == (0, 60, 0)
        assert alice.usage().pending == 1
        assert alice.catalog.reservation(reservation.id) == reservation
        assert alice.catalog.pending(alice.name) == [reservation]

    def test_a_commit_makes_a_record_of_what_was_asked_and_written(self, alice: Customer) -> None:
        request = alice.asks(60, filename="Überraschung 🎙.wav", metadata={"voice": {"name": "Zoë"}, "n": [1, None]})
        file, removals = alice.finishes(alice.catalog.reserve(request))
        assert not removals
        assert (file.id, file.owner, file.place) == (request.id, alice.name, Place("p1", "1", "2"))
        assert (file.filename, file.key, file.backend) == (request.filename, request.key, alice.backend)
        assert (file.size, file.sha256, file.content_type) == (60, request.sha256, "audio/wav")
        assert file.metadata == {"voice": {"name": "Zoë"}, "n": [1, None]}
        assert file.created_at.utcoffset() == timedelta(0)
        assert list(alice.catalog.find([file.id])) == [file]
        assert alice.counts() == (60, 0, 1)
        assert not alice.catalog.pending(alice.name)

    def test_committing_again_gives_the_same_file_and_charges_once(self, alice: Customer) -> None:
        reservation = alice.reserves(60)
        assert alice.finishes(reservation)[0] == alice.finishes(reservation)[0]
        assert alice.counts() == (60, 0, 1)

    def test_fewer_bytes_than_reserved_give_the_rest_back(self, alice: Customer) -> None:
        alice.finishes(alice.reserves(60), 25)
        assert alice.counts() == (25, 0, 1)

    def test_what_was_reserved_fits_even_if_the_quota_was_lowered_since(self, alice: Customer) -> None:
        alice.finishes(alice.reserves(60), 60, Limits(total=10, per_file=10, files=0))
        assert alice.counts() == (60, 0, 1)

    def test_more_bytes_than_reserved_are_taken_if_they_fit(self, alice: Customer) -> None:
        alice.finishes(alice.reserves(60), 100)
        assert alice.counts() == (100, 0, 1)

    def test_more_bytes_than_reserved_are_refused_if_they_do_not_fit(self, alice: Customer) -> None:
        reservation = alice.reserves(60)
        with pytest.raises(QuotaExceeded, match="bytes"):
            alice.finishes(reservation, 101)
        with pytest.raises(FileTooLarge):
            alice.finishes(reservation, 70, Limits(total=100, per_file=65))
        assert alice.catalog.reservation(reservation.id).state == "pending"
        assert alice.counts() == (0, 60, 0)

    def test_a_release_gives_the_room_back_and_queues_the_key(self, alice: Customer) -> None:
        reservation = alice.reserves(60)
        (removal,) = alice.catalog.release(reservation.id)
        assert (removal.backend, removal.key, removal.owner) == (alice.backend, reservation.key, alice.name)
        assert alice.counts() == (0, 0, 0)
        assert alice.catalog.known(alice.backend, [reservation.key])
        assert alice.catalog.reservation(reservation.id).state == "released"

    def test_a_release_without_erase_leaves_the_key_alone(self, alice: Customer) -> None:
        reservation = alice.reserves(60)
        assert not alice.catalog.release(reservation.id, erase=False)
        assert alice.counts() == (0, 0, 0)
        assert not alice.catalog.known(alice.backend, [reservation.key])

    def test_releasing_what_is_not_pending_does_nothing(self, alice: Customer) -> None:
        done, gone = alice.reserves(60), alice.reserves(10)
        alice.finishes(done)
        alice.catalog.release(gone.id)
        for reservation in (done.id, gone.id, new_id()):
            assert not alice.catalog.release(reservation)
        assert alice.counts() == (60, 0, 1)

    def test_a_released_reservation_is_over(self, alice: Customer) -> None:
        reservation = alice.reserves()
        alice.catalog.release(reservation.id)
        with pytest.raises(ReservationExpired):
            alice.finishes(reservation)
        with pytest.raises(ReservationExpired):
            alice.catalog.extend(reservation.id, ttl=HOUR, hold=MINUTE)

    def test_a_committed_reservation_can_not_be_extended(self, alice: Customer) -> None:
        reservation = alice.reserves()
        alice.finishes(reservation)
        with pytest.raises(ReservationExpired):
            alice.catalog.extend(reservation.id, ttl=HOUR, hold=MINUTE)

    def test_an_unknown_reservation_is_not_found(self, alice: Customer) -> None:
        with pytest.raises(NotFound):
            alice.catalog.reservation(new_id())
        with pytest.raises(ReservationExpired):
            alice.catalog.extend(new_id(), ttl=HOUR, hold=MINUTE)

    def test_a_late_commit_counts_as_long_as_nobody_expired_it(self, alice: Customer, advance: Advance) -> None:
        reservation = alice.reserves(60, ttl=MINUTE)
        advance(HOUR)
        alice.finishes(reservation)
        assert alice.counts() == (60, 0, 1)

    def test_an_expired_reservation_is_over_and_its_key_goes(self, alice: Customer, advance: Advance) -> None:
        reservation = alice.reserves(60, ttl=MINUTE)
        advance(HOUR)
        assert alice.catalog.expire(1000) >= 1
        assert alice.catalog.reservation(reservation.id).state == "expired"
        assert alice.counts() == (0, 0, 0)
        with pytest.raises(ReservationExpired):
            alice.finishes(reservation)
        assert [removal.key for removal in alice.due()] == [reservation.key]

    def test_no_reservation_expires_early_and_no_more_than_the_limit(self, alice: Customer, advance: Advance) -> None:
        while alice.catalog.expire(1000):
            pass
        for _ in range(3):
            alice.reserves(ttl=MINUTE)
        alice.reserves(ttl=2 * HOUR)
        assert alice.catalog.expire(1000) == 0
        advance(HOUR)
        assert (alice.catalog.expire(2), alice.catalog.expire(2), alice.catalog.expire(2)) == (2, 1, 0)
        assert alice.counts() == (0, 10, 0)

    def test_a_heartbeat_keeps_a_reservation_and_what_resumes_it(self, alice: Customer, advance: Advance) -> None:
        reservation = alice.reserves(ttl=MINUTE)
        extended = alice.catalog.extend(reservation.id, ttl=2 * HOUR, hold=MINUTE, resume="https://tus/1")
        assert extended.expires_at > reservation.expires_at
        assert alice.catalog.extend(reservation.id, ttl=2 * HOUR, hold=MINUTE).resume == "https://tus/1"
        advance(HOUR)
        alice.catalog.expire(1000)
        assert alice.catalog.reservation(reservation.id).state == "pending"

    def test_an_owner_short_of_room_gets_overdue_reservations_back_first(
        self, alice: Customer, advance: Advance
    ) -> None:
        overdue, live = alice.reserves(60, ttl=MINUTE), alice.reserves(20, ttl=2 * HOUR)
        advance(HOUR)
        with pytest.raises(QuotaExceeded):
            alice.reserves(81)
        alice.reserves(80)
        assert alice.counts() == (0, 100, 0)
        assert alice.catalog.reservation(overdue.id).state == "expired"
        assert alice.catalog.reservation(live.id).state == "pending"

    def test_a_late_commit_does_not_make_room_by_ending_itself(self, alice: Customer, advance: Advance) -> None:
        reservation = alice.reserves(60, ttl=MINUTE)
        alice.stores(30)
        advance(HOUR)
        with pytest.raises(QuotaExceeded):
            alice.finishes(reservation, 80)
        assert alice.counts() == (30, 60, 1)
        alice.finishes(reservation, 70)
        assert alice.counts() == (100, 0, 2)

    def test_finished_reservations_are_forgotten_in_time_and_files_are_not(
        self, alice: Customer, advance: Advance
    ) -> None:
        reservation = alice.reserves(60, idempotency_key="k")
        file, _ = alice.finishes(reservation)
        advance(6 * DAY)
        alice.catalog.expire(1000)
        assert alice.reserves(60, idempotency_key="k").id == reservation.id
        advance(2 * DAY)
        alice.catalog.expire(1000)
        with pytest.raises(NotFound):
            alice.catalog.reservation(reservation.id)
        assert alice.sees() == [file.id]

    def test_a_key_is_taken_by_a_reservation_a_file_and_a_removal_of_its_backend(self, alice: Customer) -> None:
        key = Key(f"{alice.name}/one.wav")
        reservation = alice.reserves(key=key)
        self._refused(alice, key)
        file, _ = alice.finishes(reservation)
        self._refused(alice, key)
        removals = alice.deletes(file)
        self._refused(alice, key)
        alice.reserves(key=key, backend=f"other-{alice.backend}")
        alice.catalog.forget([removal.id for removal in removals])
        released = alice.reserves(key=key)
        alice.catalog.release(released.id)
        self._refused(alice, key)

    def test_a_reservation_can_take_the_place_of_another(self, alice: Customer) -> None:
        first = alice.reserves(60)
        second = alice.reserves(90, instead_of=first.id)
        assert alice.counts() == (0, 90, 0)
        assert alice.catalog.reservation(first.id).state == "pending"
        file, removals = alice.finishes(second)
        assert (file.id, file.key) == (first.file_id, second.key)
        assert [each.key for each in removals] == [first.key]
        assert alice.counts() == (90, 0, 1)
        assert alice.finishes(first)[0] == file
        with pytest.raises(ReservationExpired):
            alice.reserves(instead_of=first.id)

    def test_what_stood_in_for_an_upload_and_failed_leaves_it_as_it_was(self, alice: Customer) -> None:
        first = alice.reserves(60)
        alice.catalog.release(alice.reserves(90, instead_of=first.id).id)
        alice.catalog.release(alice.reserves(10, instead_of=first.id).id)
        assert alice.counts() == (0, 60, 0)
        assert alice.usage().pending == 1
        assert alice.finishes(first)[0].size == 60

    def test_what_stands_in_for_an_upload_ends_with_it(self, alice: Customer) -> None:
        first = alice.reserves(60)
        second, third = alice.reserves(50, instead_of=first.id), alice.reserves(40, instead_of=first.id)
        assert alice.counts() == (0, 60, 0)
        alice.finishes(second)
        with pytest.raises(ReservationExpired):
            alice.finishes(third)
        alice.catalog.release(third.id)
        assert alice.counts() == (50, 0, 1)
        with pytest.raises(ReservationExpired):
            alice.reserves(instead_of=third.id)
        with pytest.raises(ValueError, match="both"):
            alice.reserves(instead_of=first.id, replaces=first.file_id)

    def test_a_refused_request_leaves_the_reservation_it_was_to_take_over(
        self, alice: Customer, catalog: Catalog
    ) -> None:
        first = alice.reserves(60)
        with pytest.raises(QuotaExceeded):
            alice.reserves(101, instead_of=first.id)
        with pytest.raises(ReservationExpired):
            Customer(catalog).reserves(instead_of=first.id)
        assert alice.catalog.reservation(first.id).state == "pending"
        assert alice.counts() == (0, 60, 0)

    @staticmethod
    def _refused(owner: Customer, key: Key) -> None:
        with pytest.raises(AlreadyExists) as refused:
            owner.reserves(key=key)
        assert refused.value.reason == "key"


class IdempotencyTests:
    """The same idempotency key again."""

    def test_the_same_request_again_gives_the_first_reservation(self, alice: Customer) -> None:
        first = alice.reserves(60, idempotency_key="k")
        assert alice.reserves(60, idempotency_key="k").id == first.id
        assert alice.counts() == (0, 60, 0)

    def test_the_same_request_after_the_commit_gives_the_committed_one(self, alice: Customer) -> None:
        first = alice.reserves(60, idempotency_key="k")
        file, _ = alice.finishes(first)
        again = alice.reserves(60, idempotency_key="k")
        assert (again.id, again.state, again.file_id) == (first.id, "committed", file.id)
        assert alice.counts() == (60, 0, 1)

    @pytest.mark.parametrize("committed", [False, True], ids=["pending", "committed"])
    @pytest.mark.parametrize(
        "other",
        [{"place": Place("p2")}, {"filename": "other.wav"}, {"size": 59}, {"sha256": "cd" * 32}, {"sha256": None}],
        ids=["place", "filename", "size", "sha256", "no sha256"],
    )
    def test_another_request_with_the_same_idempotency_key_is_refused(
        self, alice: Customer, other: dict[str, Any], committed: bool
    ) -> None:
        first = alice.reserves(60, idempotency_key="k")
        if committed:
            alice.finishes(first)
        with pytest.raises(AlreadyExists) as refused:
            alice.catalog.reserve(replace(alice.asks(60, idempotency_key="k"), **other))
        assert refused.value.reason == "idempotency"
        assert sum(alice.counts()[:2]) == 60

    @pytest.mark.parametrize("how", ["released", "expired", "deleted"])
    def test_what_came_to_nothing_starts_over(self, alice: Customer, advance: Advance, how: str) -> None:
        first = alice.reserves(60, ttl=MINUTE, idempotency_key="k")
        if how == "released":
            alice.catalog.release(first.id)
        elif how == "expired":
            advance(HOUR)
            alice.catalog.expire(1000)
        else:
            removals = alice.deletes(alice.finishes(first)[0])
            alice.catalog.forget([removal.id for removal in removals])
        second = alice.reserves(60, idempotency_key="k")
        assert second.id != first.id
        assert alice.counts() == (0, 60, 0)
        assert alice.reserves(60, idempotency_key="k").id == second.id

    def test_a_file_that_is_being_deleted_counts_as_deleted(self, alice: Customer) -> None:
        first = alice.reserves(40, idempotency_key="k")
        alice.deletes(alice.finishes(first)[0])
        assert alice.reserves(40, idempotency_key="k").id != first.id

    def test_a_live_caller_keeps_its_reservation_to_itself(self, alice: Customer, advance: Advance) -> None:
        first = alice.reserves(60, hold=MINUTE, idempotency_key="k")
        with pytest.raises(Unavailable) as busy:
            alice.reserves(60, hold=MINUTE, idempotency_key="k")
        assert busy.value.retryable
        alice.catalog.extend(first.id, ttl=HOUR, hold=3 * MINUTE)
        advance(2 * MINUTE)
        with pytest.raises(Unavailable):
            alice.reserves(60, hold=MINUTE, idempotency_key="k")
        advance(2 * MINUTE)
        assert alice.reserves(60, hold=MINUTE, idempotency_key="k").id == first.id
        with pytest.raises(Unavailable):
            alice.reserves(60, hold=MINUTE, idempotency_key="k")
        assert alice.counts() == (0, 60, 0)

    def test_an_overdue_reservation_is_renewed_with_its_key(self, alice: Customer, advance: Advance) -> None:
        first = alice.reserves(60, ttl=MINUTE, idempotency_key="k")
        advance(HOUR)
        again = alice.reserves(60, ttl=2 * HOUR, idempotency_key="k")
        assert (again.id, again.key) == (first.id, first.key)
        advance(HOUR)
        alice.catalog.expire(1000)
        assert alice.catalog.reservation(first.id).state == "pending"
        assert alice.counts() == (0, 60, 0)

    def test_every_owner_has_idempotency_keys_of_its_own(self, alice: Customer, catalog: Catalog) -> None:
        bob = Customer(catalog)
        assert alice.reserves(idempotency_key="k").id != bob.reserves(idempotency_key="k").id
