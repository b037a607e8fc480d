"""The example apps behind real sockets, as a browser meets them: each of the two, on disk and on a served Supabase.

The Supabase listens on a port of its own, so it is another origin: links, uploads and the content policy are tested
with two.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import uvicorn
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from audiostore import AudioFile
from audiostore.testing.supabase import FakeSupabase
from examples.fastapi.app import create_app as fastapi_app
from examples.flask.app import create_app as flask_app
from examples.shared.auth import DEMO_USERS
from examples.shared.flow import Flow

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from starlette.types import Message, Receive, Scope, Send

AppName = Literal["flask", "fastapi"]
Backend = Literal["disk", "supabase"]
BUCKET = "audio-files"
PROJECTS = {
    "id": "text primary key",
    "user_id": "uuid not null",
    "project_data": "jsonb not null",
    "updated_at": "timestamptz not null default now()",
}


@dataclass(frozen=True)
class Seen:
    """One request as it reached the app or the storage; ``status`` is 0 where nobody noted it."""

    method: str
    path: str
    range: str | None
    status: int = 0


@dataclass
class Site:
    """A running app. ``seen`` grows with each answer; ``fake`` is there if the storage is elsewhere."""

    flow: Flow
    folder: Path
    port: int = 0
    fake: FakeSupabase | None = None
    fetched: list[Seen] = field(default_factory=list[Seen])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def seen(self) -> list[Seen]:
        """Requests to the app and, where there is one, to the storage elsewhere."""
        there = [] if self.fake is None else self.fake.requests
        return self.fetched + [Seen(each.method, each.path, each.headers.get("range")) for each in there]

    def user(self, name: str) -> tuple[str, str]:
        """Give the id and the password of alice or bob."""
        return DEMO_USERS[f"{name}@example.com"]

    def lose(self, file: AudioFile) -> None:
        """Let a recording's bytes be gone, as if somebody had removed them behind the store's back."""
        if self.fake is None:
            (self.folder / "uploads" / file.key).unlink()
        else:
            self.fake.lose_bytes(BUCKET, file.key)

    @contextmanager
    def short_links(self, lifetime: timedelta) -> Generator[None]:
        """Let links that are signed from now on live for *lifetime*."""
        before = self.flow.config
        self.flow.config = dataclasses.replace(before, links=lifetime)
        try:
            yield
        finally:
            self.flow.config = before


@contextmanager
def running(app: AppName, backend: Backend, folder: Path) -> Generator[Site]:
    """Serve *app* on a port that was free, from threads."""
    with ExitStack() as stack:
        fake = stack.enter_context(served()) if backend == "supabase" else None
        site = Site(Flow.from_env(environ(folder, fake)), folder, fake=None if fake is None else fake[0])
        serve = {"flask": _flask, "fastapi": _fastapi}[app]
        stack.callback(site.flow.store.close)
        stack.enter_context(serve(site))
        yield site


def environ(folder: Path, fake: tuple[FakeSupabase, str] | None) -> dict[str, str]:
    given = {
        "APP_ENV": "development",
        "APP_SECRET": "only for the tests, and long enough",
        "RATE_LIMIT": "0",
        "UPLOAD_FOLDER": str(folder / "uploads"),
        "EXPORT_FOLDER": str(folder / "exports"),
        "FREE_USER_QUOTA_MB": "200",
        "MAX_FILE_SIZE_MB": "100",
    }
    if fake is None:
        return given | {"TESTING_MODE": "on"}
    supabase, url = fake
    return given | {
        "STORAGE_BACKEND": "supabase",
        "SUPABASE_URL": url,
        "SUPABASE_SERVICE_KEY": supabase.service_key,
        "SUPABASE_ANON_KEY": supabase.anon_key,
        "SUPABASE_JWT_SECRET": supabase.jwt_secret,
        "AUDIOSTORE_SECRET": "also only for the tests",
    }


@contextmanager
def served() -> Generator[tuple[FakeSupabase, str]]:
    """A Supabase project with the demo users in it, on a port of its own; gives it and its address."""
    fake = FakeSupabase()
    fake.create_bucket(BUCKET)
    fake.apply_schema()
    fake.table("projects", PROJECTS, rls="user_id")
    for email, (id, password) in DEMO_USERS.items():
        fake.add_user(email, password, user_id=id)
    with fake.serve() as server:
        yield fake, server.url


# --- the two servers --------------------------------------------------------------------------------------------------


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class _Threads(ThreadedWSGIServer):
    daemon_threads = True


@contextmanager
def _flask(site: Site) -> Generator[None]:
    app = flask_app(site.flow)

    def watched(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            path, asked = environ["PATH_INFO"], environ.get("HTTP_RANGE")
            site.fetched.append(Seen(environ["REQUEST_METHOD"], path, asked, int(status.split(maxsplit=1)[0])))
            return start_response(status, headers, *more)

        return app(environ, start)

    server = _Threads("127.0.0.1", 0, watched, _Quiet)
    site.port = server.server_port
    with _thread(lambda: server.serve_forever(poll_interval=0.02)):
        yield
        server.shutdown()
    server.server_close()


@contextmanager
def _fastapi(site: Site) -> Generator[None]:
    app = fastapi_app(site.flow)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked = dict(scope["headers"]).get(b"range")
                there = Seen(scope["method"], scope["path"], asked and asked.decode(), message["status"])
                site.fetched.append(there)
            await send(message)

        await app(scope, receive, noted if scope["type"] == "http" else send)

    config = uvicorn.Config(watched, port=0, log_config=None, timeout_graceful_shutdown=1)
    server, listening = uvicorn.Server(config), config.bind_socket()
    site.port = listening.getsockname()[1]  # it queues from now on, so nobody comes too early
    with _thread(lambda: server.run([listening])):
        yield
        server.should_exit = True


@contextmanager
def _thread(run: Callable[[], None]) -> Generator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
