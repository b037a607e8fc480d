"""A Starlette app on a real server, and clients that hang up in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from audiostore import AsyncAudioStore, AudioStore, Unlimited
from audiostore.catalogs.memory import MemoryCatalog
from tests.aio.holding import Held

SIZE = 8 * 1024 * 1024
SECRET = "a secret of the tests, long enough"


def app_of(astore: AsyncAudioStore) -> Starlette:
    async def put(request: Request) -> Response:
        take = await astore.put(request.stream(), owner="alice")
        return JSONResponse({"id": take.id, "size": take.size})

    async def audio(request: Request) -> Response:
        token, body = request.path_params["token"], request.stream()
        reply = await astore.serve(token, request.method, request.headers, body)
        return StreamingResponse(reply.body, reply.status, reply.headers)

    return Starlette(routes=[Route("/takes", put, methods=["PUT"]), Route("/audio/{token}", audio)])


@contextlib.contextmanager
def served(astore: AsyncAudioStore) -> Generator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app_of(astore), log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
        asyncio.run(astore.close())


def test_a_request_streams_in_and_an_answer_streams_out(tmp_path: Path) -> None:
    store = AudioStore.local(tmp_path, quota=Unlimited(), secret=SECRET)
    with served(AsyncAudioStore(store)) as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        client.request("PUT", "/takes", body=(bytes([n]) * 65536 for n in range(32)), encode_chunked=True)
        sent = client.getresponse()
        (take,) = store.list(owner="alice")
        assert (sent.status, take.id.encode() in sent.read(), take.size) == (200, True, 32 * 65536)
        client.request("GET", store.url(take), headers={"Range": "bytes=65535-65536"})
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (206, b"\0\1")
        client.close()


def test_a_client_that_hangs_up_while_it_sends_leaves_nothing(tmp_path: Path) -> None:
    store, failed = AudioStore.local(tmp_path, quota=Unlimited(), secret=SECRET), threading.Event()
    store.on("put.failed", lambda event: failed.set())
    with served(AsyncAudioStore(store)) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"PUT /takes HTTP/1.1\r\nHost: app\r\nContent-Length: {SIZE}\r\n\r\n".encode())
            client.sendall(bytes(SIZE // 2))
        assert failed.wait(30)
    assert store.usage("alice").reserved == store.usage("alice").used == 0
    assert list(store.backend.list()) == []
    assert store.audit().ok


@pytest.mark.parametrize("read", [0, 100_000])
def test_a_client_that_hangs_up_while_it_listens_leaves_nothing_open(read: int) -> None:
    backend = Held()
    store = AudioStore(backend, MemoryCatalog(), quota=Unlimited(), secret=SECRET)
    take = store.put(bytes(SIZE), owner="alice")
    with served(AsyncAudioStore(store)) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {store.url(take)} HTTP/1.1\r\nHost: app\r\n\r\n".encode())
        while read > 0:
            read -= len(client.recv(min(read, 65536)))
        client.shutdown(socket.SHUT_RDWR)
    assert backend.opened == backend.closed
