"""A project whose app tracked storage itself: after the upgrade its numbers are true, and its code works."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from audiostore.catalogs.postgres import schema
from tests.postgres.databases import HAND_MADE, ROWS, Database, Databases

ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"
CAROL = "cccccccc-0000-4000-8000-000000000003"
DAVE = "dddddddd-0000-4000-8000-000000000004"
MB = 1024 * 1024


@pytest.fixture
def after_a_year(lived_in: Database) -> Database:
    schema.apply(lived_in.dsn)
    return lived_in


def sizes(database: Database) -> dict[int, tuple[int, str]]:
    rows = database.rows("select right(id::text, 1), size, upload_status from public.file_uploads")
    return {int(number, 16): (size, status) for number, size, status in rows}


def shown(database: Database, user: str) -> tuple[Decimal, int]:
    ((used, quota),) = database.rows(
        "select storage_used_mb, storage_quota_mb from public.user_credits where user_id = %s", user
    )
    return used, quota


def ledger(database: Database, owner: str) -> tuple[int, int]:
    ((committed, files),) = database.rows("select committed, files from audiostore.accounts where owner = %s", owner)
    return committed, files


def drift(database: Database) -> object:
    return database.value("""select public.audiostore_audit('{"owner": null}') -> 'result'""")


def test_sizes_are_those_of_the_objects_and_else_megabytes_rounded_up(after_a_year: Database) -> None:
    found = sizes(after_a_year)
    assert found[1] == (1048000, "completed")
    assert found[11] == (5242, "completed"), "0.00 MB, and not nothing"
    assert found[5] == (534774, "completed"), "0.51 MB of an object that is gone"
    assert found[7] == (3 * MB, "completed"), "no status, and an object that does not know its size"


def test_one_object_recorded_three_times_is_charged_once(after_a_year: Database) -> None:
    found = sizes(after_a_year)
    assert [found[each][1] for each in (2, 3, 4)] == ["completed", "duplicate", "duplicate"]
    assert ledger(after_a_year, ALICE) == (1048000 + 2 * MB + 5242, 3)


def test_what_was_never_finished_stays_uncharged(after_a_year: Database) -> None:
    assert sizes(after_a_year)[6] == (9 * MB, "failed")
    assert ledger(after_a_year, BOB) == (534774 + 3 * MB, 2)


def test_who_had_no_row_of_credits_is_tracked_all_the_same(after_a_year: Database) -> None:
    assert ledger(after_a_year, DAVE) == (4000000, 1)


def test_a_claim_on_somebody_elses_file_is_set_aside(after_a_year: Database) -> None:
    assert sizes(after_a_year)[10][1] == "foreign"
    assert not after_a_year.value("select visible from public.file_uploads where filename = 'stolen.wav'")


def test_old_readers_see_true_numbers(after_a_year: Database) -> None:
    assert shown(after_a_year, ALICE) == (Decimal("3.00"), 500), "was 500 MB"
    assert shown(after_a_year, BOB) == (Decimal("3.51"), 5000), "was nothing and nothing"
    assert after_a_year.rows("select file_size_mb from public.file_uploads where filename = 'dave.wav'") == [
        (Decimal("3.81"),)
    ]


def test_a_quota_set_by_hand_stays_and_is_the_owners_own(after_a_year: Database) -> None:
    assert shown(after_a_year, CAROL) == (Decimal("0.00"), 50000)
    assert after_a_year.rows("select owner, numbers from audiostore.overrides") == [(CAROL, {"total": 50000 * MB})]


def test_the_ledger_is_the_sum_of_the_records(after_a_year: Database) -> None:
    assert drift(after_a_year) == []


def test_the_second_time_changes_nothing(after_a_year: Database) -> None:
    tables = ("public.file_uploads", "public.user_credits", "audiostore.accounts", "audiostore.overrides")
    before = [after_a_year.rows(f"select * from {each} order by 1") for each in tables]
    after_a_year.run("delete from audiostore.schema_versions")
    assert len(schema.apply(after_a_year.dsn)) == len(schema.shipped())
    assert [after_a_year.rows(f"select * from {each} order by 1") for each in tables] == before


def test_the_apps_trigger_and_policies_are_gone(after_a_year: Database) -> None:
    assert after_a_year.rows("select tgname from pg_trigger where tgname = 'update_storage_usage_trigger'") == []
    assert after_a_year.rows("select policyname from pg_policies where policyname like 'Users can%'") == []
    assert after_a_year.value("select to_regprocedure('public.update_user_storage_usage()')") is None


def test_all_statements_of_the_old_backend_still_work(after_a_year: Database) -> None:
    """Its SQL, as PostgREST writes it: check the quota, record an upload, tell the statistics, delete."""
    with after_a_year.acting("service_role") as backend:
        checked = backend.execute(
            "select storage_used_mb, storage_quota_mb, total_purchased from public.user_credits where user_id = %s",
            [ALICE],
        ).fetchall()
        (made,) = backend.execute(
            "insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path, chapter_id,"
            " section_id, upload_status) values (%s, 'book', 'new.wav', 1.5, %s, 2, 1, 'completed') returning id",
            [ALICE, f"{ALICE}/book/chapter_2/section_1/new.wav"],
        ).fetchall()
        counted = backend.execute(
            "select id from public.file_uploads where user_id = %s and upload_status = 'completed'", [ALICE]
        ).fetchall()
    assert checked == [(Decimal("3.00"), 500, 0)]
    assert len(counted) == 4
    assert shown(after_a_year, ALICE)[0] == Decimal("4.50")
    with after_a_year.acting("service_role") as backend:
        backend.execute("delete from public.file_uploads where id = %s", [made[0]])
    assert shown(after_a_year, ALICE)[0] == Decimal("3.00")
    assert drift(after_a_year) == []


def test_old_writers_are_accounted_whatever_they_change(after_a_year: Database) -> None:
    after_a_year.run("update public.file_uploads set file_size_mb = 2 where filename = 'one.wav'")
    assert ledger(after_a_year, ALICE) == (4 * MB + 5242, 3)
    after_a_year.run("update public.file_uploads set user_id = %s where filename = 'one.wav'", DAVE)
    assert ledger(after_a_year, ALICE) == (2 * MB + 5242, 2)
    assert ledger(after_a_year, DAVE) == (4000000 + 2 * MB, 2)
    after_a_year.run("update public.file_uploads set upload_status = 'failed' where filename = 'one.wav'")
    assert ledger(after_a_year, DAVE) == (4000000, 1)
    assert drift(after_a_year) == []


def test_a_user_who_goes_takes_files_and_charge_along(after_a_year: Database) -> None:
    after_a_year.run("delete from auth.users where id = %s", ALICE)
    assert after_a_year.rows("select id from public.file_uploads where owner = %s", ALICE) == []
    assert ledger(after_a_year, ALICE) == (0, 0)
    queued = after_a_year.rows("select key from audiostore.removals where owner = %s order by key", ALICE)
    assert [key.rpartition("/")[2] for (key,) in queued] == ["one.wav", "two.wav", "tiny.wav"]


@pytest.fixture
def without_purchases(databases: Databases) -> Iterator[Database]:
    """user_credits has no total_purchased, so a part of the app's SQL failed, and psql went on."""
    with databases.made(databases.with_credits()) as database:
        database.run("alter table public.user_credits drop column total_purchased")
        assert "total_purchased" in database.psql(*HAND_MADE, stop_at_errors=False)
        database.psql(ROWS)
        yield database


