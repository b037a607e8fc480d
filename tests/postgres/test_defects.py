"""What is wrong with the tracking that the app had written itself, shown; and that it is gone. S01 to S14."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from audiostore.catalogs.postgres import schema
from tests.postgres.databases import HAND_MADE, Database
from tests.postgres.old import ALICE, BOB, DAVE, RECORD, OldBackend, call, committed, reservation, stores

MB = 2**20
FORGED_ROW = f"values ('{ALICE}', 'p', 'f', -1000000, '{BOB}/x')"


def tried(database: Database, user: str, *statements: str) -> int:
    """Do what PostgREST does for a user; how many rows the last statement changed, -1 if it is not permitted."""
    try:
        with database.acting("authenticated", user) as connection:
            return [connection.execute(each.encode()).rowcount for each in statements][-1]
    except psycopg.errors.InsufficientPrivilege:
        return -1


class TestDeleting:
    """S01: the trigger fires on DELETE, and reads NEW."""

    def used_after(self, database: Database) -> float | None:
        old = OldBackend(database)
        old.deletes(*[old.records(ALICE, 50) for _ in range(10)])
        return old.used(ALICE)

    def test_nothing_was_ever_given_back(self, hand_made: Database) -> None:
        assert self.used_after(hand_made) == 500

    def test_it_is(self, upgraded: Database) -> None:
        assert self.used_after(upgraded) == 0


class TestOwnersWithoutCredits:
    """S02: who has no row in user_credits is not tracked."""

    def test_they_could_store_any_amount(self, hand_made: Database) -> None:
        old = OldBackend(hand_made)
        for _ in range(5):
            assert old.fits(DAVE, 400)
            old.records(DAVE, 400)

    def test_they_are_tracked(self, upgraded: Database) -> None:
        for _ in range(5):
            OldBackend(upgraded).records(DAVE, 400)
        assert committed(upgraded, DAVE) == 2000 * MB
        assert call(upgraded, "reserve", request=reservation(DAVE, 1))["status"] == "quota_exceeded"

    def test_a_row_that_comes_later_shows_it(self, upgraded: Database) -> None:
        OldBackend(upgraded).records(DAVE, 400)
        upgraded.run("insert into public.user_credits (user_id) values (%s)", DAVE)
        assert (OldBackend(upgraded).used(DAVE), OldBackend(upgraded).quota(DAVE)) == (400, 500)


class TestRounding:
    """S03: megabytes with two decimals."""

    def records_short_takes(self, database: Database) -> float | None:
        database.run(
            "insert into storage.objects (bucket_id, name, metadata)"
            f" select 'audio-files', '{ALICE}/p/' || number, '{{\"size\": 5242}}' from generate_series(1, 20) as number"
        )
        for number in range(1, 21):
            OldBackend(database).records(ALICE, 5242 / MB, f"{ALICE}/p/{number}")
        return OldBackend(database).used(ALICE)

    def test_twenty_short_takes_were_nothing(self, hand_made: Database) -> None:
        assert self.records_short_takes(hand_made) == 0

    def test_they_count_to_the_byte_even_for_old_writers(self, upgraded: Database) -> None:
        assert self.records_short_takes(upgraded) == 0.10
        assert committed(upgraded, ALICE) == 104840

    def test_new_writers_say_bytes(self, upgraded: Database) -> None:
        assert stores(upgraded, ALICE, 5242)["status"] == "ok"
        assert committed(upgraded, ALICE) == 5242


class TestChangingOwners:
    """S04: an UPDATE of user_id counts for the new owner alone."""

    def gives_away(self, database: Database) -> Sequence[float | None]:
        old = OldBackend(database)
        made = old.records(ALICE, 100)
        database.run("update public.file_uploads set user_id = %s where id = %s", BOB, made)
        return [old.used(ALICE), old.used(BOB)]

    def test_both_were_charged(self, hand_made: Database) -> None:
        assert self.gives_away(hand_made) == [100, 100]

    def test_one_is(self, upgraded: Database) -> None:
        assert self.gives_away(upgraded) == [0, 100]


class TestForging:
    """S05, S06: users write their own accounting, with the public key and their token."""

    FORGED = (
        "update public.file_uploads set file_size_mb = 0",
        "delete from public.file_uploads",
        f"insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path) {FORGED_ROW}",
        "update public.user_credits set storage_quota_mb = 1000000000",
        "update public.user_credits set storage_used_mb = 0",
    )

    @pytest.mark.parametrize("statement", FORGED)
    def test_they_could(self, hand_made: Database, statement: str) -> None:
        OldBackend(hand_made).records(ALICE, 100)
        assert tried(hand_made, ALICE, statement) == 1

    @pytest.mark.parametrize("statement", FORGED)
    def test_they_can_not(self, upgraded: Database, statement: str) -> None:
        OldBackend(upgraded).records(ALICE, 100)
        assert tried(upgraded, ALICE, statement) == -1


class TestRetries:
    """S07: the path is not unique."""

    def records_four_times(self, database: Database) -> float | None:
        for _ in range(4):
            OldBackend(database).records(ALICE, 10, f"{ALICE}/p/same.wav")
        return OldBackend(database).used(ALICE)

    def test_one_object_was_charged_four_times(self, hand_made: Database) -> None:
        assert self.records_four_times(hand_made) == 40

    def test_it_is_charged_once(self, upgraded: Database) -> None:
        assert self.records_four_times(upgraded) == 10


class TestSearchPath:
    """S08: a definer without a search_path of its own runs what the caller puts in its way."""

    TRAP = """
        create table evil.seen (who name);
        create function evil.spy(state numeric, value numeric) returns numeric language plpgsql as $$
        begin
          insert into evil.seen values (current_user);
          return coalesce(state, 0) + value;
        end $$;
        create aggregate evil.sum(numeric) (sfunc = evil.spy, stype = numeric);
        grant usage on schema evil to public;
        grant all on evil.seen to public;
    """

    def caught(self, database: Database) -> list[tuple[str]]:
        database.run("create schema evil; grant all on schema evil to app_user")
        database.run(
            "grant insert, select on public.file_uploads to app_user; grant usage on schema public to app_user"
        )
        database.run("create policy trap on public.file_uploads for all to app_user using (true) with check (true)")
        with database.connect("app_user") as connection:
            connection.execute(self.TRAP)
            connection.execute("set search_path = evil, pg_catalog, public")
            connection.execute(RECORD, [ALICE, 1, f"{ALICE}/p/x"])
            return [(str(who),) for (who,) in connection.execute("select who from evil.seen").fetchall()]

    def test_anybodys_code_ran_as_the_owner(self, hand_made: Database) -> None:
        assert self.caught(hand_made) == [("postgres",)]

    def test_it_does_not_run(self, upgraded: Database) -> None:
        assert self.caught(upgraded) == []
        assert committed(upgraded, ALICE) == MB


class TestApplyingAgain:
    """S09: the SQL ran once, and better not a second time."""

    def set_by_hand(self, database: Database) -> None:
        database.run("update public.user_credits set storage_quota_mb = 50000 where user_id = %s", BOB)

    def test_a_quota_set_by_hand_was_lost_and_policies_failed(self, hand_made: Database) -> None:
        self.set_by_hand(hand_made)
        assert "already exists" in hand_made.psql(*HAND_MADE, stop_at_errors=False)
        assert OldBackend(hand_made).quota(BOB) == 5000

    def test_it_stays(self, upgraded: Database) -> None:
        self.set_by_hand(upgraded)
        schema.apply(upgraded.dsn, again=True)
        assert OldBackend(upgraded).quota(BOB) == 50000

    def test_whoever_paid_later_stayed_at_500(self, hand_made: Database) -> None:
        hand_made.run("update public.user_credits set total_purchased = 1 where user_id = %s", ALICE)
        assert OldBackend(hand_made).quota(ALICE) == 500

    def test_paying_counts_whenever_it_happens(self, upgraded: Database) -> None:
        upgraded.run("update public.user_credits set total_purchased = 1 where user_id = %s", ALICE)
        assert OldBackend(upgraded).quota(ALICE) == 5000


class TestDirectUploads:
    """S10, S14: what users upload with a token of their own."""

    UPLOAD = (
        "insert into storage.objects (bucket_id, name, owner_id, metadata)"
        f" values ('audio-files', '{ALICE}/p/big.wav', '{ALICE}', '{{\"contentLength\": 5368709120}}')"
    )
    OVERWRITE = "update storage.objects set metadata = '{\"size\": 5368709120}'"

    def test_five_gigabytes_were_stored_at_a_full_quota(self, hand_made: Database) -> None:
        OldBackend(hand_made).records(ALICE, 500)
        assert tried(hand_made, ALICE, self.UPLOAD) == 1
        assert OldBackend(hand_made).used(ALICE) == 500

    def test_they_are_refused(self, upgraded: Database) -> None:
        OldBackend(upgraded).records(ALICE, 500)
        assert tried(upgraded, ALICE, self.UPLOAD) == -1

    def test_a_small_file_was_overwritten_with_a_large_one(self, hand_made: Database) -> None:
        assert tried(hand_made, ALICE, self.UPLOAD, self.OVERWRITE) == 1

    def test_users_overwrite_nothing(self, upgraded: Database) -> None:
        upgraded.run(self.UPLOAD)
        assert tried(upgraded, ALICE, self.OVERWRITE) == 0


class TestObjectsAndRecords:
    """S11: record and object lived separate lives. (An object that goes: test_policies.)"""

    def test_a_record_went_and_its_bytes_stayed_for_ever(self, hand_made: Database) -> None:
        hand_made.run("insert into storage.objects (bucket_id, name) values ('audio-files', %s)", f"{ALICE}/p/x")
        OldBackend(hand_made).deletes(OldBackend(hand_made).records(ALICE, 1, f"{ALICE}/p/x"))
        assert hand_made.value("select count(*) from storage.objects") == 1

    def test_its_bytes_are_queued_for_removal(self, upgraded: Database) -> None:
        OldBackend(upgraded).deletes(OldBackend(upgraded).records(ALICE, 1, f"{ALICE}/p/x"))
        assert upgraded.rows("select backend, key, owner from audiostore.removals") == [
            ("supabase", f"{ALICE}/p/x", ALICE)
        ]


class TestTimes:
    """S12: the local time of a session, taken for UTC; and updated_at never moves."""

    def times(self, database: Database) -> tuple[timedelta, bool]:
        with database.connect() as connection:
            connection.execute("set timezone = 'America/New_York'")
            ((made, created),) = connection.execute(f"{RECORD}, created_at", [ALICE, 1, f"{ALICE}/p/x"]).fetchall()
            connection.execute("update public.file_uploads set filename = 'g' where id = %s", [made])
            ((moved,),) = connection.execute("select updated_at > created_at from public.file_uploads").fetchall()
        return abs(datetime.now(UTC) - created), moved

    def test_they_were_hours_off(self, hand_made: Database) -> None:
        off, moved = self.times(hand_made)
        assert off > timedelta(hours=3)
        assert not moved

    def test_they_are_right(self, upgraded: Database) -> None:
        off, moved = self.times(upgraded)
        assert off < timedelta(minutes=1)
        assert moved


class TestStrangeNumbers:
    """S13: null and negative are numbers too."""

    def forgets(self, database: Database) -> OldBackend:
        database.run("update public.user_credits set storage_quota_mb = null, storage_used_mb = null")
        old = OldBackend(database)
        old.records(ALICE, -1000)
        return old

    def test_null_let_everything_pass_and_less_than_nothing_counted(self, hand_made: Database) -> None:
        old = self.forgets(hand_made)
        assert old.fits(ALICE, 10**9)
        assert old.used(ALICE) == -1000

    def test_there_is_always_a_number_and_nothing_counts_less_than_nothing(self, upgraded: Database) -> None:
        old = self.forgets(upgraded)
        assert not old.fits(ALICE, 10**9)
        assert (old.used(ALICE), old.quota(ALICE)) == (0, 500)
