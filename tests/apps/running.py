"""Both example apps behind real sockets, on both backends; and visitors, who keep a token and nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import uvicorn
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from audiostore import AudioStore
from audiostore.testing import FakeSupabase
from examples.fastapi.app import create_app as create_fastapi
from examples.flask.app import create_app as create_flask
from examples.shared.auth import DEMO_USERS
from examples.shared.flow import Flow

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

App = Literal["flask", "fastapi"]
Backend = Literal["disk", "supabase"]
TAKE = Path(__file__).parents[2] / "examples" / "shared" / "take.wav"
PROJECTS = {
    "id": "text primary key",
    "user_id": "uuid not null",
    "project_data": "jsonb not null",
    "updated_at": "timestamptz not null default now()",
}
ALICE, BOB = (DEMO_USERS[f"{name}@example.com"][0] for name in ("alice", "bob"))


@dataclass(frozen=True)
class Seen:
    """One request as it reached the app, and the status it got."""

    method: str
    path: str
    range: str | None
    status: int


@dataclass
class Site:
    """A running app. ``seen`` grows with each answer; for paths that begin with one of ``away``, a proxy says 503."""

    app: App
    flow: Flow
    port: int
    seen: list[Seen] = field(default_factory=list[Seen])
    supabase: FakeSupabase | None = None
    away: tuple[str, ...] = ()
    visitors: list[Visitor] = field(default_factory=list["Visitor"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> AudioStore:
        return self.flow.store

    def visitor(self, name: str | None = None) -> Visitor:
        visitor = Visitor(self.url)
        self.visitors.append(visitor)
        if name is not None:
            visitor.sign_in(f"{name}@example.com", DEMO_USERS[f"{name}@example.com"][1])
        return visitor


class Visitor:
    """Asks with a token. Addresses of other hosts are asked without it, as a browser's player does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token: str | None = None
        self.client = httpx.Client(timeout=30, trust_env=False)

    def sign_in(self, email: str, password: str) -> dict[str, Any]:
        session: dict[str, Any] = self.ok("POST", "/api/auth/login", json={"email": email, "password": password})
        self.token = session["access_token"]
        return session

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", None) or {})
        if path.startswith("/api/") and self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        whole = path if path.startswith("http") else self.url + path
        return self.client.request(method, whole, headers=headers, **options)

    def ok(self, method: str, path: str, **options: Any) -> Any:
        """Ask, expect success, and give the JSON."""
        answer = self.ask(method, path, **options)
        assert answer.is_success, answer.text
        assert answer.json()["success"] is True
        return answer.json()

    def refused(self, method: str, path: str, status: int, **options: Any) -> dict[str, Any]:
        """Ask, expect a refusal with *status* that is a whole problem, and give it."""
        return problem(self.ask(method, path, **options), status)

    def upload(self, content: bytes | None = None, name: str = "take.wav", /, **fields: str) -> dict[str, Any]:
        answer = self.send(content, name, **fields)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def send(self, content: bytes | None = None, name: str = "take.wav", /, **fields: str) -> httpx.Response:
        file = (name, TAKE.read_bytes() if content is None else content, "audio/wav")
        return self.ask("POST", "/api/upload", files={"audio": file}, data=fields)

    def links(self, *paths: str) -> dict[str, Any]:
        told: dict[str, Any] = self.ok("POST", "/api/audio/url", json={"paths": list(paths)})
        return told


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert (told["status"], told["success"]) == (status, False)
    assert (told["title"], told["detail"]) == (told["error"], told["message"])
    assert told["code"]
    assert "Traceback" not in answer.text
    return told


def environ(folder: Path, **more: str) -> dict[str, str]:
    """Give the settings of an app in testing mode, on disk."""
    return {
        "APP_ENV": "development",
        "TESTING_MODE": "on",
        "APP_SECRET": "only for tests, and nowhere else",
        "UPLOAD_FOLDER": str(folder / "uploads"),
        "EXPORT_FOLDER": str(folder / "exports"),
        "RATE_LIMIT": "0",
        **more,
    }


@contextmanager
def supabase_settings(jwt_secret: str | None = None) -> Generator[tuple[FakeSupabase, dict[str, str]]]:
    """Serve a project of its own, and give the settings that lead to it."""
    fake = FakeSupabase(jwt_secret=jwt_secret)
    fake.create_bucket("audio-files")
    fake.apply_schema()
    fake.table("projects", PROJECTS, rls="user_id")
    with fake.serve() as server:
        yield (
            fake,
            {
                "STORAGE_BACKEND": "supabase",
                "SUPABASE_URL": server.url,
                "SUPABASE_SERVICE_KEY": fake.service_key,
                "SUPABASE_ANON_KEY": fake.anon_key,
            },
        )


@contextmanager
def running(app: App, folder: Path, *, backend: Backend = "disk", **more: str) -> Generator[Site]:
    """Run *app* on *backend*, with *more* settings, on a port that was free."""
    with ExitStack() as stack:
        fake: FakeSupabase | None = None
        settings: dict[str, str] = {}
        if backend == "supabase":
            fake, settings = stack.enter_context(supabase_settings(more.get("SUPABASE_JWT_SECRET")))
        flow = Flow.from_env(environ(folder, **settings) | more)
        stack.callback(flow.close)
        serving = flask_served if app == "flask" else fastapi_served
        site = stack.enter_context(serving(flow))
        site.supabase = fake
        try:
            yield site
        finally:
            for visitor in site.visitors:
                visitor.client.close()


# --- the usual servers ------------------------------------------------------------------------------------------------


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class Server(ThreadedWSGIServer):
    daemon_threads = False  # closing waits for what is being answered


@contextmanager
def flask_served(flow: Flow) -> Generator[Site]:
    """Serve the Flask app from threads, as ``flask run`` does."""
    app, site = create_flask(flow), Site("flask", flow, 0)

    def watched(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            path, asked = environ["PATH_INFO"], environ.get("HTTP_RANGE")
            site.seen.append(Seen(environ["REQUEST_METHOD"], path, asked, int(status.split(maxsplit=1)[0])))
            return start_response(status, headers, *more)

        if environ["PATH_INFO"].startswith(site.away):
            start("503 Service Unavailable", [("Content-Length", "0")])
            return []
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


@contextmanager
def fastapi_served(flow: Flow) -> Generator[Site]:
    """Serve the FastAPI app by uvicorn."""
    app, site = create_fastapi(flow), Site("fastapi", flow, 0)

    async def watched(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def sent(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                asked = dict(scope["headers"]).get(b"range")
                site.seen.append(Seen(scope["method"], scope["path"], asked and asked.decode(), message["status"]))
            await send(message)

        if scope["type"] == "http" and scope["path"].startswith(site.away):
            await sent({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
            await sent({"type": "http.response.body"})
        else:
            await app(scope, receive, sent)

    listening = socket.create_server(("127.0.0.1", 0))
    site.port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(watched, log_level="critical", ws="none", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield site
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