def test_without_purchases_everybody_is_on_the_free_plan(without_purchases: Database) -> None:
    schema.apply(without_purchases.dsn)
    assert shown(without_purchases, BOB) == (Decimal("3.51"), 500)
    assert shown(without_purchases, CAROL)[1] == 50000
    assert drift(without_purchases) == []


@pytest.fixture
def without_credits(databases: Databases) -> Iterator[Database]:
    """There is no user_credits at all: the app's table of files came to be, and no more than that."""
    with databases.made(databases.with_credits()) as database:
        database.run("drop table public.user_credits")
        assert "user_credits" in database.psql(*HAND_MADE, stop_at_errors=False)
        database.psql(ROWS, stop_at_errors=False)
        yield database


def test_without_credits_files_are_accounted(without_credits: Database) -> None:
    schema.apply(without_credits.dsn)
    assert ledger(without_credits, ALICE) == (1048000 + 2 * MB + 5242, 3)
    without_credits.run("insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)"
                        " values (%s, 'p', 'f', 1, 'legacy/1')", ALICE)  # fmt: skip
    assert ledger(without_credits, ALICE) == (1048000 + 3 * MB + 5242, 4)
    assert drift(without_credits) == []


def test_a_table_of_credits_that_comes_later_is_taken_up(without_credits: Database) -> None:
    schema.apply(without_credits.dsn)
    without_credits.run("create table public.user_credits (user_id uuid, total_purchased integer)")
    without_credits.run("insert into public.user_credits values (%s, 0), (%s, 3)", ALICE, BOB)
    schema.apply(without_credits.dsn, again=True)
    assert shown(without_credits, ALICE) == (Decimal("3.00"), 500)
    assert shown(without_credits, BOB) == (Decimal("3.51"), 5000)


def test_a_plan_that_shows_is_not_taken_for_a_quota_set_by_hand(upgraded: Database) -> None:
    upgraded.run("update audiostore.plans set total = %s where name = 'free'", 300 * MB)
    assert shown(upgraded, ALICE)[1] == 300
    schema.apply(upgraded.dsn, again=True)
    assert upgraded.rows("select * from audiostore.overrides") == []


def test_applying_again_takes_back_what_somebody_granted(upgraded: Database) -> None:
    upgraded.run("""
        grant all on all functions in schema audiostore to anon;
        grant all on audiostore.accounts, public.file_uploads to authenticated;
        grant all on function public.audiostore_reserve(jsonb) to anon;
    """)
    schema.apply(upgraded.dsn, again=True)
    assert not upgraded.value("select has_function_privilege('anon', 'audiostore.clock()', 'execute')")
    assert not upgraded.value("select has_function_privilege('anon', 'audiostore_reserve(jsonb)', 'execute')")
    assert not upgraded.value("select has_table_privilege('authenticated', 'audiostore.accounts', 'select')")
    assert not upgraded.value("select has_table_privilege('authenticated', 'file_uploads', 'insert')")


def test_an_apps_own_rule_of_plans_stays(upgraded: Database) -> None:
    upgraded.run("insert into audiostore.plans (name, total) values ('gold', %s)", 9 * MB)
    upgraded.run("""
        create or replace function audiostore.plan_of(wanted text) returns text
        language plpgsql stable set search_path = '' as $$ begin return 'gold'; end $$
    """)
    schema.apply(upgraded.dsn, again=True)
    assert upgraded.value("select audiostore.plan_of('anybody')") == "gold"
    assert shown(upgraded, ALICE)[1] == 9
