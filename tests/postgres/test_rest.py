"""PostgREST's answers, as it was recorded giving them, and what the catalog makes of each."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import ConfigurationError, PermissionDenied, QuotaExceeded, StorageFull, Unavailable
from audiostore.models import Limits
from audiostore.transport import Timeouts

KEY = "sb_secret_0123456789"
QUICK = Timeouts(pause=timedelta(milliseconds=1), tries=3, total=timedelta(seconds=20))
USAGE = {
    "status": "ok",
    "result": {
        "used": 2**53 + 1,
        "reserved": 0,
        "files": 1,
        "pending": 0,
        "limits": {"total": None, "per_file": None, "files": None, "types": None},
    },
}
DROPPED = -1


class Scripted(ThreadingHTTPServer):
    """Answers what it was told to, one after the other; the last answer stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers: list[tuple[int, object]] = []
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    def says(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Scripted)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers, json.loads(body)))
        status, answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        if status == DROPPED:
            self.close_connection = True
            return
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Scripted]:
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def catalog(server: Scripted) -> Iterator[PostgresCatalog]:
    catalog = PostgresCatalog.from_supabase(server.url, KEY, timeouts=QUICK)
    yield catalog
    catalog.close()


def error(code: str, message: str = "nope") -> dict[str, str | None]:
    return {"code": code, "details": None, "hint": None, "message": message}


def test_a_call_is_one_post_with_the_key_and_numbers_come_back_exact(
    server: Scripted, catalog: PostgresCatalog
) -> None:
    server.says((200, USAGE))
    assert catalog.usage("alice", Limits(total=7)).used == 2**53 + 1
    ((path, headers, body),) = server.asked
    assert path == "/rest/v1/rpc/audiostore_usage"
    assert (headers["apikey"], headers["authorization"]) == (KEY, f"Bearer {KEY}")
    limits = {"total": 7, "per_file": None, "files": None, "types": None}
    assert body == {"request": {"owner": "alice", "limits": limits}}


def test_a_refusal_of_the_catalog_is_an_answer_like_any_other(server: Scripted, catalog: PostgresCatalog) -> None:
    facts = {"owner": "alice", "kind": "unset", "limit": None, "used": 0, "reserved": 0, "needed": 0}
    server.says((200, {"status": "quota_exceeded", **facts}))
    with pytest.raises(QuotaExceeded) as refused:
        catalog.usage("alice", None)
    assert (refused.value.owner, refused.value.kind, refused.value.limit) == ("alice", "unset", None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, error("PGRST202", "Could not find the function public.audiostore_usage"), ConfigurationError),
        (404, {}, ConfigurationError),
        (401, error("PGRST303", "JWT expired"), PermissionDenied),
        (401, {"message": "Invalid API key"}, PermissionDenied),
        (403, error("42501", "permission denied for function audiostore_usage"), PermissionDenied),
        (400, error("22P02", "invalid input syntax"), ValueError),
        (500, error("53100", "disk full"), StorageFull),
        (200, None, Unavailable),
        (200, [], Unavailable),
        (200, 3, Unavailable),
    ],
    ids=[
        "no function",
        "no PostgREST",
        "an old token",
        "a wrong key",
        "no right",
        "malformed",
        "disk full",
        "null",
        "a list",
        "a number",
    ],
)
def test_every_answer_of_postgrest_is_an_error_of_ours(
    server: Scripted, catalog: PostgresCatalog, status: int, body: object, kind: type[Exception]
) -> None:
    server.says((status, body))
    with pytest.raises(kind) as told:
        catalog.usage("alice", None)
    assert KEY not in str(told.value)
    assert len(server.asked) == 1


def test_a_failure_that_nobody_knows_is_unavailable(server: Scripted, catalog: PostgresCatalog) -> None:
    server.says((400, error("P0001")))
    with pytest.raises(Unavailable, match="P0001"):
        catalog.hide("alice", [])


@pytest.mark.parametrize("code", ["40P01", "40001", "57014", "PGRST000", "PGRST003"])
def test_what_the_database_undid_is_asked_again(server: Scripted, catalog: PostgresCatalog, code: str) -> None:
    server.says((503 if code.startswith("PGRST") else 500, error(code)), (200, {"status": "ok", "result": []}))
    assert catalog.hide("alice", []) == []
    assert len(server.asked) == 2


def test_what_breaks_off_is_asked_again_only_if_twice_is_as_good_as_once(
    server: Scripted, catalog: PostgresCatalog
) -> None:
    server.says((DROPPED, None), (502, "bad gateway"), (200, USAGE))
    assert catalog.usage("alice", None).files == 1
    server.says((DROPPED, None))
    asked = len(server.asked)
    with pytest.raises(Unavailable) as broken:
        catalog.hide("alice", [])
    assert not broken.value.retryable
    assert len(server.asked) == asked + 1


def _jwt(role: str) -> str:
    parts = [{"alg": "HS256"}, {"role": role}]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*coded, "c2ln"])


@pytest.mark.parametrize("key", [_jwt("anon"), _jwt("authenticated"), "sb_publishable_0123456789"])
def test_a_key_that_is_not_the_servers_is_refused_at_once(key: str) -> None:
    with pytest.raises(ConfigurationError, match="service key") as refused:
        PostgresCatalog.from_supabase("https://abc.supabase.co", key)
    assert key not in str(refused.value)


@pytest.mark.parametrize("key", [_jwt("service_role"), "sb_secret_0123456789", "opaque"])
def test_a_key_of_the_server_is_taken(key: str) -> None:
    PostgresCatalog.from_supabase("https://abc.supabase.co", key).close()


def test_a_client_gives_its_address_and_its_key_at_each_call(server: Scripted) -> None:
    from supabase import create_client

    client = create_client(server.url, _jwt("service_role"))
    catalog = PostgresCatalog.from_supabase(client=client, timeouts=QUICK)
    server.says((200, USAGE))
    catalog.usage("alice", None)
    assert server.asked[0][0] == "/rest/v1/rpc/audiostore_usage"
    assert server.asked[0][1]["apikey"] == _jwt("service_role")
    catalog.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"url": "https://abc.supabase.co"},
        {"url": "abc.supabase.co", "key": KEY},
        {"url": "https://abc.supabase.co", "key": "two words"},
        {"client": object()},
        {"client": object(), "url": "https://abc.supabase.co"},
    ],
    ids=["nothing", "no key", "no URL", "no header", "no client", "a client and more"],
)
def test_what_is_no_project_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PostgresCatalog.from_supabase(**arguments)
