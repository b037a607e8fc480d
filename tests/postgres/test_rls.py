"""Who may do what, tried: each role, each table and function, each verb."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from audiostore.catalogs.postgres import codec
from tests.postgres.databases import Database, Databases
from tests.postgres.old import ALICE, BOB, stores

ROLES = ("anon", "authenticated", "service_role")

# Written by hand. `own`: alice's one row of two; `all`: both; `one`: alice's, who is asked for; `done`: it works;
# `none`: allowed, and there is nothing that one could reach; `-`: permission denied.
TABLES = """
table                       verb      anon    authenticated  service_role
public.file_uploads         select    -       own            all
public.file_uploads         insert    -       -              done
public.file_uploads         update    -       -              done
public.file_uploads         delete    -       -              done
public.file_uploads         truncate  -       -              -
public.audiostore_my_usage  select    -       one            -
public.audiostore_my_usage  insert    -       -              -
public.audiostore_my_usage  update    -       -              -
public.audiostore_my_usage  delete    -       -              -
audiostore.accounts         select    -       -              -
audiostore.accounts         insert    -       -              -
audiostore.accounts         update    -       -              -
audiostore.accounts         delete    -       -              -
audiostore.migration_items  select    -       -              -
audiostore.migration_items  insert    -       -              -
audiostore.migration_items  update    -       -              -
audiostore.migration_items  delete    -       -              -
audiostore.overrides        select    -       -              -
audiostore.overrides        insert    -       -              -
audiostore.overrides        update    -       -              -
audiostore.overrides        delete    -       -              -
audiostore.plans            select    -       -              -
audiostore.plans            insert    -       -              -
audiostore.plans            update    -       -              -
audiostore.plans            delete    -       -              -
audiostore.removals         select    -       -              -
audiostore.removals         insert    -       -              -
audiostore.removals         update    -       -              -
audiostore.removals         delete    -       -              -
audiostore.reservations     select    -       -              -
audiostore.reservations     insert    -       -              -
audiostore.reservations     update    -       -              -
audiostore.reservations     delete    -       -              -
audiostore.schema_versions  select    -       -              -
audiostore.schema_versions  insert    -       -              -
audiostore.schema_versions  update    -       -              -
audiostore.schema_versions  delete    -       -              -
audiostore.settings         select    -       -              -
audiostore.settings         insert    -       -              -
audiostore.settings         update    -       -              -
audiostore.settings         delete    -       -              -
storage.objects             select    none    own            all
storage.objects             insert    -       -              done
storage.objects             update    none    none           done
storage.objects             delete    -       -              -
auth.users                  select    -       -              -
"""
CASES = [tuple(line.split()) for line in TABLES.strip().splitlines()[1:]]

STATEMENTS = {
    "public.file_uploads": {
        "insert": f"(user_id, project_id, filename, file_size_mb, storage_path) values ('{ALICE}', 'p', 'f', -9, 'x')",
        "update": "file_size_mb = 0",
    },
    "public.audiostore_my_usage": {"insert": "(owner) values ('x')", "update": "used = 0"},
    "audiostore.accounts": {"insert": "(owner) values ('x')", "update": "committed = 0"},
    "audiostore.migration_items": {"insert": "(id) values ('x')", "update": "state = 'done'"},
    "audiostore.overrides": {"insert": "(owner, numbers) values ('x', '{}')", "update": "numbers = '{}'"},
    "audiostore.plans": {"insert": "(name) values ('x')", "update": "total = null"},
    "audiostore.removals": {"insert": "(backend, key, due) values ('x', 'x', now())", "update": "due = now()"},
    "audiostore.reservations": {"insert": "default values", "update": "size = 0"},
    "audiostore.schema_versions": {"insert": "values (1, 'x', 'x')", "update": "name = 'x'"},
    "audiostore.settings": {"insert": "values ('x', '{}')", "update": "value = '{}'"},
    "storage.objects": {
        "insert": f"(bucket_id, name) values ('audio-files', '{ALICE}/free.wav')",
        "update": "name = name || '.moved'",
    },
}
PRIVATE_FOR = {"anon": set[str](), "authenticated": {"my_usage", "bucket", "may_upload"}, "service_role": set[str]()}


@pytest.fixture(scope="module")
def inhabited(databases: Databases) -> Iterator[Database]:
    """Alice and bob have a file each, and an object each; alice has a reservation."""
    with databases.made(databases.applied(databases.hand_made())) as database:
        for user in (ALICE, BOB):
            database.run(
                "insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)"
                " values (%s, 'p', 'f', 1, %s)",
                user,
                f"{user}/p/f",
            )
            database.run("insert into storage.objects (bucket_id, name) values ('audio-files', %s)", f"{user}/p/f")
        yield database


@pytest.mark.parametrize(("table", "verb", *ROLES), CASES, ids=[f"{table}-{verb}" for table, verb, *_ in CASES])
def test_each_role_may_do_what_is_written(
    inhabited: Database, table: str, verb: str, anon: str, authenticated: str, service_role: str
) -> None:
    assert {role: tried(inhabited, role, table, verb) for role in ROLES} == {
        "anon": anon,
        "authenticated": authenticated,
        "service_role": service_role,
    }


def tried(database: Database, role: str, table: str, verb: str) -> str:
    """Do it as PostgREST would for alice, and take it back."""
    words = STATEMENTS.get(table, {}).get(verb, "")
    statement = {
        "select": f"select * from {table}",
        "insert": f"insert into {table} {words}",
        "update": f"update {table} set {words}",
        "delete": f"delete from {table}",
        "truncate": f"truncate {table}",
    }[verb]
    with database.acting(role, ALICE if role == "authenticated" else None) as connection:
        try:
            done = connection.execute(statement.encode())
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState):
            return "-"  # the latter: a view that nobody can write
        finally:
            connection.rollback()
        if verb != "select":
            return "done" if done.rowcount else "none"
        rows = [str(row) for row in done.fetchall()]
    if table == "public.audiostore_my_usage":
        return "one" if len(rows) == 1 and ALICE in rows[0] else "wrong"
    mine, others = sum(ALICE in row for row in rows), sum(BOB in row for row in rows)
    return {(1, 0): "own", (1, 1): "all", (0, 0): "none"}.get((mine, others), "wrong")


def test_no_table_is_left_out(inhabited: Database) -> None:
    ours = inhabited.rows("""
        select schemaname || '.' || tablename from pg_tables where schemaname = 'audiostore'
        union select schemaname || '.' || viewname from pg_views where viewname like 'audiostore%'
    """)
    assert {table for (table,) in ours} <= {table for table, *_ in CASES}


@pytest.mark.parametrize("method", [*codec.METHODS, *sorted(codec.BESIDE)])
def test_each_door_is_for_the_servers_key_alone(inhabited: Database, method: str) -> None:
    call = f"select public.audiostore_{method}(%s)"
    for role, user in (("anon", None), ("authenticated", ALICE)):
        with inhabited.acting(role, user) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(call.encode(), [json.dumps({"owner": ALICE})])
    assert inhabited.value(f"select has_function_privilege('service_role', 'audiostore_{method}(jsonb)', 'execute')")


def test_whatever_of_ours_is_in_public_is_a_door(inhabited: Database) -> None:
    functions = inhabited.rows("select proname from pg_proc where pronamespace = 'public'::regnamespace")
    ours = {name.removeprefix("audiostore_") for (name,) in functions if name.startswith("audiostore_")}
    assert ours == {*codec.METHODS, *codec.BESIDE}


@pytest.mark.parametrize("role", ROLES)
def test_private_functions_are_private(inhabited: Database, role: str) -> None:
    found = inhabited.rows(
        "select proname from pg_proc where pronamespace = 'audiostore'::regnamespace"
        " and has_function_privilege(%s, oid, 'execute')",
        role,
    )
    assert {name for (name,) in found} == PRIVATE_FOR[role]


def test_users_see_their_own_usage(inhabited: Database) -> None:
    for user, quota in ((ALICE, 500), (BOB, 5000)):
        with inhabited.acting("authenticated", user) as connection:
            seen = connection.execute("select owner, used, files, quota from public.audiostore_my_usage").fetchall()
        assert seen == [(user, 2**20, 1, quota * 2**20)]


def test_a_user_without_an_account_has_used_nothing(inhabited: Database) -> None:
    newcomer = str(uuid.uuid4())
    with inhabited.acting("authenticated", newcomer) as connection:
        seen = connection.execute("select owner, used, quota from public.audiostore_my_usage").fetchall()
    assert seen == [(newcomer, 0, 500 * 2**20)]


class TestCredits:
    """The app's own policies let users update their row of user_credits; two columns are out of their reach."""

    @pytest.mark.parametrize("change", ["storage_quota_mb = 999999", "storage_used_mb = 0", "storage_quota_mb = null"])
    def test_users_write_neither_quota_nor_usage(self, inhabited: Database, change: str) -> None:
        with (
            inhabited.acting("authenticated", ALICE) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(f"update public.user_credits set {change}".encode())

    def test_the_apps_own_columns_stay_theirs(self, inhabited: Database) -> None:
        with inhabited.acting("authenticated", ALICE) as connection:
            done = connection.execute("update public.user_credits set credits_balance = credits_balance - 1")
            assert done.rowcount == 1
            connection.rollback()

    def test_a_row_that_users_make_has_the_numbers_in_force(self, inhabited: Database) -> None:
        dave = "dddddddd-0000-4000-8000-000000000004"
        with inhabited.acting("authenticated", dave) as connection:
            made = connection.execute(
                "insert into public.user_credits (user_id, storage_quota_mb, storage_used_mb)"
                " values (%s, 999999, -5) returning storage_quota_mb, storage_used_mb",
                [dave],
            ).fetchall()
            connection.rollback()
        assert made == [(500, 0)]

    def test_an_admins_edit_becomes_the_owners_own_quota(self, upgraded: Database) -> None:
        with upgraded.acting("service_role") as backend:
            backend.execute("update public.user_credits set storage_quota_mb = 800 where user_id = %s", [ALICE])
        told = upgraded.value("select public.audiostore_usage(%s)", json.dumps({"owner": ALICE, "limits": None}))
        assert told["result"]["limits"]["total"] == 800 * 2**20
        assert told["result"]["limits"]["per_file"] == 50 * 2**20

    def test_paying_shows_at_once(self, upgraded: Database) -> None:
        quota = f"select storage_quota_mb from public.user_credits where user_id = '{ALICE}'"
        upgraded.run("update public.user_credits set total_purchased = 5 where user_id = %s", ALICE)
        assert upgraded.value(quota) == 5000
        upgraded.run("update audiostore.plans set total = null where name = 'paid'")
        assert upgraded.value(quota) == 2**31 - 1, "unlimited, in a column of integers"
        request = {"owner": ALICE, "override": {"numbers": {"total": 3 * 2**20}, "until": None}}
        upgraded.run("select public.audiostore_set_override(%s)", json.dumps(request))
        assert upgraded.value(quota) == 3
        upgraded.run("select public.audiostore_set_override(%s)", json.dumps({"owner": ALICE, "override": None}))
        assert upgraded.value(quota) == 2**31 - 1

    def test_paying_and_setting_in_one_statement_is_no_quota_of_ones_own(self, upgraded: Database) -> None:
        upgraded.run(
            "update public.user_credits set total_purchased = 5, storage_quota_mb = 5000 where user_id = %s", ALICE
        )
        assert upgraded.rows("select * from audiostore.overrides") == []

    def test_a_plan_that_does_not_exist_shows_as_nothing_and_lets_people_pay(self, upgraded: Database) -> None:
        upgraded.run("delete from audiostore.plans where name = 'paid'")
        upgraded.run("update public.user_credits set total_purchased = 5 where user_id = %s", ALICE)
        assert upgraded.value(f"select storage_quota_mb from public.user_credits where user_id = '{ALICE}'") == 0
        with upgraded.acting("authenticated", ALICE) as connection:
            assert connection.execute("select quota from public.audiostore_my_usage").fetchall() == [(0,)]

    def test_a_quota_for_a_while_shows_and_ends(self, upgraded: Database) -> None:
        upgraded.make_clock_settable()
        quota = f"select storage_quota_mb from public.user_credits where user_id = '{ALICE}'"
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        request = {"owner": ALICE, "override": {"numbers": {"total": 7 * 2**20}, "until": until}}
        upgraded.run("select public.audiostore_set_override(%s)", json.dumps(request))
        assert upgraded.value(quota) == 7
        upgraded.advance(timedelta(hours=2))
        stores(upgraded, ALICE, 1)
        assert upgraded.value(quota) == 500
