from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from audiostore.testing.supabase import FakeSupabase, mock_supabase
from supabase import Client, ClientOptions, create_client

Connect = Callable[..., Client]


@pytest.fixture
def fake() -> Iterator[FakeSupabase]:
    with mock_supabase() as fake:
        fake.create_bucket("takes")
        yield fake


@pytest.fixture
def connect(fake: FakeSupabase) -> Iterator[Connect]:
    """Give supabase-py's client of the fake; its own HTTP/2 client warns of its own options, so it gets one."""
    made: list[httpx.Client] = []

    def connect(*, key: str = "", url: str = "", http2: bool = True) -> Client:
        client = httpx.Client(http2=http2, follow_redirects=True)
        made.append(client)
        return create_client(url or fake.url, key or fake.service_key, ClientOptions(httpx_client=client))

    yield connect
    for each in made:
        each.close()


@pytest.fixture(params=["in process", "served"])
def takes(request: pytest.FixtureRequest, fake: FakeSupabase, connect: Connect) -> Iterator[Any]:
    """Give supabase-py's proxy of one bucket, by each of two ways to the fake."""
    if request.param == "in process":
        yield connect().storage.from_("takes")
        return
    with fake.serve() as server:
        yield connect(url=server.url, http2=False).storage.from_("takes")
