"""A host app, as small as one can be: ``serve`` behind the standard library's HTTP server, on a real socket."""

from __future__ import annotations

import http.client
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO, cast

from audiostore import AudioStore, serve


class Host(ThreadingHTTPServer):
    """Serves the links of one store; ``answered`` is released once per request, ``errors`` holds what got out."""

    def __init__(self, store: AudioStore) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = store
        self.answered = threading.Semaphore(0)
        self.errors: list[BaseException | None] = []

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError):  # a client that went away gets no reply, and that is all
            self.errors.append(error)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        host = cast("Host", self.server)
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        file = cast("BinaryIO", self.rfile)
        body = _dechunked(file) if chunked else file
        try:
            with serve(host.store, self.path.removeprefix("/audio/"), self.command, self.headers, body) as reply:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for chunk in reply.body:
                    self.wfile.write(chunk)
            # What was not read of a refused body would be taken for the next request.
            self.close_connection = reply.status >= 400
            if chunked:
                list(body)
        finally:
            host.answered.release()

    do_GET = do_HEAD = do_PUT = do_POST = do_OPTIONS = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


def _dechunked(file: BinaryIO) -> Iterator[bytes]:
    while size := int(file.readline(), 16):
        yield file.read(size)
        file.readline()
    file.readline()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@contextmanager
def hosted(store: AudioStore) -> Generator[Host]:
    with Host(store) as host:
        thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield host
        finally:
            host.shutdown()
            thread.join()


def fetch(
    host: Host,
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", host.server_port, timeout=30)
    try:
        connection.request(method, url, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()
