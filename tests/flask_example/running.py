"""The example app behind a real socket, and a visitor who keeps cookies and nothing else of a browser."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from audiostore import AudioStore
from examples.flask.app import create_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TAKE = Path(__file__).parents[2] / "examples" / "shared" / "take.wav"


@dataclass(frozen=True)
class Seen:
    """One request as it reached the app, and the status it got."""

    method: str
    path: str
    range: str | None
    status: int


@dataclass
class Site:
    """The running app. ``seen`` grows with each answer."""

    store: AudioStore
    port: int
    seen: list[Seen] = field(default_factory=list[Seen])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def visitor(self, name: str | None = None) -> Visitor:
        visitor = Visitor(self.port)
        if name is not None:
            assert visitor.post("/sign-in", {"name": name}).status == 303
        return visitor


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class Server(ThreadedWSGIServer):
    daemon_threads = False  # closing waits for what is being answered


@contextmanager
def running(store: AudioStore) -> Generator[Site]:
    """Serve the app from threads, as ``flask run`` does, on a port that was free."""
    app = create_app(store)
    site = Site(store, 0)

    def watched(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            path, asked = environ["PATH_INFO"], environ.get("HTTP_RANGE")
            site.seen.append(Seen(environ["REQUEST_METHOD"], path, asked, int(status.split(maxsplit=1)[0])))
            return start_response(status, headers, *more)

        return app(environ, start)

    server = Server("127.0.0.1", 0, watched, Quiet)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Visitor:
    """Follows no redirect and runs no script; ``headers`` go with every request."""

    def __init__(self, port: int) -> None:
        self.headers: dict[str, str] = {}
        self.port = port
        self._cookies = SimpleCookie()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {**({"Cookie": self.cookie} if self.cookie else {}), **self.headers, **(headers or {})}
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie", []):
                self._cookies.load(cookie)
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={morsel.coded_value}" for name, morsel in self._cookies.items())

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, fields: Mapping[str, str] | None = None, **headers: str) -> Answer:
        named = {"Content-Type": "application/x-www-form-urlencoded"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", path, urlencode(fields or {}).encode(), named)

    def upload(
        self, content: bytes, filename: str = "take.wav", *, chapter: str = "", section: str = "", path: str = "/takes"
    ) -> Answer:
        """Send the form as a browser does: multipart, the filename in raw UTF-8, quotes and line breaks escaped."""
        mark = "----form-boundary-7d1f"
        name = filename.replace("\r", "%0D").replace("\n", "%0A").replace(chr(34), "%22")
        fields = "".join(
            f'--{mark}\r\nContent-Disposition: form-data; name="{each}"\r\n\r\n{value}\r\n'
            for each, value in {"chapter": chapter, "section": section}.items()
        )
        file = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        head = f"{fields}{file}Content-Type: audio/wav\r\n\r\n".encode()
        body = head + content + f"\r\n--{mark}--\r\n".encode()
        return self.send("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={mark}"})

    def links(self) -> dict[str, str]:
        """Give id -> signed link, as the page's script asks for them."""
        links: dict[str, str] = self.get("/links", Accept="application/json").json
        return links

    def shown(self) -> str:
        """Give the page's text, roughly: without tags, and white space as one blank."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.get("/").text).split())
