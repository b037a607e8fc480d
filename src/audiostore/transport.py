"""The only HTTP of the library: one pooled HTTP/1.1 client, one place that retries, one that translates errors.

Bulk uploads over HTTP/2 are several times slower than over HTTP/1.1, so it is never asked for. A request is repeated
only if that can't do harm: it changes nothing, or it certainly did not reach the server, or the server said "later".
Any other break is ``Unavailable``, and the caller looks.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from audiostore.errors import ConfigurationError, Unavailable
from audiostore.refusals import Refusal, retry_after, translate

if TYPE_CHECKING:
    import httpx

_T = TypeVar("_T")

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that is read whole; a page of a listing has less than one MB."""

STRAIGHT = 64 * 1024 * 1024
"""Bytes from which on an answer is read past the HTTP client: there it saves more time than a new connection takes."""

_READ = 64 * 1024  # more makes TLS slower: it gives 16 KiB at a time, and the rest of the buffer was made for nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait: for one step (``connect``, ``read``, ``write``, ``pool``) and for a whole operation.

    A whole operation, retries included, may take ``total``, and longer by what its bytes take at ``slowest`` bytes
    per second. ``tries`` is how often one step is tried without progress, ``pause`` the first wait between two.
    """

    connect: timedelta = timedelta(seconds=10)
    read: timedelta = timedelta(seconds=60)
    write: timedelta = timedelta(seconds=60)
    pool: timedelta = timedelta(seconds=30)
    total: timedelta = timedelta(minutes=2)
    slowest: int = 32 * 1024
    tries: int = 5
    pause: timedelta = timedelta(milliseconds=250)

    def patience(self, size: int = 0) -> Patience:
        """Start the clock of an operation that moves *size* bytes."""
        return Patience(self, self.total.total_seconds() + size / self.slowest)


class Patience:
    """One operation's retries: so many without progress, with jittered and growing pauses, until one deadline."""

    def __init__(self, timeouts: Timeouts, seconds: float) -> None:
        self.timeouts = timeouts
        self._deadline = time.monotonic() + seconds
        self._failures = 0

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - time.monotonic()

    def progressed(self) -> None:
        """Bytes arrived: what failed before does not count any more."""
        self._failures = 0

    def pause(self, error: Unavailable) -> None:
        """Wait before another try, as long as the server asked for at least. Raises *error* when patience is over."""
        self._failures += 1
        backoff = self.timeouts.pause.total_seconds() * 2 ** (self._failures - 1)
        seconds = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, hides nothing
        if error.retry_after is not None:
            seconds = max(seconds, error.retry_after.total_seconds())
        if self._failures >= self.timeouts.tries or seconds >= self.left:
            raise error
        time.sleep(seconds)

    def repeat(self, once: Callable[[], _T]) -> _T:
        """Give what *once* gives, called again for as long as it raises an ``Unavailable`` that says it may be."""
        while True:
            try:
                return once()
            except Unavailable as error:
                if not error.retryable:
                    raise
                self.pause(error)

    def check(self, what: str) -> None:
        """Raise Unavailable when the time of the operation is over."""
        if self.left <= 0:
            raise Unavailable(f"{what}: it took too long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Bytes to send: their exact count, and a way to produce them, afresh for each try."""

    length: int
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``what`` names its object in errors; ``repeatable``: a second one would change nothing more.

    ``explain`` may know a better error for a refusal than ``translate`` does.
    """

    method: str
    url: str
    what: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    data: object = None
    body: Body | None = None
    repeatable: bool = False
    explain: Callable[[Refusal], Exception | None] = lambda refusal: None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    what: str

    def json(self) -> Any:
        """Parse the content. Raises Unavailable if it is no JSON: what the server did, nobody knows."""
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise Unavailable(f"{self.what}: an answer that can't be read") from error


class Stream:
    """An answer whose bytes are still on their way; its connection is free again after ``close``."""

    def __init__(self, response: httpx.Response, call: Call, patience: Patience) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._call = call
        self._patience = patience
        # As they come: asked for a size, the client gathers, and what it has gathered when it breaks is lost.
        self._raw = response.iter_raw()

    def chunks(self) -> Iterator[bytes]:
        """Give what arrives. Raises Unavailable, always repeatable, when the connection breaks."""
        with _translated(self._call, self._patience):
            connection: Any = self._response.extensions.get("network_stream")
            left = self._left()
            straight = connection is not None and left >= STRAIGHT and _hands_over()
            for chunk in self._raw:
                left -= len(chunk)
                yield chunk
                if straight:
                    yield from self._straight(connection, left)
                    return

    def _left(self) -> int:
        """How many bytes come, if they come as they are; 0 if they are framed, or nobody says."""
        told = self.headers.get("content-length", "")
        return int(told) if told.isdecimal() and "transfer-encoding" not in self.headers else 0

    def _straight(self, connection: Any, left: int) -> Iterator[bytes]:
        """Read on past the client's parser, which copies each byte five times.

        It does not learn how far we came, so ``close`` hangs up instead of keeping the connection.
        """
        seconds = _steps(self._patience).read
        while left:
            chunk: bytes = connection.read(min(_READ, left), timeout=seconds)
            if not chunk:
                raise Unavailable(f"{self._call.what}: the connection broke")
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._response.close()


class Transport:
    """Sends calls. Safe across threads, and after ``fork``: the child makes a client of its own."""

    def __init__(self, timeouts: Timeouts) -> None:
        if find_spec("httpx") is None:
            raise ConfigurationError('Supabase needs an extra: pip install "audiostore[supabase]"')
        self.timeouts = timeouts
        # By process. A parent's client stays here untouched in the child: its sockets are the parent's.
        self._clients: dict[int, httpx.Client] = {}

    def send(self, call: Call, patience: Patience | None = None) -> Answer:
        """Send, and read the whole answer.

        Raises:
            Unavailable: it broke, and may or may not have been done. What ``translate`` makes of a refusal.

        """
        patience = patience or self.timeouts.patience(call.body.length if call.body else 0)
        return self._repeat(call, patience, lambda: self._exchange(call, patience))

    def open(self, call: Call, patience: Patience) -> Stream:
        """Send, and give the answer as soon as its headers are there. Raises as ``send``."""

        def begin() -> Stream:
            response = self._start(call, patience)
            if response.is_success:
                return Stream(response, call, patience)
            raise self._refused(call, self._read_whole(call, response, patience))

        return self._repeat(call, patience, begin)

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    def _repeat(self, call: Call, patience: Patience, once: Callable[[], _T]) -> _T:
        while True:
            try:
                return once()
            except _Stopped as stopped:
                raise stopped.error from None
            except Unavailable as error:
                # `retryable` is only true here if nothing can have happened.
                if not (call.repeatable or error.retryable):
                    raise
                patience.pause(error)

    def _exchange(self, call: Call, patience: Patience) -> Answer:
        answer = self._read_whole(call, self._start(call, patience), patience)
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - what HTTP calls success
            raise self._refused(call, answer)
        return answer

    def _start(self, call: Call, patience: Patience) -> httpx.Response:
        patience.check(call.what)
        client, content = self._client(), _content(call, patience)
        headers = {"Accept-Encoding": "identity", **call.headers}
        if call.data is not None:
            headers["Content-Type"] = "application/json"
        if call.body is not None:
            headers["Content-Length"] = str(call.body.length)
        with _translated(call, patience):
            request = client.build_request(
                call.method, call.url, headers=headers, content=content, timeout=_steps(patience)
            )
            return client.send(request, stream=True)

    def _read_whole(self, call: Call, response: httpx.Response, patience: Patience) -> Answer:
        stream, content = Stream(response, call, patience), bytearray()
        try:
            for chunk in stream.chunks():
                content += chunk
                patience.check(call.what)
                if len(content) > MAX_ANSWER:
                    raise Unavailable(f"{call.what}: an answer without end")
        finally:
            stream.close()
        return Answer(stream.status, stream.headers, bytes(content), call.what)

    def _refused(self, call: Call, answer: Answer) -> Exception:
        refusal = Refusal.of(answer.status, answer.content)
        return call.explain(refusal) or translate(refusal, call.what, retry_after(answer.headers))

    def _client(self) -> httpx.Client:
        client = self._clients.get(os.getpid())
        if client is None:
            httpx = _httpx()
            limits = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=30)
            made = httpx.Client(http1=True, http2=False, limits=limits, follow_redirects=False)
            client = self._clients.setdefault(os.getpid(), made)
            if client is not made:
                made.close()
        return client


def _httpx() -> Any:
    import httpx  # it takes as long to load as the rest of the library

    return httpx


@cache
def _hands_over() -> bool:
    """Whether the installed client, once it gave some of a body, holds back none that it has read: tried out.

    One that did would have bytes missing in the middle, so it is not left to a test of ours with another version.
    """
    import httpcore

    wire: Any = httpcore.MockBackend([b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab", b"cd", b"ef"])
    pool: Any = httpcore.ConnectionPool(network_backend=wire)
    with pool, pool.stream("GET", "http://probe/") as answer:
        connection = answer.extensions["network_stream"]
        body = answer.iter_stream()
        return [next(body), *(connection.read(_READ, timeout=1) for _ in range(2))] == [b"ab", b"cd", b"ef"]


def _steps(patience: Patience) -> Any:
    told, left = patience.timeouts, max(0.001, patience.left)
    steps = {name: getattr(told, name).total_seconds() for name in ("connect", "read", "write", "pool")}
    return _httpx().Timeout(**{name: min(seconds, left) for name, seconds in steps.items()})


def _content(call: Call, patience: Patience) -> bytes | Iterator[bytes] | None:
    if call.data is not None:
        return json.dumps(call.data).encode()
    if call.body is None or call.body.length == 0:
        return None if call.body is None else b""
    return _guarded(call.body.chunks(), call.what, patience)


class _Stopped(Exception):
    """Carries what a body raised past the HTTP client, which would take an OSError for its own."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _guarded(chunks: Iterator[bytes], what: str, patience: Patience) -> Iterator[bytes]:
    try:
        for chunk in chunks:
            patience.check(what)
            yield chunk
    except GeneratorExit:
        raise
    except BaseException as error:
        raise _Stopped(error) from error


@contextmanager
def _translated(call: Call, patience: Patience) -> Generator[None]:
    import httpcore  # what httpx is made of; read straight, a connection raises its errors

    httpx = _httpx()
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Unavailable(f"{call.what}: no connection", retryable=True) from error
    except (httpx.TimeoutException, httpcore.TimeoutException) as error:
        kind = "no answer in time" if patience.left > 0 else "it took too long"
        raise Unavailable(f"{call.what}: {kind}") from error
    except (httpx.TransportError, httpcore.NetworkError, httpx.InvalidURL, httpx.DecodingError, RuntimeError) as error:
        # A RuntimeError is a client or stream that another thread closed.
        raise Unavailable(f"{call.what}: the connection broke") from error
