"""Every call of the facade, awaited: the same words, the same answers, the same errors."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import audiostore
from audiostore import AsyncAudioStore, AudioStore, Event, NotFound, QuotaExceeded
from audiostore.testing import mock_supabase
from tests.aio.conftest import everything, trickle

TAKE = b"RIFF....WAVEfmt ".ljust(3000, b"~")

SYNCHRONOUS = {"on", "signer"}
"""What waits for nothing."""
ITERATED = {"list", "promote_all"}
WIDENED = {"put_many", "download_many", "delete_many"}
"""What takes asynchronous iterables besides what the facade takes."""
OWN = {"run", "serve", "store"}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_it_has_every_method_of_the_facade_and_few_of_its_own() -> None:
    assert public(AudioStore) <= public(AsyncAudioStore)
    assert public(AsyncAudioStore) - public(AudioStore) == OWN - {"store"}


@pytest.mark.parametrize("name", sorted(public(AudioStore) - {"signer"}))
def test_each_method_takes_what_the_facades_takes(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(each, name)) for each in (AsyncAudioStore, AudioStore))
    added = {"workers", "uploads"} & set(ours.parameters) - set(theirs.parameters)
    mine = [each for each in ours.parameters.values() if each.name not in added]
    told = [(each.name, each.kind, each.default) for each in mine]
    assert told == [(each.name, each.kind, each.default) for each in theirs.parameters.values()]
    if name not in WIDENED:
        assert [each.annotation for each in mine] == [each.annotation for each in theirs.parameters.values()]
    assert added == ({"workers", "uploads"} if name in {"local", "from_env", "from_supabase"} else set())


@pytest.mark.parametrize("name", sorted(public(AsyncAudioStore) - SYNCHRONOUS - {"local", "from_env", "from_supabase"}))
def test_each_method_is_awaited_or_iterated_over_and_has_its_contract(name: str) -> None:
    method = getattr(AsyncAudioStore, name)
    assert inspect.iscoroutinefunction(method) == (name not in ITERATED)
    assert method.__doc__


def test_it_is_exported_with_its_reply_and_its_stream() -> None:
    assert {"AsyncAudioStore", "AsyncReply", "AsyncByteStream", "AsyncFile"} <= set(audiostore.__all__)
    assert get_type_hints(AsyncAudioStore.stream)["return"] is audiostore.AsyncByteStream


def test_a_file_lives_its_whole_life(astore: AsyncAudioStore, tmp_path: Path) -> None:
    async def live() -> None:
        async with astore:
            take = await astore.put(TAKE, owner="alice", project="p1", chapter=1, section=2, filename="take.wav")
            assert await astore.find(take.id) == take
            assert await astore.get(take.id, owner="alice") == TAKE
            assert (await astore.stat(take)).size == len(TAKE)
            assert await astore.exists(take)
            assert [each.id async for each in astore.list(owner="alice", project="p1")] == [take.id]
            assert (await astore.url(take)).expires_at == (await astore.urls([take]))[0].expires_at
            assert (await astore.download_to(take, tmp_path / "take.wav")).read_bytes() == TAKE
            assert (await astore.move(take, chapter=9)).chapter == "9"
            copied = await astore.copy(take, section=3)
            assert (await astore.replace(copied, b"other bytes")).size == 11
            assert await astore.promote(take) == await astore.find(take.id)
            assert [each async for each in astore.promote_all()] == []
            assert (await astore.usage("alice")).files == 2
            assert (await astore.usage_by_project("alice"))["p1"].files == 2
            assert (await astore.set_quota("alice", "1 MB")).limits.total == (
                await astore.quota_of("alice")
            ).limits.total
            await astore.clear_quota("alice")
            assert (await astore.audit()).ok
            await astore.sweep()
            await astore.delete(take)
            assert await astore.delete_project("alice", "p1") == 1
            assert await astore.delete_owner("alice") == 0

    asyncio.run(live())


def test_an_error_is_that_of_the_facade(astore: AsyncAudioStore) -> None:
    async def ask() -> None:
        with pytest.raises(NotFound):
            await astore.get("nothing", owner="alice")
        with pytest.raises(TypeError, match="who is asking"):
            await astore.delete("nothing")
        with pytest.raises(ValueError, match="empty"):
            _ = [each async for each in astore.list(owner="")]
        await astore.set_quota("alice", 10)
        with pytest.raises(QuotaExceeded):
            await astore.put(trickle(b"0123456789", b"!"), owner="alice")

    asyncio.run(ask())


def test_a_browser_uploads_directly(astore: AsyncAudioStore, kind: str) -> None:
    async def upload() -> None:
        grant = await astore.begin_upload(owner="alice", size=len(TAKE), filename="take.wav")
        if kind == "cloud":
            await astore.cancel_upload(grant)
            return
        token = grant.url.rpartition("/")[2]
        body = trickle(TAKE[:1000], TAKE[1000:])
        reply = await astore.serve(token, "PUT", {"Content-Length": str(len(TAKE))}, body)
        assert (reply.status, await everything(reply.body)) == (201, b"")
        assert await astore.get(await astore.finish_upload(grant)) == TAKE

    asyncio.run(upload())


def test_what_is_not_ours_runs_in_a_thread_with_the_synchronous_store(astore: AsyncAudioStore) -> None:
    def tail(store: AudioStore, file: Any, count: int, *, loud: bool) -> bytes:
        with store.open(file) as opened:
            opened.seek(-count, 2)
            return opened.read().upper() if loud else opened.read()

    async def ask() -> bytes:
        return await astore.run(tail, await astore.put(b"many bytes", owner="alice"), 5, loud=True)

    assert asyncio.run(ask()) == b"BYTES"


def test_events_come_from_the_thread_with_the_callers_context(astore: AsyncAudioStore) -> None:
    request: ContextVar[str] = ContextVar("request")
    heard: list[tuple[str, str]] = []

    def hear(event: Event) -> None:
        assert threading.current_thread() is not threading.main_thread()
        heard.append((event.name, request.get()))

    async def work(number: str) -> None:
        request.set(number)
        await astore.put(b"bytes", owner=number)

    async def both() -> None:
        stop = astore.on("put.finished", hear)
        await asyncio.gather(work("1"), work("2"))
        stop()
        await work("3")

    asyncio.run(both())
    assert sorted(heard) == [("put.finished", "1"), ("put.finished", "2")]


def test_it_is_made_as_the_facade_is(tmp_path: Path) -> None:
    async def put(astore: AsyncAudioStore) -> str:
        async with astore:
            return (await astore.put(b"bytes", owner="alice")).backend

    assert asyncio.run(put(AsyncAudioStore.local(tmp_path / "uploads"))) == "local"
    assert asyncio.run(put(AsyncAudioStore.from_env({"UPLOAD_FOLDER": str(tmp_path / "env")}, workers=1))) == "local"
    with mock_supabase() as fake:
        import supabase

        fake.create_bucket("audio-files")
        fake.apply_schema()
        client = supabase.create_client(fake.url, fake.service_key)
        assert asyncio.run(put(AsyncAudioStore.from_supabase(client, uploads=1))) == "supabase"


def test_closed_it_waits_for_what_runs_and_opens_again(astore: AsyncAudioStore) -> None:
    async def use() -> None:
        heard = list[str]()
        astore.on("*", lambda event: heard.append(event.name))
        putting = asyncio.create_task(astore.put(trickle(*[b"chunk"] * 50), owner="alice"))
        await asyncio.sleep(0)
        await astore.close()
        assert heard == ["put.started", "put.finished"]
        assert (await putting).size == 250
        assert (await astore.usage("alice")).files == 1

    asyncio.run(use())


def test_one_store_serves_one_event_loop_after_another(astore: AsyncAudioStore) -> None:
    take = asyncio.run(astore.put(b"bytes", owner="alice", filename="a.bin"))
    link = asyncio.run(astore.url(take, expires=timedelta(hours=1)))
    assert asyncio.run(astore.get(take)) == b"bytes"
    assert link.expires_at.tzinfo is not None


@pytest.mark.parametrize("numbers", [{"workers": 0}, {"uploads": 0}])
def test_no_threads_at_all_are_refused(numbers: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        AsyncAudioStore(AudioStore.local(tmp_path), **numbers)
