"""Whatever is logged or told, on any level, by us or by what we use: no secret and no token is in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from audiostore import AudioStore, AudioStoreError, Event, serve
from audiostore.backends.memory import MemoryBackend
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.signing import LinkSigner
from tests.crashes.cloud import BUCKET, shared_cloud
from tests.crashes.operations import OPERATIONS
from tests.crashes.worlds import SECRET, World

TOKEN = re.compile(r"token=([\w.-]+)")


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Keep every token that is made meanwhile: of our own links, and of Supabase's."""
    made = set[str]()

    def watch(kind: type, name: str, found: Callable[[Any], list[str]]) -> None:
        make = getattr(kind, name)

        def keep(*given: Any, **options: Any) -> Any:
            answer = make(*given, **options)
            made.update(found(answer))
            return answer

        monkeypatch.setattr(kind, name, keep)

    watch(LinkSigner, "sign", lambda token: [token])
    watch(SupabaseBackend, "sign", lambda links: [each for link in links.values() for each in TOKEN.findall(link)])
    watch(SupabaseBackend, "sign_upload", lambda grant: TOKEN.findall(grant.url))
    return made


def told_by(kind: str, caplog: pytest.LogCaptureFixture) -> str:
    """Run every operation; give all that was logged, and all events."""
    told = list[Event]()
    for operation in OPERATIONS.values():
        with World(kind) as world:
            given = operation.furnish(world)
            world.store.on("*", told.append)
            operation.act(world, given)
    assert len(told) > 20
    lines = [f"{record.name} {record.getMessage()} {record.args}" for record in caplog.records]
    # The browser's own client, in this very process, logs the link that it was given to send to.
    ours = [line for line in lines if not (line.startswith("httpx HTTP Request: PUT") and "/upload/sign/" in line)]
    return "\n".join([*ours, *map(repr, told)])


@pytest.mark.parametrize(("kind", "most"), [("disk", 5), pytest.param("cloud", 5, marks=pytest.mark.slow)])
def test_no_operation_logs_or_tells_a_secret(
    kind: str, most: int, caplog: pytest.LogCaptureFixture, tokens: set[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    text = told_by(kind, caplog)
    secrets = {SECRET, *tokens}
    if kind == "cloud":
        assert "httpcore" in text, "what is below us was not heard"
        fake = shared_cloud().fake
        secrets |= {fake.service_key, fake.anon_key, fake.jwt_secret}
    assert len(tokens) >= most, "no links were made"
    assert [each for each in secrets if each in text] == []


@pytest.mark.slow
def test_no_error_of_a_server_tells_the_key_that_it_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cloud, key = shared_cloud(), "sb_secret_of_somebody_else_entirely"
    cloud.empty()
    with AudioStore(SupabaseBackend(cloud.server.url, key, BUCKET), MemoryCatalog()) as store:
        told = list[Event]()
        store.on("*", told.append)
        with pytest.raises(AudioStoreError) as raised:
            store.put(b"bytes", owner="alice")
    text = "\n".join([repr(raised.value), *map(repr, told), *(each.getMessage() for each in caplog.records)])
    assert "httpcore" in {each.name.partition(".")[0] for each in caplog.records}
    assert key not in text


def test_no_refusal_of_a_link_tells_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = AudioStore(MemoryBackend(), MemoryCatalog(), secret=SECRET)
    token = store.url(store.put(b"bytes", owner="alice")).rpartition("/")[2]
    forged = token[:-4] + "AAAA"
    reply = serve(store, forged)
    assert (reply.status, b"".join(reply.body)) == (403, b"link invalid")
    text = "\n".join(each.getMessage() for each in caplog.records)
    with pytest.raises(AudioStoreError) as raised:
        store.signer.verify(forged, "GET")
    assert not {token, forged, SECRET} & {*text.split(), *repr(raised.value).split("'")}
