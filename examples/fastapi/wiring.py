"""What stands between FastAPI and the flow: threads for what blocks, refusals, and the gate before the routes."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, ParamSpec, TypeVar

from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from starlette.concurrency import iterate_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiostore import AsyncAudioStore, AudioStoreError
from audiostore.streams import ByteStream
from examples.shared.admission import Asked
from examples.shared.auth import User
from examples.shared.flow import Flow
from examples.shared.problems import Problem, Refused, of_status, told

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Site:
    """One app's flow, and the threads that it works in: the event loop is never blocked."""

    def __init__(self, flow: Flow) -> None:
        self.flow, self.astore = flow, AsyncAudioStore(flow.store)

    def install(self, app: FastAPI) -> None:
        """Let *app* have the gate, and answer every error as a problem."""
        app.state.site = self
        app.add_middleware(Gate, site=self)
        for kind in (Refused, AudioStoreError, HTTPException, RequestValidationError, Exception):
            app.add_exception_handler(kind, self.refused)

    async def run(self, method: Callable[_P, _T], *args: _P.args, **named: _P.kwargs) -> _T:
        """Call a *method* of the flow. Who goes away while it works leaves nothing half done."""
        return await self.astore.run(lambda _: method(*args, **named))

    async def serve(self, token: str, request: Request) -> Response:
        """Answer a request to a link, as ``Flow.serve``."""
        if not self.flow.originals.is_meant(token):
            reply = await self.astore.serve(token, request.method, request.headers, request.stream())
            return StreamingResponse(reply.body, reply.status, reply.headers)
        old = await self.run(self.flow.originals.serve, token, request.method, request.headers)
        return StreamingResponse(closing(old.body), old.status, old.headers)

    @asynccontextmanager
    async def life(self, app: FastAPI) -> AsyncGenerator[None]:
        yield
        await self.astore.run(lambda _: self.flow.exporting.close())
        await self.astore.close()
        self.flow.close()  # what is left of it lets go of connections, and waits for nothing

    async def refused(self, request: Request, error: Exception) -> Response:
        """Say *error* as a problem. The server's log gets the faults; clients never see a trace."""
        problem = _problem(self.flow, error)
        if problem.is_fault:
            _log.error("a fault in %s %s", request.method, request.url.path, exc_info=error)
        return JSONResponse(problem.content, problem.status, problem.headers)


async def closing(stream: ByteStream) -> AsyncGenerator[bytes]:
    """Give what *stream* gives, and let go of it also when the client leaves before its end."""
    try:
        async for chunk in iterate_in_threadpool(stream):
            yield chunk
    finally:
        stream.close()


async def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


async def _user(request: Request, _: Annotated[object, Security(HTTPBearer(auto_error=False))]) -> User:
    user: User = request.state.user  # the gate has asked, before a byte of the body was read
    return user


Here = Annotated[Site, Depends(_site)]
SignedIn = Annotated[User, Depends(_user)]


class Gate:
    """Asks ``Flow.admit`` before a byte of the body is read, and lets no more bytes in than it says.

    (A dependency would come too late: FastAPI reads the body before it asks those.)
    """

    def __init__(self, app: ASGIApp, *, site: Site) -> None:
        self._app, self._site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._site.flow.config.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        address = request.client.host if request.client else ""
        asked = Asked(request.url.path, request.headers.get("host", ""), address, request.headers)
        try:
            limit, user = await self._site.run(self._site.flow.admit, asked)
        except Exception as error:  # noqa: BLE001 - each becomes an answer, and a fault is logged there
            await (await self._site.refused(request, error))(scope, receive, protected)
            return
        request.state.user = user
        await self._app(scope, _limited(receive, limit), protected)


def _limited(receive: Receive, limit: int | None) -> Receive:
    """Count what comes: a body that tells no length is cut off where it becomes too long."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if limit is not None and taken > limit:
            raise HTTPException(413, "The file is too large.")
        return message

    return counted


def _problem(flow: Flow, error: Exception) -> Problem:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        part, *names = first["loc"]
        if part == "path" or first["type"] == "json_invalid":
            return of_status(404 if part == "path" else 400)
        return told(400, f"{'.'.join(map(str, names)) or 'The body'}: {first['msg']}.")
    if isinstance(error, HTTPException):
        return of_status(error.status_code)
    return flow.problem(error)
