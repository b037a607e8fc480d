"""The door for httpx and httpx2: their two transport classes answer for an open fake themselves."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

from audiostore.testing.supabase import doors
from audiostore.testing.supabase.blobs import Blob
from audiostore.testing.supabase.faults import delivered
from audiostore.testing.supabase.wire import Body, Disconnected, Request, Response


class _Patch:
    """A method of a class, replaced until ``undo``."""

    def __init__(self, owner: Any, name: str, wrapper: Any) -> None:
        self._owner, self._name, self._ours = owner, name, wrapper
        self._before = getattr(owner, name)
        setattr(owner, name, wrapper)

    def undo(self) -> None:
        # Whoever patched after us calls ours; it does nothing more once no door is open.
        if getattr(self._owner, self._name) is self._ours:
            setattr(self._owner, self._name, self._before)


def patches() -> list[_Patch]:
    return [each for name in ("httpx", "httpx2") for each in _patches_of(name)]


def _patches_of(name: str) -> list[_Patch]:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        return []
    return [
        _Patch(module.HTTPTransport, "handle_request", _sync(module)),
        _Patch(module.AsyncHTTPTransport, "handle_async_request", _async(module)),
    ]


def _sync(module: ModuleType) -> Any:
    real = module.HTTPTransport.handle_request

    def handle_request(transport: Any, request: Any) -> Any:
        door = _door(module, request)
        if door is None:
            return real(transport, request)
        body = Body(request.stream, length=_length(request))
        response = _respond(module, door, _translated(request, body))
        return _answered(module, response, _pieces(module, response))

    return handle_request


def _async(module: ModuleType) -> Any:
    real = module.AsyncHTTPTransport.handle_async_request

    async def handle_async_request(transport: Any, request: Any) -> Any:
        door = _door(module, request)
        if door is None:
            return await real(transport, request)
        blob = Blob()
        async for piece in request.stream:
            blob.append(piece)
        translated = _translated(request, Body(blob.piece(), length=_length(request)))
        # anyio comes with httpx, and knows which event loop this is.
        threads = importlib.import_module("anyio.to_thread")
        response = await threads.run_sync(_respond, module, door, translated)
        return _answered(module, response, _async_pieces(module, response))

    return handle_async_request


def _door(module: ModuleType, request: Any) -> doors.Door | None:
    try:
        return doors.door_for(str(request.url))
    except ConnectionError as refused:
        raise module.ConnectError(str(refused), request=request) from None


def _length(request: Any) -> int | None:
    length = request.headers.get("content-length")
    if length is None and "transfer-encoding" not in request.headers:
        return 0
    return None if length is None else int(length)


def _translated(request: Any, body: Body) -> Request:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return doors.in_process(request.method, str(request.url), headers, body)


def _respond(module: ModuleType, door: doors.Door, request: Request) -> Response:
    try:
        response = door.respond(request)
    except Disconnected:
        raise module.WriteError("the connection was cut off") from None
    if response.delivery.lost:
        raise module.RemoteProtocolError("Server disconnected without sending a response.")
    return response


def _answered(module: ModuleType, response: Response, content: Any) -> Any:
    # An iterator, always: a response made of bytes counts as read already, and can't be streamed.
    return module.Response(response.status, headers=list(response.headers.items()), content=content)


def _pieces(module: ModuleType, response: Response) -> Iterator[bytes]:
    try:
        yield from delivered(response)
    except ConnectionError as cut:
        raise module.ReadError(str(cut)) from None


async def _async_pieces(module: ModuleType, response: Response) -> AsyncIterator[bytes]:
    for piece in _pieces(module, response):
        yield piece
