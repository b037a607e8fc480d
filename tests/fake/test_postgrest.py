"""Queries of supabase-py against tables in memory: what is selected, in which order, and how it is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
from postgrest.exceptions import APIError
from postgrest.types import CountMethod

from audiostore.testing.supabase import FakeSupabase
from supabase import Client
from tests.fake.conftest import Connect

BOOKS: list[dict[str, Any]] = [
    {"id": 1, "title": "Emma", "pages": 474, "data": {"tags": ["love"], "by": {"name": "Austen"}}, "read": True},
    {"id": 2, "title": "Dune", "pages": 612, "data": {"tags": ["sand", "love"], "by": {"name": "Herbert"}}},
    {
        "id": 3,
        "title": "Ulysses, 1922",
        "pages": None,
        "data": {"tags": [], "by": {"name": 'J. "J" Joyce'}},
        "read": False,
    },
    {"id": 4, "title": "100%_sure", "pages": 90, "data": {}, "read": False},
]


@pytest.fixture(params=["in process", "served"])
def client(request: pytest.FixtureRequest, fake: FakeSupabase, connect: Connect) -> Iterator[Client]:
    columns = {"id": "int primary key", "title": "text not null", "pages": "int", "data": "jsonb", "read": "boolean"}
    fake.table("books", columns, rows=BOOKS)
    if request.param == "in process":
        yield connect()
        return
    with fake.serve() as server:
        yield connect(url=server.url, http2=False)


def ids(query: Any) -> list[int]:
    return [each["id"] for each in query.execute().data]


Narrow = Callable[[Any], Any]

FILTERS: dict[str, tuple[Narrow, list[int]]] = {
    "eq": (lambda q: q.eq("title", "Emma"), [1]),
    "eq, with what would part a list": (lambda q: q.eq("title", "Ulysses, 1922"), [3]),
    "neq leaves out null": (lambda q: q.neq("pages", 90), [1, 2]),
    "gt": (lambda q: q.gt("pages", 474), [2]),
    "gte": (lambda q: q.gte("pages", 474), [1, 2]),
    "lt": (lambda q: q.lt("pages", 474), [4]),
    "lte": (lambda q: q.lte("pages", 474), [1, 4]),
    "like": (lambda q: q.like("title", "%m%"), [1]),
    "like, escaped": (lambda q: q.like("title", r"%\%\_%"), [4]),
    "like knows capitals": (lambda q: q.like("title", "e%"), []),
    "ilike does not": (lambda q: q.ilike("title", "e%"), [1]),
    "like any": (lambda q: q.like_any_of("title", "D%,E%"), [1, 2]),
    "like all": (lambda q: q.like_all_of("title", "%m%,E%"), [1]),
    "in": (lambda q: q.in_("title", ["Emma", "Ulysses, 1922"]), [1, 3]),
    "in nothing": (lambda q: q.in_("id", []), []),
    "is null": (lambda q: q.is_("pages", None), [3]),
    "is true": (lambda q: q.is_("read", True), [1]),
    "not is null": (lambda q: q.not_.is_("read", "null"), [1, 3, 4]),
    "not eq": (lambda q: q.not_.eq("read", True), [3, 4]),
    "not in": (lambda q: q.not_.in_("id", [1, 2]), [3, 4]),
    "contains an object": (lambda q: q.contains("data", {"by": {"name": "Austen"}}), [1]),
    "contains a list": (lambda q: q.contains("data", {"tags": ["love"]}), [1, 2]),
    "contained by": (lambda q: q.contained_by("data", {"tags": ["love"], "by": {"name": "Austen"}}), [1, 4]),
    "a path in JSON": (lambda q: q.eq("data->by->>name", "Herbert"), [2]),
    "a place in a list": (lambda q: q.eq("data->tags->>0", "sand"), [2]),
    "a quote in a value": (lambda q: q.eq("data->by->>name", 'J. "J" Joyce'), [3]),
    "or": (lambda q: q.or_("pages.gt.600,title.eq.Emma"), [1, 2]),
    "or, of a list and a pair": (lambda q: q.or_("id.in.(1,4),and(pages.gt.600,read.is.null)"), [1, 2, 4]),
    "or, with a comma in quotes": (lambda q: q.or_('title.eq."Ulysses, 1922",id.eq.2'), [2, 3]),
    "not or": (lambda q: q.not_.or_("id.eq.1,id.eq.2"), [3, 4]),
    "two at once": (lambda q: q.gt("id", 1).lt("id", 4), [2, 3]),
    "match": (lambda q: q.match({"title": "Dune", "pages": 612}), [2]),
}


@pytest.mark.parametrize("kind", FILTERS)
def test_a_filter_finds_what_sql_would(client: Client, kind: str) -> None:
    narrow, wanted = FILTERS[kind]
    assert ids(narrow(client.table("books").select("id")).order("id")) == wanted


ORDERS: dict[str, tuple[Narrow, list[int]]] = {
    "ascending, null last": (lambda q: q.order("pages"), [4, 1, 2, 3]),
    "descending, null first": (lambda q: q.order("pages", desc=True), [3, 2, 1, 4]),
    "null where it is asked for": (lambda q: q.order("pages", desc=True, nullsfirst=False), [2, 1, 4, 3]),
    "by two": (lambda q: q.order("read", nullsfirst=True).order("id", desc=True), [2, 4, 3, 1]),
    "by a path": (lambda q: q.order("data->by->>name").limit(2), [1, 2]),
    "a page": (lambda q: q.order("id").range(1, 2), [2, 3]),
    "an offset": (lambda q: q.order("id").offset(3), [4]),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_rows_come_in_order(client: Client, kind: str) -> None:
    narrow, wanted = ORDERS[kind]
    assert ids(narrow(client.table("books").select("id"))) == wanted


def test_columns_are_chosen_renamed_cast_and_dug_out(client: Client) -> None:
    query = client.table("books").select("name:title, pages::text, data->by->>name, tag:data->tags->0").eq("id", 1)
    assert query.execute().data == [{"name": "austen".title(), "pages": "474", "tag": "love"} | {"name": "Austen"}]


def test_a_count_comes_with_a_page_or_alone(client: Client) -> None:
    page = client.table("books").select("id", count=CountMethod.exact).range(0, 1).execute()
    assert (len(page.data), page.count) == (2, 4)
    alone = client.table("books").select("*", count=CountMethod.exact, head=True).gt("pages", 100).execute()
    assert (alone.data, alone.count) == ([], 2)


def test_one_row_is_one_row(client: Client) -> None:
    books = client.table("books")
    assert books.select("title").eq("id", 1).single().execute().data == {"title": "Emma"}
    assert books.select("title").eq("id", 9).maybe_single().execute() is None
    with pytest.raises(APIError) as refused:
        books.select("title").single().execute()
    assert (refused.value.code, refused.value.details) == ("PGRST116", "The result contains 4 rows")


def test_no_answer_has_more_rows_than_the_project_allows(fake: FakeSupabase, connect: Connect) -> None:
    fake.table("many", {"id": "int primary key"}, rows=[{"id": each} for each in range(1200)])
    many = connect().table("many")
    assert len(many.select("*").execute().data) == fake.max_rows == 1000
    assert len(many.select("*").limit(1100).execute().data) == 1000
    fake.max_rows = None
    assert len(many.select("*").execute().data) == 1200


MISTAKES: dict[str, tuple[Narrow, str, str]] = {
    "select an unknown column": (lambda t: t.select("nope"), "42703", "column books.nope does not exist"),
    "filter by one": (lambda t: t.select("*").eq("nope", 1), "42703", "column books.nope does not exist"),
    "order by one": (lambda t: t.select("*").order("nope"), "42703", "column books.nope does not exist"),
    "text for a number": (
        lambda t: t.select("*").eq("pages", "x"),
        "22P02",
        'invalid input syntax for type integer: "x"',
    ),
    "a number too large": (
        lambda t: t.select("*").eq("pages", 2**40),
        "22003",
        'value "1099511627776" is out of range for type integer',
    ),
    "like a number": (
        lambda t: t.select("*").like("pages", "4%"),
        "42883",
        "operator does not exist: integer ~~ unknown",
    ),
    "an operator that is none": (
        lambda t: t.select("*").filter("id", "equals", "1"),
        "PGRST100",
        '"failed to parse filter (equals.1)" (line 1, column 1)',
    ),
    "what the fake can't do": (
        lambda t: t.select("*, authors(*)"),
        "0A000",
        "the fake does not know embedded tables and aggregates",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_refused_as_postgres_would(client: Client, kind: str) -> None:
    ask, code, message = MISTAKES[kind]
    with pytest.raises(APIError) as refused:
        ask(client.table("books")).execute()
    assert (refused.value.code, refused.value.message) == (code, message)


def test_an_unknown_schema_and_a_path_too_long_are_refused(fake: FakeSupabase) -> None:
    headers = {"authorization": f"Bearer {fake.service_key}"}
    asked = httpx.get(f"{fake.url}/rest/v1/books", headers={**headers, "accept-profile": "private"})
    assert (asked.status_code, asked.json()["code"]) == (406, "PGRST106")
    assert httpx.get(f"{fake.url}/rest/v1/books/1", headers=headers).json()["code"] == "PGRST125"
    assert httpx.put(f"{fake.url}/rest/v1/books", headers=headers, json={}).status_code == 405


def test_requests_reads_the_same_tables(fake: FakeSupabase) -> None:
    fake.table("notes", rows=[{"text": "naïve ☃"}])
    url, headers = f"{fake.url}/rest/v1/notes", {"authorization": f"Bearer {fake.service_key}"}
    answer = requests.get(url, params={"select": "text"}, headers=headers, timeout=5)
    assert answer.json() == [{"text": "naïve ☃"}]
    assert (answer.headers["content-range"], answer.headers["server"]) == ("0-0/*", "postgrest/13.0.8")


def test_a_page_of_any_origin_may_ask(fake: FakeSupabase) -> None:
    asked = {"origin": "https://app.example", "access-control-request-headers": "authorization, prefer"}
    for path in ("/rest/v1/books", "/auth/v1/token"):
        answer = httpx.options(fake.url + path, headers=asked)
        assert (answer.status_code, answer.headers["access-control-allow-headers"]) == (204, "authorization, prefer")


def test_faults_befall_these_routes_too(fake: FakeSupabase) -> None:
    fake.table("notes", rows=[{"text": "a"}])
    url, headers = f"{fake.url}/rest/v1/notes", {"authorization": f"Bearer {fake.service_key}"}
    fake.fail_next("GET /rest/v1/notes", status=503)
    assert [httpx.get(url, headers=headers).status_code for _ in range(2)] == [503, 200]
    fake.fail_next("POST /rest/v1/*", lose_response=True)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(url, headers=headers, json={"text": "b"})
    assert [each["text"] for each in fake.rows("notes")] == ["a", "b"]
    assert [each.path for each in fake.requests] == ["/rest/v1/notes"] * 3


def test_reset_forgets_tables_and_users(fake: FakeSupabase, connect: Connect) -> None:
    fake.table("notes", rows=[{"text": "a"}])
    fake.add_user("alice@example.com", "password")
    fake.reset()
    assert connect().auth.admin.list_users() == []
    with pytest.raises(APIError, match="PGRST205"):
        connect().table("notes").select("*").execute()


def test_buckets_and_objects_are_rows_too(fake: FakeSupabase, connect: Connect) -> None:
    client = connect()
    client.storage.from_("takes").upload("alice/a.mp3", b"abc", {"content-type": "audio/mpeg"})
    storage = client.schema("storage")
    (found,) = storage.table("objects").select("name, metadata->>size").eq("bucket_id", "takes").execute().data
    assert found == {"name": "alice/a.mp3", "size": "3"}
    assert [each["id"] for each in storage.table("buckets").select("id").execute().data] == ["takes"]  # type: ignore[call-overload,index]
    bob = connect(key=fake.user_token("bob")).schema("storage")
    assert bob.table("objects").select("*").execute().data == bob.table("buckets").select("*").execute().data == []
