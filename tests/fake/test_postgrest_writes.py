"""Rows that are written through supabase-py: constraints, row-level security, what comes back, and functions."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from postgrest.exceptions import APIError

from audiostore.testing.supabase import Actor, FakeSupabase, RowSet, SqlError
from audiostore.testing.supabase.database.tables import Check
from supabase import Client
from tests.fake.conftest import Connect

ALICE, BOB = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
JOBS = {
    "id": "bigserial primary key",
    "user_id": "uuid not null default auth.uid()",
    "file": "text unique",
    "status": "text not null default 'queued'",
    "size": "numeric(10,2)",
    "made": "timestamptz default now()",
}


@pytest.fixture
def jobs(fake: FakeSupabase) -> None:
    checks: dict[str, Check] = {"jobs_status_check": lambda row: row["status"] in {"queued", "done"}}
    fake.table("jobs", JOBS, checks=checks, rls="user_id")


@pytest.fixture
def alice(jobs: None, fake: FakeSupabase, connect: Connect) -> Client:
    return connect(key=fake.user_token(ALICE))


@pytest.fixture
def bob(jobs: None, fake: FakeSupabase, connect: Connect) -> Client:
    return connect(key=fake.user_token(BOB))


@pytest.fixture
def service(jobs: None, connect: Connect) -> Client:
    return connect()


def refusal(query: Any) -> tuple[str, str | None, str | None]:
    with pytest.raises(APIError) as refused:
        query.execute()
    return str(refused.value.code), refused.value.message, refused.value.details


def test_defaults_fill_what_is_not_given(alice: Client, fake: FakeSupabase) -> None:
    fake.now = fake.now.replace(microsecond=120_000)
    (row,) = alice.table("jobs").insert({"file": "a.mp3", "size": 1.005}).execute().data
    assert row == {
        "id": 1,
        "user_id": ALICE,
        "file": "a.mp3",
        "status": "queued",
        "size": 1.01,
        "made": fake.now.isoformat()[:22] + "+00:00",
    }


def test_what_one_row_of_many_lacks_is_null_unless_the_default_is_asked_for(service: Client) -> None:
    many: list[dict[str, Any]] = [{"user_id": ALICE, "file": "a"}, {"user_id": ALICE, "size": 2}]
    rows: Any = service.table("jobs").insert(many).execute().data
    assert [(each["file"], each["size"]) for each in rows] == [("a", None), (None, 2)]
    assert (
        refusal(service.table("jobs").insert([{"user_id": ALICE, "status": "done"}, {"user_id": ALICE}]))[0] == "23502"
    )
    asked = service.table("jobs").insert(
        [{"user_id": ALICE, "status": "done"}, {"user_id": ALICE}], default_to_null=False
    )
    kept: Any = asked.execute().data
    assert [each["status"] for each in kept] == ["done", "queued"]


def test_the_service_key_is_told_the_values_and_a_user_is_not(service: Client, alice: Client) -> None:
    row = {"user_id": ALICE, "file": "a"}
    service.table("jobs").insert(row).execute()
    duplicate = 'duplicate key value violates unique constraint "jobs_file_key"'
    assert refusal(service.table("jobs").insert(row)) == ("23505", duplicate, "Key (file)=(a) already exists.")
    assert refusal(alice.table("jobs").insert(row)) == ("23505", duplicate, None)
    code, _, details = refusal(service.table("jobs").insert({"user_id": ALICE, "id": 7, "status": "odd", "made": None}))
    assert (code, details) == ("23514", f"Failing row contains (7, {ALICE}, null, odd, null, null).")
    code, message, _ = refusal(service.table("jobs").insert({"user_id": None}))
    assert (code, message) == (
        "23502",
        'null value in column "user_id" of relation "jobs" violates not-null constraint',
    )


def test_a_statement_that_fails_changes_nothing(service: Client, fake: FakeSupabase) -> None:
    rows = [{"user_id": ALICE, "file": each} for each in ("a", "b", "a")]
    assert refusal(service.table("jobs").insert(rows))[0] == "23505"
    assert fake.rows("jobs") == []
    service.table("jobs").insert(rows[:2]).execute()
    assert refusal(service.table("jobs").update({"file": "c"}).eq("user_id", ALICE))[0] == "23505"
    assert [each["file"] for each in fake.rows("jobs")] == ["a", "b"]


def test_none_but_the_own_rows_are_seen_changed_or_deleted(alice: Client, bob: Client, fake: FakeSupabase) -> None:
    alice.table("jobs").insert({"file": "a"}).execute()
    assert bob.table("jobs").select("*").execute().data == []
    assert bob.table("jobs").update({"status": "done"}).eq("file", "a").execute().data == []
    assert bob.table("jobs").delete().eq("file", "a").execute().data == []
    assert [each["status"] for each in fake.rows("jobs")] == ["queued"]
    code, message, _ = refusal(alice.table("jobs").update({"user_id": BOB}).eq("file", "a"))
    assert (code, message) == ("42501", 'new row violates row-level security policy for table "jobs"')
    code, message, _ = refusal(bob.table("jobs").upsert({"file": "a", "status": "done"}, on_conflict="file"))
    assert (code, message) == (
        "42501",
        'new row violates row-level security policy (USING expression) for table "jobs"',
    )


def test_policies_may_differ_by_operation(fake: FakeSupabase, connect: Connect) -> None:
    def anyone(actor: Actor, row: Any) -> bool:
        return True

    fake.table("guests", {"name": "text"}, rls={"insert": anyone})
    guest = connect(key=fake.anon_key).table("guests")
    guest.insert({"name": "Zoë"}, returning="minimal").execute()  # type: ignore[arg-type]
    assert refusal(guest.insert({"name": "Eve"}))[0] == "42501"  # what may not be seen can't be returned
    assert [each["name"] for each in fake.rows("guests")] == ["Zoë"]


def test_without_row_level_security_everyone_does_all(fake: FakeSupabase, connect: Connect) -> None:
    fake.table("open", {"id": "int"}, rows=[{"id": 1}])
    guest = connect(key=fake.anon_key)
    assert guest.table("open").update({"id": 2}).eq("id", 1).execute().data == [{"id": 2}]
    fake.table("shut", {"id": "int"}, rls=True, rows=[{"id": 1}])
    assert guest.table("shut").select("*").execute().data == []
    assert connect().table("shut").select("*").execute().data == [{"id": 1}]


def test_an_upsert_merges_or_leaves_what_is_there(service: Client, fake: FakeSupabase) -> None:
    table = service.table("jobs")
    table.insert({"user_id": ALICE, "file": "a", "size": 1}).execute()
    merged = table.upsert({"user_id": ALICE, "file": "a", "status": "done"}, on_conflict="file").execute()
    assert [(each["id"], each["size"], each["status"]) for each in merged.data] == [(1, 1, "done")]  # type: ignore[call-overload,index]
    ignored = table.upsert({"user_id": ALICE, "file": "a", "size": 5}, on_conflict="file", ignore_duplicates=True)
    assert ignored.execute().data == []
    by_key = table.upsert({"id": 1, "user_id": BOB}).execute()
    assert [each["user_id"] for each in by_key.data] == [BOB]  # type: ignore[call-overload,index]
    assert len(fake.rows("jobs")) == 1
    assert refusal(table.upsert({"user_id": ALICE}, on_conflict="status"))[0] == "42P10"
    twice = [{"user_id": ALICE, "file": "z", "size": 1}, {"user_id": ALICE, "file": "z", "size": 2}]
    assert refusal(table.upsert(twice, on_conflict="file"))[0] == "21000"
    assert len(fake.rows("jobs")) == 1


def test_more_than_the_caller_allows_is_not_changed(service: Client, fake: FakeSupabase) -> None:
    service.table("jobs").insert([{"user_id": ALICE}, {"user_id": ALICE}]).execute()
    query = service.table("jobs").delete().eq("user_id", ALICE).max_affected(1)
    assert refusal(query)[::2] == ("PGRST124", "The query affects 2 rows")
    assert len(fake.rows("jobs")) == 2


def test_rows_are_returned_only_if_asked_for(fake: FakeSupabase, jobs: None) -> None:
    url, headers = f"{fake.url}/rest/v1/jobs", {"authorization": f"Bearer {fake.service_key}"}
    made = httpx.post(url, json={"user_id": ALICE}, headers=headers)
    assert (made.status_code, made.content, made.headers["content-range"]) == (201, b"", "*/*")
    changed = httpx.patch(url, json={"status": "done"}, headers={**headers, "prefer": "count=exact"})
    assert (changed.status_code, changed.headers["content-range"]) == (204, "0-0/1")
    one = {**headers, "prefer": "return=representation", "accept": "application/vnd.pgrst.object+json"}
    assert httpx.delete(f"{url}?id=eq.9", headers=one).json()["code"] == "PGRST116"
    assert httpx.delete(f"{url}?id=eq.1&select=id", headers=one).json() == {"id": 1}


@pytest.mark.parametrize(
    ("body", "code"), [("nonsense", "PGRST102"), ("[1]", "PGRST102"), ('[{"a": 1}, {"b": 2}]', "PGRST102")]
)
def test_a_body_that_is_no_rows_is_refused(fake: FakeSupabase, jobs: None, body: str, code: str) -> None:
    headers = {"authorization": f"Bearer {fake.service_key}", "content-type": "application/json"}
    answer = httpx.post(f"{fake.url}/rest/v1/jobs", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


# --- who --------------------------------------------------------------------------------------------------------------


def test_tokens_end_half_a_minute_late_and_others_are_refused(fake: FakeSupabase, jobs: None) -> None:
    fake.now = fake.now.replace(microsecond=0)
    url, token = f"{fake.url}/rest/v1/jobs", fake.user_token(ALICE)

    def asked(authorization: str) -> tuple[int, Any]:
        answer = httpx.get(url, headers={"authorization": authorization} if authorization else {})
        return answer.status_code, answer.json() and answer.json()["message"]

    fake.advance(timedelta(hours=1, seconds=30))
    assert asked(f"Bearer {token}") == (200, [])
    fake.advance(timedelta(seconds=1))
    assert asked(f"Bearer {token}") == (401, "JWT expired")
    assert asked("Bearer abc") == (401, "Expected 3 parts in JWT; got 1")
    assert asked("Bearer ") == (401, "Empty JWT is sent in Authorization header")
    assert asked(f"Bearer {FakeSupabase().service_key}") == (401, "No suitable key or wrong key type")
    assert asked(f"Bearer {fake.user_token(ALICE, role='king')}") == (401, 'role "king" does not exist')
    assert asked("") == (200, [])


# --- functions --------------------------------------------------------------------------------------------------------


def test_a_function_gets_arguments_and_the_caller(fake: FakeSupabase, connect: Connect) -> None:
    def whoami(*, greeting: str, mark: str = "!", actor: Actor) -> dict[str, str]:
        return {"said": greeting + mark, "who": actor.sub}

    fake.function("whoami", whoami)
    client = connect(key=fake.user_token(ALICE))
    assert client.rpc("whoami", {"greeting": "hi"}).execute().data == {"said": "hi!", "who": ALICE}
    code, message, details = refusal(client.rpc("whoami", {"greetings": "hi", "x": 1}))
    assert (code, message) == (
        "PGRST202",
        "Could not find the function public.whoami(greetings, x) in the schema cache",
    )
    assert details == (
        "Searched for the function public.whoami with parameters greetings, x or with a single unnamed json/jsonb "
        "parameter, but no matches were found in the schema cache."
    )


def test_a_function_may_be_kept_from_users(fake: FakeSupabase, connect: Connect) -> None:
    fake.function("secret", lambda: 42, roles={"service_role"})
    assert connect().rpc("secret", {}).execute().data == 42
    url = f"{fake.url}/rest/v1/rpc/secret"
    for key, status in ((fake.user_token(ALICE), 403), (fake.anon_key, 401)):
        answer = httpx.post(url, json={}, headers={"authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["code"]) == (status, "42501")
        assert answer.json()["message"] == "permission denied for function secret"


def test_rows_of_a_function_are_filtered_sorted_and_paged(fake: FakeSupabase, connect: Connect) -> None:
    fake.function("numbers", lambda: RowSet.of({"n": each} for each in range(5)))
    query = connect().rpc("numbers", {}).gt("n", 1).order("n", desc=True).limit(2)
    assert query.execute().data == [{"n": 4}, {"n": 3}]
    read = connect().rpc("numbers", {}, get=True).eq("n", 2)
    assert read.execute().data == [{"n": 2}]


@pytest.mark.parametrize(
    ("code", "status"),
    [("P0001", 400), ("PT402", 402), ("57014", 500), ("53300", 503), ("40001", 500), ("23503", 409), ("42883", 404)],
)
def test_what_a_function_raises_comes_with_the_status_of_its_code(fake: FakeSupabase, code: str, status: int) -> None:
    def fail() -> None:
        raise SqlError("no", code=code, hint="try again")

    fake.function("fail", fail)
    headers = {"authorization": f"Bearer {fake.anon_key}"}
    answer = httpx.post(f"{fake.url}/rest/v1/rpc/fail", json={}, headers=headers)
    assert (answer.status_code, answer.json()) == (
        status,
        {"code": code, "message": "no", "hint": "try again", "details": None},
    )


# --- staging ----------------------------------------------------------------------------------------------------------


def test_a_table_that_nobody_declared_takes_any_column(fake: FakeSupabase, connect: Connect) -> None:
    fake.table("projects", rows=[{"name": "Emma", "project_data": {"chapters": []}}])
    row: Any
    (row,) = connect().table("projects").insert({"name": "Dune", "pages": 612}).execute().data
    assert uuid.UUID(row.pop("id")).version == 4
    assert row == {"name": "Dune", "project_data": None, "pages": 612}
    assert [each["name"] for each in fake.rows("projects")] == ["Emma", "Dune"]


BAD: dict[str, Callable[[FakeSupabase], Any]] = {
    "a type": lambda fake: fake.table("t", {"a": "money"}),
    "a clause": lambda fake: fake.table("t", {"a": "text references users"}),
    "a key of nothing": lambda fake: fake.table("t", {"a": "text"}, primary_key="b"),
    "a role": lambda fake: fake.function("f", lambda: 1, roles={"king"}),
}


@pytest.mark.parametrize("what", BAD)
def test_staging_what_makes_no_sense_is_refused(fake: FakeSupabase, what: str) -> None:
    with pytest.raises(ValueError, match=r"type|declares|column|role"):
        BAD[what](fake)


def test_staged_rows_are_held_to_the_constraints(fake: FakeSupabase) -> None:
    with pytest.raises(SqlError, match="duplicate key"):
        fake.table("t", {"id": "int primary key"}, rows=[{"id": 1}, {"id": 1}])
