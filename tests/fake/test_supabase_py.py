"""supabase-py works with the fake: in this process and over the wire, sync and async."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from storage3.exceptions import StorageApiError

from audiostore.testing.supabase import FakeSupabase, mock_supabase
from supabase import AsyncClientOptions, acreate_client
from tests.fake.conftest import Connect

AUDIO = {"content-type": "audio/mpeg"}


def test_what_is_uploaded_comes_back(takes: Any) -> None:
    takes.upload("p1/one.mp3", b"abc", AUDIO)
    assert takes.download("p1/one.mp3") == b"abc"
    assert takes.info("p1/one.mp3")["content_type"] == "audio/mpeg"


def test_a_large_file_comes_back(takes: Any, tmp_path: Path, fake: FakeSupabase) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "take.wav").write_bytes(content)
    takes.upload("take.wav", tmp_path / "take.wav", AUDIO)
    assert takes.download("take.wav") == content == fake.read("takes", "take.wav")


def test_metadata_goes_with_it(takes: Any) -> None:
    takes.upload("a.mp3", b"abc", {**AUDIO, "metadata": {"title": "naïve ☃"}, "cache-control": "60"})
    facts = takes.info("a.mp3")
    assert facts["metadata"] == {"title": "naïve ☃"}
    assert facts["cache_control"] == "max-age=60"


def test_a_key_is_taken_once_unless_upserted(takes: Any) -> None:
    takes.upload("a.mp3", b"abc", AUDIO)
    with pytest.raises(StorageApiError) as refused:
        takes.upload("a.mp3", b"other", AUDIO)
    assert (refused.value.status, refused.value.code) == ("409", "Duplicate")
    takes.upload("a.mp3", b"other", {**AUDIO, "upsert": "true"})
    assert takes.download("a.mp3") == b"other"


def test_a_folder_is_listed(takes: Any) -> None:
    for key in ("p1/a.mp3", "p1/b.mp3", "p1/sub/c.mp3", "p2/d.mp3"):
        takes.upload(key, b"abc", AUDIO)
    assert [each["name"] for each in takes.list("p1")] == ["a.mp3", "b.mp3", "sub"]
    page = takes.list_v2({"prefix": "p1/", "limit": 2})
    assert [each.name for each in page.objects] == ["p1/a.mp3", "p1/b.mp3"]
    rest = takes.list_v2({"prefix": "p1/", "cursor": page.nextCursor})
    assert [each.name for each in rest.objects] == ["p1/sub/c.mp3"]


def test_objects_move_copy_and_go(takes: Any, fake: FakeSupabase) -> None:
    takes.upload("a.mp3", b"abc", AUDIO)
    takes.copy("a.mp3", "b.mp3")
    takes.move("a.mp3", "c.mp3")
    assert fake.keys("takes") == ["b.mp3", "c.mp3"]
    assert [each["name"] for each in takes.remove(["b.mp3", "none.mp3"])] == ["b.mp3"]
    assert not takes.exists("b.mp3")
    assert takes.exists("c.mp3")


def test_a_signed_link_needs_no_key_and_ends(takes: Any, fake: FakeSupabase) -> None:
    fake.now = fake.now
    takes.upload("a.mp3", b"abc", AUDIO)
    link = takes.create_signed_url("a.mp3", 60, {"download": "My take.mp3"})["signedURL"]
    answer = httpx.get(link)
    assert answer.content == b"abc"
    assert "My%20take.mp3" in answer.headers["content-disposition"]
    fake.advance(timedelta(seconds=61))
    assert httpx.get(link).json()["message"] == '"exp" claim timestamp check failed'


def test_a_signed_upload_goes_round(takes: Any) -> None:
    ticket = takes.create_signed_upload_url("a.mp3")
    takes.upload_to_signed_url("a.mp3", ticket["token"], b"abc", AUDIO)
    assert takes.download("a.mp3") == b"abc"


def test_a_user_has_the_own_folder_only(fake: FakeSupabase, connect: Connect) -> None:
    alice = connect(key=fake.user_token("alice")).storage.from_("takes")
    bob = connect(key=fake.user_token("bob")).storage.from_("takes")
    alice.upload("alice/a.mp3", b"abc", {"content-type": "audio/mpeg"})
    with pytest.raises(StorageApiError, match="row-level security"):
        bob.upload("alice/b.mp3", b"abc", {"content-type": "audio/mpeg"})
    with pytest.raises(StorageApiError, match="Object not found"):
        bob.download("alice/a.mp3")
    assert bob.remove(["alice/a.mp3"]) == []
    fake.allow("select", lambda actor, bucket, key: actor.sub == "bob")
    assert bob.download("alice/a.mp3") == b"abc"


@pytest.mark.parametrize("http2", [False, True])
def test_the_async_client_finds_it_too(http2: bool) -> None:
    async def use(fake: FakeSupabase) -> bytes:
        async with httpx.AsyncClient(http2=http2) as http:
            client = await acreate_client(fake.url, fake.service_key, AsyncClientOptions(httpx_client=http))
            takes = client.storage.from_("takes")
            await takes.upload("a.mp3", b"abc", {"content-type": "audio/mpeg"})
            link = (await takes.create_signed_url("a.mp3", 60))["signedURL"]
            assert (await http.get(str(link))).content == b"abc"
            assert [each["name"] for each in await takes.list()] == ["a.mp3"]
            await takes.move("a.mp3", "b.mp3")
            content = await takes.download("b.mp3")
            assert len(await takes.remove(["b.mp3"])) == 1
            return content

    with mock_supabase() as fake:
        fake.create_bucket("takes")
        assert anyio.run(use, fake) == b"abc"
