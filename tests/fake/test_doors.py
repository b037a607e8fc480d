"""Three doors, one state; nothing leaks from one fake to another, or to other hosts."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import socket
import subprocess
import sys
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

from audiostore.testing.supabase import FakeSupabase, mock_supabase
from audiostore.testing.supabase.blobs import SPILL

ROOT = Path(__file__).parent.parent.parent


def put(url: str, fake: FakeSupabase, key: str = "a.mp3", content: bytes = b"abc") -> httpx.Response:
    headers = {"authorization": f"Bearer {fake.service_key}", "content-type": "audio/mpeg"}
    return httpx.post(f"{url}/storage/v1/object/takes/{key}", content=content, headers=headers)


def path_of(fake: FakeSupabase, key: str = "a.mp3") -> str:
    return f"{fake.url}/storage/v1/object/takes/{key}"


def key_of(fake: FakeSupabase) -> dict[str, str]:
    return {"authorization": f"Bearer {fake.service_key}"}


def test_all_doors_lead_to_the_same_state(fake: FakeSupabase) -> None:
    with fake.serve() as server:
        assert put(server.url, fake).status_code == 200
        assert httpx.get(path_of(fake), headers=key_of(fake)).content == b"abc"
        assert requests.get(path_of(fake), headers=key_of(fake), timeout=5).content == b"abc"
        asked = urllib.request.Request(f"{server.url}/storage/v1/object/takes/a.mp3", headers=key_of(fake))
        with urllib.request.urlopen(asked) as answer:
            assert answer.read() == b"abc"


def test_requests_uploads_ranges_and_streams(fake: FakeSupabase) -> None:
    sent = requests.post(path_of(fake), data=iter([b"ab", b"cdef"]), headers=key_of(fake), timeout=5)
    assert sent.json()["Key"] == "takes/a.mp3"
    part = requests.get(path_of(fake), headers={**key_of(fake), "range": "bytes=1-3"}, timeout=5, stream=True)
    assert (part.status_code, b"".join(part.iter_content(2))) == (206, b"bcd")


def test_a_fake_starts_empty_and_knows_only_its_own() -> None:
    with mock_supabase() as one, mock_supabase() as other:
        one.create_bucket("takes")
        other.create_bucket("takes")
        put(one.url, one)
        assert (one.keys("takes"), other.keys("takes")) == (["a.mp3"], [])
        assert put(other.url, one).json()["message"] == "signature verification failed"
    assert FakeSupabase().keys("takes") == []


def test_nothing_stays_patched() -> None:
    before = (
        httpx.HTTPTransport.handle_request,
        httpx.AsyncHTTPTransport.handle_async_request,
        HTTPAdapter.send,
    )
    with mock_supabase(), mock_supabase():
        assert httpx.HTTPTransport.handle_request is not before[0]
    after = (
        httpx.HTTPTransport.handle_request,
        httpx.AsyncHTTPTransport.handle_async_request,
        HTTPAdapter.send,
    )
    assert after == before


def test_fakes_may_stop_in_any_order() -> None:
    one, other = FakeSupabase().start(), FakeSupabase().start()
    one.stop()
    other.create_bucket("takes")
    assert put(other.url, other).status_code == 200
    other.stop()


def test_other_hosts_pass_through(fake: FakeSupabase) -> None:
    with FakeSupabase().serve() as another:
        assert httpx.get(f"{another.url}/storage/v1/bucket").json()["code"] == "InvalidRequest"
        assert requests.get(f"{another.url}/storage/v1/bucket", timeout=5).json()["code"] == "InvalidRequest"


def test_other_hosts_are_refused_when_asked() -> None:
    with mock_supabase(others="refuse"):
        with pytest.raises(httpx.ConnectError, match=r"refuses other hosts: example\.org"):
            httpx.get("https://example.org/")
        with pytest.raises(requests.exceptions.ConnectionError, match=r"refuses other hosts: example\.org"):
            requests.get("https://example.org/", timeout=5)


def test_a_mock_of_the_test_s_own_keeps_working(fake: FakeSupabase) -> None:
    put(fake.url, fake)
    with responses.RequestsMock() as mine:
        mine.add("GET", "https://example.org/", body="mine")
        mine.add_passthru(fake.url)
        assert requests.get("https://example.org/", timeout=5).text == "mine"
    assert requests.get(path_of(fake), headers=key_of(fake), timeout=5).content == b"abc"


def test_a_mock_around_the_fake_keeps_working() -> None:
    with responses.RequestsMock() as mine:
        mine.add("GET", "https://example.org/", body="mine")
        with mock_supabase() as fake:
            fake.create_bucket("takes")
            put(fake.url, fake)
            assert requests.get("https://example.org/", timeout=5).text == "mine"
            assert requests.get(path_of(fake), headers=key_of(fake), timeout=5).content == b"abc"


def test_many_threads_at_once(fake: FakeSupabase) -> None:
    def send(number: int) -> int:
        return put((fake.url, server.url)[number % 2], fake, f"{number}.mp3").status_code

    with fake.serve() as server, ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(send, range(80)))
    assert set(sent) == {200}
    assert len(fake.keys("takes")) == 80


def test_a_browser_of_another_origin_may_use_it(fake: FakeSupabase) -> None:
    asked = {"origin": "https://app.example", "access-control-request-headers": "authorization, x-upsert"}
    with fake.serve() as server:
        for path in ("/object/takes/a.mp3", "/object/list/takes", "/bucket", "/upload/resumable"):
            answer = httpx.options(f"{server.url}/storage/v1{path}", headers=asked)
            assert answer.status_code == 204
            assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        assert put(server.url, fake).headers["access-control-allow-origin"] == "*"


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_large_bodies_go_to_disk_and_their_files_are_closed(fake: FakeSupabase) -> None:
    gc.collect()  # an earlier test's files are not ours to count
    before = open_files()
    put(fake.url, fake, "small.mp3", b"x" * SPILL)
    assert open_files() == before
    put(fake.url, fake, "large.mp3", b"x" * (SPILL + 1))
    assert open_files() == before + 1
    fake.reset()
    gc.collect()
    assert open_files() == before


def test_a_stopped_server_is_gone(fake: FakeSupabase) -> None:
    server = fake.serve()
    host, port = server.url.removeprefix("http://").split(":")
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)


# --- as a decorator, with a seed, a clock and a log -------------------------------------------------------------------


def test_a_decorated_function_gets_a_new_fake_each_time() -> None:
    @mock_supabase
    def use(key: str, fake: FakeSupabase) -> list[str]:
        fake.create_bucket("takes")
        put(fake.url, fake, key)
        return fake.keys("takes")

    assert use("a.mp3") == ["a.mp3"]
    assert use("b.mp3") == ["b.mp3"]
    assert list(inspect.signature(use).parameters) == ["key"]


def test_a_decorated_coroutine_runs_within_it() -> None:
    @mock_supabase(seed=1)
    async def use(fake: FakeSupabase) -> int:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"{fake.url}/storage/v1/bucket", headers=key_of(fake))).status_code

    run: Any = use
    assert asyncio.run(run()) == 200


def test_it_starts_and_stops() -> None:
    mock = mock_supabase()
    fake = mock.start()
    assert httpx.get(f"{fake.url}/storage/v1/bucket", headers=key_of(fake)).json() == []
    mock.stop()


def test_the_same_seed_gives_the_same_ids() -> None:
    ids: list[str] = []
    for seed in (7, 7, 8):
        with mock_supabase(seed=seed) as fake:
            fake.create_bucket("takes")
            ids.append(put(fake.url, fake).json()["Id"])
    assert ids[0] == ids[1] != ids[2]


def test_the_clock_is_the_test_s(fake: FakeSupabase) -> None:
    fake.now = datetime(2030, 1, 1, tzinfo=UTC)
    token = fake.user_token("alice", expires_in=timedelta(minutes=5))
    put(fake.url, fake, "alice/a.mp3")
    info = f"{fake.url}/storage/v1/object/info/authenticated/takes/alice/a.mp3"
    asked = {"authorization": f"Bearer {token}"}
    assert httpx.get(info, headers=asked).json()["created_at"] == "2030-01-01T00:00:00.000Z"
    fake.advance(timedelta(minutes=5))
    assert httpx.get(info, headers=asked).json()["message"] == '"exp" claim timestamp check failed'


def test_the_log_has_every_request_and_reset_forgets_all(fake: FakeSupabase) -> None:
    put(fake.url, fake)
    assert [(each.method, each.path) for each in fake.requests] == [("POST", "/object/takes/a.mp3")]
    fake.reset()
    assert (fake.requests, fake.keys("takes")) == ([], [])


# --- the plugin -------------------------------------------------------------------------------------------------------

PROJECT = """
import httpx

def test_the_fixtures_are_there(fake_supabase, served_supabase):
    fake_supabase.create_bucket("takes")
    headers = {"authorization": fake_supabase.service_key}
    for url in (fake_supabase.url, served_supabase.url):
        assert httpx.get(f"{url}/storage/v1/bucket", headers=headers).json()[0]["id"] == "takes"
"""


def test_any_project_has_the_fixtures(tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "audiostore_here-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: audiostore-here\nVersion: 1\n")
    lines = "".join(f"{name} = {module}\n" for name, module in declared.items())
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{lines}")
    (tmp_path / "test_project.py").write_text(PROJECT)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_project.py"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_plugin_is_light() -> None:
    program = "import sys, audiostore.testing.plugin as _; print(__import__('json').dumps(sorted(sys.modules)))"
    # Where coverage is measured, its start-up hook would load SQLite into the child.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = {**kept, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    heavy = {
        "httpx",
        "requests",
        "responses",
        "sqlite3",
        "http.server",
        "audiostore.store",
        "audiostore.testing.backend_suite",
    }
    assert heavy & set(json.loads(ran.stdout)) == set()
