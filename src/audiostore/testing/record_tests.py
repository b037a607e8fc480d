"""What must hold of records and removals, whatever the catalog. ``CatalogSuite`` has the fixtures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audiostore.errors import NotFound, QuotaExceeded
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import AudioFile, Limits, Place
from audiostore.protocols import Catalog
from audiostore.testing.customer import HOUR, MINUTE, Customer

Advance = Callable[[timedelta], Any]


class ReplacementTests:
    """A new take of a file that is there."""

    def test_only_the_growth_is_charged(self, alice: Customer) -> None:
        file = alice.stores(60)
        reservation = alice.reserves(90, replaces=file.id)
        assert (reservation.charged, reservation.file_id) == (30, file.id)
        assert alice.counts() == (60, 30, 1)
        with pytest.raises(QuotaExceeded):
            alice.reserves(101, replaces=file.id)
        alice.finishes(reservation)
        assert alice.counts() == (90, 0, 1)

    def test_a_smaller_take_gives_room_back_once_it_is_there(self, alice: Customer) -> None:
        file = alice.stores(60)
        reservation = alice.reserves(20, replaces=file.id)
        assert alice.counts() == (60, 0, 1)
        alice.finishes(reservation)
        assert alice.counts() == (20, 0, 1)

    def test_the_file_stays_itself_and_the_old_object_goes(self, alice: Customer, advance: Advance) -> None:
        file = alice.stores(60, metadata={"take": 1})
        advance(HOUR)
        moved = alice.catalog.move(alice.name, file.id, Place("p9"))
        reservation = alice.reserves(30, replaces=file.id, filename="two.wav", metadata={"take": 2})
        new, (removal,) = alice.finishes(reservation)
        assert (new.id, new.created_at, new.place) == (file.id, moved.created_at, Place("p9"))
        assert (new.key, new.size, new.filename, new.metadata) == (reservation.key, 30, "two.wav", {"take": 2})
        assert (removal.backend, removal.key) == (file.backend, file.key)
        assert list(alice.catalog.find([file.id])) == [new]
        with pytest.raises(NotFound):
            alice.catalog.find_key(file.key)
        alice.catalog.forget([removal.id])
        assert alice.counts() == (30, 0, 1)
        assert not alice.catalog.known(alice.backend, [file.key])

    def test_the_last_of_several_takes_wins_and_every_other_object_goes(self, alice: Customer) -> None:
        file = alice.stores(10)
        takes = [alice.reserves(size, replaces=file.id) for size in (50, 30, 20)]
        gone = [removal.key for take in takes for removal in alice.finishes(take)[1]]
        assert gone == [file.key, takes[0].key, takes[1].key]
        assert alice.catalog.find([file.id])[0].key == takes[2].key
        assert alice.counts() == (20, 0, 1)

    def test_a_take_that_was_promised_room_fits_whatever_the_others_did(self, alice: Customer) -> None:
        file = alice.stores(100)
        smaller, equal = alice.reserves(10, replaces=file.id), alice.reserves(100, replaces=file.id)
        alice.finishes(smaller)
        with pytest.raises(QuotaExceeded):
            alice.reserves(1)
        alice.finishes(equal)
        assert alice.counts() == (100, 0, 1)

    def test_takes_of_one_file_share_the_room_of_the_largest(self, alice: Customer) -> None:
        # Only one of them can be the file in the end, and until then the file is never larger than the largest.
        file = alice.stores(60)
        takes = [alice.reserves(size, replaces=file.id) for size in (100, 100, 80)]
        assert alice.counts() == (60, 40, 1)
        for take in takes:
            alice.finishes(take)
            assert sum(alice.counts()[:2]) <= 100
        assert alice.counts() == (80, 0, 1)

    def test_giving_one_take_up_keeps_the_room_of_the_others(self, alice: Customer) -> None:
        file = alice.stores(10)
        large, small = alice.reserves(60, replaces=file.id), alice.reserves(40, replaces=file.id)
        alice.catalog.release(large.id)
        assert alice.counts() == (10, 30, 1)
        alice.catalog.release(small.id)
        assert alice.counts() == (10, 0, 1)

    def test_takes_that_expire_together_give_back_what_they_held(self, alice: Customer, advance: Advance) -> None:
        file = alice.stores(10)
        for size in (60, 40, 50):
            alice.reserves(size, replaces=file.id, ttl=MINUTE)
        advance(HOUR)
        assert alice.catalog.expire(1000) >= 3
        assert alice.counts() == (10, 0, 1)

    def test_more_than_a_take_reserved_is_checked(self, alice: Customer) -> None:
        file = alice.stores(60)
        reservation = alice.reserves(60, replaces=file.id)
        with pytest.raises(QuotaExceeded):
            alice.finishes(reservation, 101)
        alice.finishes(reservation, 100)
        assert alice.counts() == (100, 0, 1)

    def test_a_file_that_is_gone_or_foreign_can_not_be_replaced(self, alice: Customer, catalog: Catalog) -> None:
        file = alice.stores(10)
        with pytest.raises(NotFound):
            Customer(catalog).reserves(replaces=file.id)
        with pytest.raises(NotFound):
            alice.reserves(replaces=new_id())
        alice.deletes(file)
        with pytest.raises(NotFound):
            alice.reserves(replaces=file.id)

    def test_a_file_that_was_deleted_meanwhile_does_not_come_back(self, alice: Customer) -> None:
        file = alice.stores(10)
        reservation = alice.reserves(30, replaces=file.id)
        removals = alice.deletes(file)
        with pytest.raises(NotFound):
            alice.finishes(reservation)
        alice.catalog.forget([removal.id for removal in removals])
        with pytest.raises(NotFound):
            alice.finishes(reservation)
        alice.catalog.release(reservation.id)
        assert alice.counts() == (0, 0, 0)
        assert not alice.sees()


class RemovalTests:
    """Hide, forget, postpone, claim, discard, known."""

    def test_a_hidden_file_is_not_seen_but_counted_until_its_bytes_are_gone(self, alice: Customer) -> None:
        file = alice.stores(60)
        (removal,) = alice.deletes(file)
        assert not alice.sees()
        assert not alice.catalog.find([file.id])
        with pytest.raises(NotFound):
            alice.catalog.find_key(file.key)
        with pytest.raises(NotFound):
            alice.catalog.move(alice.name, file.id, Place())
        assert alice.counts() == (60, 0, 1)
        with pytest.raises(QuotaExceeded):
            alice.reserves(41)
        alice.catalog.forget([removal.id, removal.id, new_id()])
        assert alice.counts() == (0, 0, 0)
        assert not alice.catalog.known(alice.backend, [file.key])

    def test_deleting_leaves_out_what_is_foreign_missing_or_deleted(self, alice: Customer, catalog: Catalog) -> None:
        mine, foreign = alice.stores(), Customer(catalog).stores()
        removals = catalog.hide(alice.name, [foreign.id, mine.id, new_id(), mine.id])
        assert [removal.key for removal in removals] == [mine.key]
        assert not alice.deletes(mine)
        assert catalog.find([foreign.id])

    def test_a_fresh_removal_is_left_to_its_causer_for_a_while(self, alice: Customer, advance: Advance) -> None:
        (removal,) = alice.deletes(alice.stores())
        assert not alice.due()
        advance(2 * MINUTE)
        assert [claimed.id for claimed in alice.due()] == [removal.id]

    def test_a_claimed_removal_is_nobody_elses_until_the_lease_is_over(self, alice: Customer, advance: Advance) -> None:
        removals = alice.deletes(*(alice.stores() for _ in range(5)))
        advance(2 * MINUTE)
        claimed = alice.due()
        assert {each.id for each in claimed} == {each.id for each in removals}
        assert not alice.due()
        advance(2 * HOUR)
        again = alice.due()
        assert {each.id for each in again} == {each.id for each in removals}
        assert min(each.attempts for each in again) > max(each.attempts for each in claimed)

    def test_no_more_than_the_limit_is_claimed(self, alice: Customer, advance: Advance) -> None:
        alice.due()
        alice.deletes(*(alice.stores() for _ in range(5)))
        advance(2 * MINUTE)
        assert [len(alice.catalog.claim(2, HOUR)) for _ in range(4)] == [2, 2, 1, 0]

    def test_a_postponed_removal_comes_back_later(self, alice: Customer, advance: Advance) -> None:
        (removal,) = alice.deletes(alice.stores())
        alice.catalog.postpone([removal.id, new_id()], 2 * HOUR)
        advance(HOUR)
        assert not alice.due()
        advance(2 * HOUR)
        assert [claimed.id for claimed in alice.due()] == [removal.id]

    def test_orphans_are_queued_and_what_is_referred_to_is_left_alone(self, alice: Customer, advance: Advance) -> None:
        file, pending, orphan = alice.stores(), alice.reserves(), Key(f"{alice.name}/orphan.wav")
        alice.catalog.discard(alice.backend, [file.key, pending.key, orphan, orphan], HOUR)
        assert alice.catalog.known(alice.backend, [orphan]) == {orphan}
        advance(2 * MINUTE)
        assert not alice.due()
        advance(2 * HOUR)
        (removal,) = alice.due()
        assert (removal.key, removal.owner) == (orphan, None)
        alice.catalog.forget([removal.id])
        assert not alice.catalog.known(alice.backend, [orphan])
        assert alice.counts() == (10, 10, 1)

    def test_every_key_that_something_refers_to_is_known(self, alice: Customer) -> None:
        file, pending, hidden, released = alice.stores(), alice.reserves(), alice.stores(), alice.reserves()
        alice.deletes(hidden)
        alice.catalog.release(released.id)
        keys = [file.key, pending.key, hidden.key, released.key]
        strange = Key(f"{alice.name}/strange.wav")
        assert alice.catalog.known(alice.backend, [*keys, strange]) == set(keys)
        assert not alice.catalog.known(f"other-{alice.backend}", keys)
        assert not alice.catalog.known(alice.backend, [])


class ListingTests:
    """Find, list, move."""

    def test_files_are_listed_by_place_in_order_of_id(self, alice: Customer) -> None:
        places = [Place("p1", "1", "1"), Place("p1", "1", "2"), Place("p1", "2", "1"), Place("p2", "1", "1"), Place()]
        files = [alice.stores(place=place) for place in places]
        for place in [*places, Place("p1"), Place("p1", "1"), Place(chapter="1"), Place(section="1"), Place("p3")]:
            wanted = [file.id for file in files if _is_in(place, file.place)]
            assert [file.id for file in alice.catalog.list(alice.name, place)] == wanted
        assert alice.sees() == sorted(file.id for file in files)

    def test_pages_follow_one_another_while_files_come_and_go(self, alice: Customer) -> None:
        files = [alice.stores(1) for _ in range(10)]
        first = alice.catalog.list(alice.name, limit=4)
        alice.deletes(files[0], files[5])
        late = alice.stores(1)
        second = alice.catalog.list(alice.name, after=first[-1].id, limit=4)
        third = alice.catalog.list(alice.name, after=second[-1].id, limit=4)
        expected = [*files[:5], *files[6:], late]
        assert [file.id for file in (*first, *second, *third)] == [file.id for file in expected]
        assert not alice.catalog.list(alice.name, after=third[-1].id)

    def test_nobody_lists_what_is_not_theirs(self, alice: Customer, catalog: Catalog) -> None:
        bob = Customer(catalog)
        mine, foreign = alice.stores(), bob.stores()
        assert (alice.sees(), bob.sees()) == ([mine.id], [foreign.id])
        everyone = {file.id for file in catalog.list(None, after=_before(mine.id), limit=1000)}
        assert {mine.id, foreign.id} <= everyone

    def test_files_are_found_by_id_and_missing_ones_left_out(self, alice: Customer) -> None:
        files = [alice.stores() for _ in range(3)]
        found = alice.catalog.find([*(file.id for file in files), new_id(), files[0].id])
        assert sorted(found, key=lambda file: file.id) == files
        assert not alice.catalog.find([])

    def test_a_file_is_found_by_its_key(self, alice: Customer) -> None:
        file = alice.stores()
        assert alice.catalog.find_key(file.key) == file
        assert alice.catalog.find_key(file.key, backend=alice.backend) == file
        for key, backend in ((file.key, "elsewhere"), (Key(f"{alice.name}/no.wav"), None)):
            with pytest.raises(NotFound):
                alice.catalog.find_key(key, backend=backend)

    def test_a_file_moves_to_another_place_of_a_book(self, alice: Customer, catalog: Catalog) -> None:
        file = alice.stores()
        moved = catalog.move(alice.name, file.id, Place("p2", None, "7"))
        assert (moved.id, moved.key, moved.place) == (file.id, file.key, Place("p2", None, "7"))
        assert list(catalog.find([file.id])) == [moved]
        with pytest.raises(NotFound):
            catalog.move(Customer(catalog).name, file.id, Place("p1"))

    def test_records_of_another_catalog_are_taken_over_as_they_are(self, alice: Customer) -> None:
        files = [_foreign(alice, size) for size in (60, 70)]
        assert alice.catalog.adopt(files) == {file.id for file in files}
        assert list(alice.catalog.list(alice.name)) == files
        assert alice.counts() == (130, 0, 2)
        with pytest.raises(QuotaExceeded):
            alice.reserves(1)
        assert alice.catalog.adopt(files) == {file.id for file in files}
        assert alice.counts() == (130, 0, 2)
        alice.catalog.forget([removal.id for removal in alice.deletes(*files)])
        assert alice.counts() == (0, 0, 0)

    def test_a_recount_of_a_true_ledger_changes_nothing(self, alice: Customer) -> None:
        alice.stores(20)
        alice.reserves(30)
        assert not alice.catalog.recount(alice.name)
        assert alice.counts() == (20, 30, 1)

    def test_nothing_is_taken_over_that_is_spoken_for(self, alice: Customer, catalog: Catalog) -> None:
        bob = Customer(catalog)
        mine, coming, gone = alice.stores(), alice.reserves(), alice.stores()
        alice.deletes(gone)
        under_my_id = replace(_foreign(alice), id=mine.id, owner=bob.name)
        taken = [replace(_foreign(alice), key=each.key, owner=bob.name) for each in (mine, coming, gone)]
        assert alice.catalog.adopt([under_my_id, *taken]) == frozenset()
        assert list(alice.catalog.find([mine.id])) == [mine]
        assert (bob.counts(), alice.counts()) == ((0, 0, 0), (20, 10, 2))

    def test_a_listed_file_is_a_value_of_ones_own(self, alice: Customer) -> None:
        metadata: dict[str, Any] = {"tags": ["a"]}
        file = alice.stores(metadata=metadata, limits=Limits())
        metadata["tags"].append("b")
        file.metadata["tags"].append("c")
        alice.catalog.find([file.id])[0].metadata["tags"].append("d")
        assert alice.catalog.find([file.id])[0].metadata == {"tags": ["a"]}


def _is_in(wanted: Place, place: Place) -> bool:
    pairs = zip(
        (wanted.project, wanted.chapter, wanted.section), (place.project, place.chapter, place.section), strict=True
    )
    return all(want in (None, have) for want, have in pairs)


def _foreign(owner: Customer, size: int = 10) -> AudioFile:
    """Make the record of a file that another catalog has."""
    number = new_id()
    return AudioFile(
        id=number,
        owner=owner.name,
        project="p1",
        chapter=None,
        section="7",
        filename="Stück.wav",
        key=Key(f"audio/{number}.wav"),
        backend=owner.backend,
        size=size,
        sha256=None,
        content_type="audio/wav",
        duration=1.5,
        created_at=datetime(2024, 2, 29, 12, 30, 0, 123456, tzinfo=UTC),
        metadata={"voice": ["low"]},
    )


def _before(id: str) -> str:
    # Ids are time-ordered: what sorts right before this one is as old as the test.
    return id[:-1]
