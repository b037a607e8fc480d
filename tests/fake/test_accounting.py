"""audiostore's functions and records in the fake's database, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from postgrest.exceptions import APIError

from audiostore import AudioStore, FileTooLarge, PermissionDenied, QuotaExceeded
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.models import Limits, Override
from audiostore.testing.supabase import FakeSupabase
from tests.fake.conftest import Connect

ALICE, BOB = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SOUND = b"RIFF\x04\0\0\0WAVE"


@pytest.fixture
def catalog(fake: FakeSupabase) -> Iterator[PostgresCatalog]:
    fake.apply_schema()
    catalog = PostgresCatalog.from_supabase(fake.url, fake.service_key)
    yield catalog
    catalog.close()


@pytest.fixture
def store(fake: FakeSupabase, catalog: PostgresCatalog) -> Iterator[AudioStore]:
    with SupabaseBackend(fake.url, fake.service_key, "takes") as backend:
        yield AudioStore(backend, catalog)


def test_users_see_their_own_records_as_older_readers_do(
    store: AudioStore, fake: FakeSupabase, connect: Connect
) -> None:
    take = store.put(SOUND, owner=ALICE, project="p1", chapter=1, section="intro", filename="a.wav")
    alice, bob = (connect(key=fake.user_token(each)) for each in (ALICE, BOB))
    row: Any
    (row,) = alice.table("file_uploads").select("*").execute().data
    wanted = {
        "id": take.id,
        "user_id": ALICE,
        "project_id": "p1",
        "filename": "a.wav",
        "file_size_mb": 0,
        "storage_path": str(take.key),
        "chapter_id": 1,
        "section_id": None,
        "section": "intro",
        "upload_status": "completed",
        "size": len(SOUND),
        "sha256": take.sha256,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert bob.table("file_uploads").select("*").execute().data == []
    assert len(connect().table("file_uploads").select("*").execute().data) == 1
    store.delete(take)
    assert alice.table("file_uploads").select("*").execute().data == []


def test_users_see_their_own_usage(store: AudioStore, fake: FakeSupabase, connect: Connect) -> None:
    store.put(b"a" * 1024 * 1024, owner=ALICE)
    row: Any
    (row,) = connect(key=fake.user_token(ALICE)).table("audiostore_my_usage").select("*").execute().data
    assert (row["used"], row["files"], row["quota"]) == (1024 * 1024, 1, 500 * 1024 * 1024)
    assert (row["storage_used_mb"], row["storage_quota_mb"]) == (1, 500)


@pytest.mark.parametrize(("key", "status"), [("anon", 401), ("user", 403)])
def test_accounts_are_kept_with_the_service_key_only(fake: FakeSupabase, key: str, status: int) -> None:
    fake.apply_schema()
    token = fake.anon_key if key == "anon" else fake.user_token(ALICE)
    headers = {"authorization": f"Bearer {token}"}
    usage = {"request": {"owner": ALICE, "limits": None}}
    answer = httpx.post(f"{fake.url}/rest/v1/rpc/audiostore_usage", json=usage, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, "42501")
    for method in ("POST", "PATCH", "DELETE"):
        answer = httpx.request(method, f"{fake.url}/rest/v1/file_uploads", json={"size": 0}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, "42501")
    assert answer.json()["message"] == "permission denied for table file_uploads"


def test_a_key_that_loses_its_rights_is_told_so(store: AudioStore, fake: FakeSupabase) -> None:
    fake.fail_next("POST /rest/v1/rpc/*", status=403, error="permission denied")
    with pytest.raises(PermissionDenied):
        store.usage(ALICE)


def test_the_database_has_numbers_and_a_caller_may_only_tighten_them(
    catalog: PostgresCatalog, fake: FakeSupabase
) -> None:
    assert catalog.usage(ALICE, None).quota == 500 * 1024 * 1024
    assert catalog.usage(ALICE, Limits(total=10)).quota == 10
    assert catalog.usage(ALICE, Limits(total=10**12)).quota == 500 * 1024 * 1024
    catalog.set_override(ALICE, Override(total=10**12))
    assert catalog.usage(ALICE, Limits(total=10)).quota == 10**12


def test_a_put_over_the_databases_numbers_is_refused(fake: FakeSupabase) -> None:
    fake.apply_schema(limits=Limits(total=100, per_file=60))
    catalog = PostgresCatalog.from_supabase(fake.url, fake.service_key)
    with SupabaseBackend(fake.url, fake.service_key, "takes") as backend:
        store = AudioStore(backend, catalog)
        with pytest.raises(FileTooLarge):
            store.put(b"a" * 61, owner=ALICE)
        store.put(b"a" * 60, owner=ALICE)
        with pytest.raises(QuotaExceeded):
            store.put(b"a" * 60, owner=ALICE)
        assert store.usage(ALICE).used == 60
    catalog.close()


def test_a_lost_answer_is_asked_for_again(store: AudioStore, fake: FakeSupabase) -> None:
    for method in ("reserve", "commit"):
        fake.fail_next(f"POST /rest/v1/rpc/audiostore_{method}", lose_response=True)
        store.put(SOUND, owner=ALICE)
    assert store.usage(ALICE).files == 2
    assert store.audit().ok


@pytest.mark.parametrize("request_", [{}, {"owner": 7, "limits": 1}, {"owner": "", "limits": None}, "text", None])
def test_a_request_that_makes_no_sense_is_the_callers_mistake(fake: FakeSupabase, request_: object) -> None:
    fake.apply_schema()
    headers = {"authorization": f"Bearer {fake.service_key}"}
    answer = httpx.post(f"{fake.url}/rest/v1/rpc/audiostore_reserve", json={"request": request_}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "22023")


def test_again_changes_nothing_and_a_reset_takes_it_away(
    store: AudioStore, fake: FakeSupabase, connect: Connect
) -> None:
    store.put(SOUND, owner=ALICE)
    fake.apply_schema(limits=None)
    assert store.usage(ALICE).used == len(SOUND)
    fake.reset()
    with pytest.raises(APIError, match="PGRST205"):
        connect().table("file_uploads").select("*").execute()


def test_records_of_another_kind_are_not_taken_over(fake: FakeSupabase) -> None:
    fake.table("file_uploads", {"id": "uuid primary key"})
    with pytest.raises(ValueError, match="take over the records"):
        fake.apply_schema()
