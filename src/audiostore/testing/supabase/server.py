"""The door for everyone: HTTP/1.1 on the loopback interface, one thread per connection."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from audiostore.testing.supabase.faults import delivered
from audiostore.testing.supabase.wire import Body, Disconnected, Request, Response

PREFIX: Final = "/storage/v1"
_PIECE: Final = 256 * 1024
_HEAD_LIMIT: Final = 16 * 1024
_DRAIN: Final = 64 * 1024 * 1024

Respond = Callable[[Request], Response]


class Server:
    """A fake that listens; use it in a ``with`` block, or ``stop()`` it."""

    def __init__(self, respond: Respond, *, port: int = 0) -> None:
        self._listening = _Listening(("127.0.0.1", port), _handler(respond))
        self._thread = threading.Thread(
            target=self._listening.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-supabase", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.server_address[1]}"

    def stop(self) -> None:
        """Close the port and every connection; once is enough, twice does no harm."""
        self._listening.shutdown()
        self._listening.server_close()
        self._listening.hang_up()
        self._thread.join()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        self._changing = threading.Lock()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changing:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._changing:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a caller who hangs up is no error of ours
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        with self._changing:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _handler(respond: Respond) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        def respond(self, request: Request) -> Response:
            return respond(request)

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body in one packet: two small ones would wait 40 ms for each other.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True

    raw_requestline: bytes

    def respond(self, request: Request) -> Response:
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: ``fake.requests`` has it all."""

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        size = len(self.raw_requestline) + sum(len(name) + len(value) + 4 for name, value in self.headers.items())
        if size <= _HEAD_LIMIT:
            return True
        self.wfile.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
        self.close_connection = True
        return False

    def _serve(self) -> None:
        body = self._body()
        try:
            response = self.respond(self._request(body))
        except Disconnected:
            self._hang_up()
            return
        if response.delivery.lost:
            self._hang_up()
            return
        try:
            self._send(response)
        except ConnectionError:
            self._hang_up()
            return
        self._drain(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _request(self, body: Body) -> Request:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        scheme = headers.get("x-forwarded-proto", "http")
        host = headers.get("x-forwarded-host") or headers.get("host", "")
        return Request(
            method=self.command,
            path=path.removeprefix(PREFIX),
            query=query,
            headers=headers,
            body=body,
            origin=f"{scheme}://{host}",
        )

    def _body(self) -> Body:
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return Body(self._chunks(), abort=self._stop_reading)
        length = int(self.headers.get("content-length") or 0)
        return Body(self._bytes(length), length=length, abort=self._stop_reading)

    def _bytes(self, length: int) -> Iterator[bytes]:
        left = length
        while left:
            try:
                piece = self.rfile.read1(min(left, _PIECE))
            except OSError:
                return
            if not piece:
                return
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            received = 0
            for piece in self._bytes(size):
                received += len(piece)
                yield piece
            if received < size:
                raise Disconnected
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _chunk_size(self) -> int:
        try:
            return int(self.rfile.readline().partition(b";")[0], 16)
        except (OSError, ValueError):
            raise Disconnected from None

    def _stop_reading(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        if "date" not in response.headers:
            self.send_header("Date", self.date_time_string())
        for name, value in response.headers.items():
            self.send_header(name, value)
        ended = "content-length" in response.headers or response.status in {204, 304} or self.command == "HEAD"
        if not ended:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in delivered(response):
            self.wfile.write(piece)
        if not ended:
            self.wfile.write(b"0\r\n\r\n")  # the real server, too, ends an empty answer so
        self.wfile.flush()

    def _drain(self, body: Body) -> None:
        """Take what is still to come: closing on a caller who is sending would lose him the answer."""
        if body.ended:
            return
        taken = 0
        try:
            for piece in body:
                taken += len(piece)
                if taken > _DRAIN:
                    break
        except (Disconnected, ConnectionError):
            pass
        if not body.ended:
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
