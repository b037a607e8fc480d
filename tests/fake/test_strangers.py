"""Projects that never heard of audiostore, pages of other origins, callers who hang up, and extras that are missing."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from audiostore.testing.supabase import FakeSupabase

ROOT = Path(__file__).parent.parent.parent
ROUTES = (
    "POST /bucket",
    "GET /bucket",
    "GET /bucket/takes",
    "PUT /bucket/takes",
    "POST /bucket/takes/empty",
    "DELETE /bucket/none",
    "POST /object/list/takes",
    "POST /object/list-v2/takes",
    "POST /object/move",
    "POST /object/copy",
    "POST /object/sign/takes",
    "POST /object/sign/takes/a.mp3",
    "GET /object/sign/takes/a.mp3",
    "POST /object/upload/sign/takes/a.mp3",
    "PUT /object/upload/sign/takes/a.mp3",
    "GET /object/info/takes/a.mp3",
    "GET /object/takes/a.mp3",
    "HEAD /object/takes/a.mp3",
    "POST /object/takes/a.mp3",
    "PUT /object/takes/a.mp3",
    "DELETE /object/takes",
    "DELETE /object/takes/none.mp3",
    "GET /no/such/route",
    "GET /object/takes/%zz",
    "POST /upload/resumable",
    "POST /upload/resumable/sign",
    "HEAD /upload/resumable/none",
    "PATCH /upload/resumable/none",
    "DELETE /upload/resumable/none",
)


@pytest.mark.parametrize("key", ["", "a key"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_page_of_another_origin_may_ask_and_read_the_answer(fake: FakeSupabase, route: str, key: str) -> None:
    method, path = route.split(" ")
    asked = {"origin": "https://app.example", "access-control-request-method": method}
    wanted = "authorization, apikey, content-type, x-upsert, tus-resumable, upload-offset, x-signature"
    headers = {"authorization": fake.service_key} if key else {}
    with fake.serve() as server, httpx.Client(base_url=f"{server.url}/storage/v1") as http:
        preflight = http.options(path, headers={**asked, "access-control-request-headers": wanted})
        answer = http.request(method, path, headers={**headers, "tus-resumable": "1.0.0"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert method in preflight.headers["access-control-allow-methods"].split(", ")
    allowed = preflight.headers["access-control-allow-headers"].lower()
    # A browser sends a key in any case, and the TUS routes list their own headers, as recorded.
    needed = {"authorization", "apikey", "content-type", "x-upsert"}
    assert [each for each in needed if each not in allowed] == []
    assert answer.headers["access-control-allow-origin"] == "*"
    if path.startswith("/upload/resumable") and answer.headers["content-type"].startswith("text/plain"):
        assert "Upload-Offset" in answer.headers.get("access-control-expose-headers", "Upload-Offset")


# --- callers who hang up ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["connect", "head", "body", "answer"])
def test_a_caller_who_hangs_up_is_no_noise(fake: FakeSupabase, at: str, capfd: pytest.CaptureFixture[str]) -> None:
    headers = {"authorization": fake.service_key}
    large = bytes(8 * 1024 * 1024)
    with fake.serve() as server:
        url = f"{server.url}/storage/v1/object/takes/large.mp3"
        assert httpx.post(url, content=large, headers=headers).status_code == 200
        host, port = server.url.removeprefix("http://").split(":")
        head = (
            f" /storage/v1/object/takes/large.mp3 HTTP/1.1\r\nHost: x\r\nAuthorization: {fake.service_key}\r\n".encode()
        )
        said = {
            "connect": b"",
            "head": b"GET" + head,
            "body": b"PUT" + head + b"Content-Length: 1000000\r\n\r\n" + bytes(1000),
            "answer": b"GET" + head + b"\r\n",
        }[at]
        for rude in (False, True):
            caller = socket.create_connection((host, int(port)))
            caller.sendall(said)
            if at == "answer":
                assert caller.recv(100)
            if rude:  # with a reset, and not an end
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()
        assert httpx.get(url, headers={**headers, "range": "bytes=0-2"}).content == large[:3]
    assert capfd.readouterr().err == ""


def test_a_defect_of_the_fake_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> bool:
        raise LookupError("a defect")

    with FakeSupabase() as fake, fake.serve() as server:
        fake.create_bucket("takes")
        fake.allow("insert", broken)
        with pytest.raises(httpx.TransportError):
            httpx.post(
                f"{server.url}/storage/v1/object/takes/a.mp3",
                content=b"x",
                headers={"authorization": fake.user_token("alice")},
            )
    assert "LookupError: a defect" in capfd.readouterr().err


# --- in another project -----------------------------------------------------------------------------------------------

PROJECT = """
import httpx
import requests
from supabase import ClientOptions, create_client


def upload(client, name, content):
    client.storage.from_("takes").upload(name, content, {"content-type": "audio/mpeg"})
    return client.storage.from_("takes").create_signed_url(name, 60)["signedURL"]


def test_an_app_of_supabase_py_works(fake_supabase):
    fake_supabase.create_bucket("takes")
    with httpx.Client(http2=True) as http:
        client = create_client(fake_supabase.url, fake_supabase.service_key, ClientOptions(httpx_client=http))
        link = upload(client, "a.mp3", b"take")
        assert httpx.get(link).content == requests.get(link, timeout=5).content == b"take"
        assert fake_supabase.keys("takes") == ["a.mp3"]


def test_each_test_has_one_of_its_own(fake_supabase, served_supabase):
    assert fake_supabase.requests == []
    answer = httpx.get(f"{served_supabase.url}/storage/v1/bucket", headers={"authorization": fake_supabase.service_key})
    assert answer.json() == []


def test_nothing_of_the_store_is_loaded():
    import sys
    assert not {"audiostore.store", "audiostore.backends", "audiostore.catalogs"} & set(sys.modules)
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = {**kept, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "src")])}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_project_that_uses_supabase_py_needs_no_audiostore_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(PROJECT)
    plugin = ["-p", "audiostore.testing.plugin", "-p", "no:cacheprovider", "-p", "no:anyio"]  # old, it warns
    ran = run(tmp_path, "-W", "error", "-m", "pytest", "-q", *plugin, "test_app.py")
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr


# --- what is missing --------------------------------------------------------------------------------------------------

WITHOUT = """
import sys
import warnings
warnings.simplefilter("ignore")
sys.modules.update(dict.fromkeys(sys.argv[1].split(","), None))
"""
BACKEND = """
from audiostore import ConfigurationError
from audiostore.backends.supabase import SupabaseBackend
try:
    SupabaseBackend("https://abc.supabase.co", "key")
except ConfigurationError as error:
    print(error)
"""
STORE = """
from audiostore import AudioStore, ConfigurationError
settings = {"STORAGE_BACKEND": "supabase", "SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_SERVICE_KEY": "key"}
try:
    AudioStore.from_env(settings)
except ConfigurationError as error:
    print(error)
"""
REQUESTS = """
import requests
from audiostore.testing.supabase import mock_supabase
send = requests.adapters.HTTPAdapter.send
with mock_supabase() as fake:
    try:
        requests.get(f"{fake.url}/storage/v1/bucket", timeout=5)
    except ModuleNotFoundError as error:
        print(error)
assert requests.adapters.HTTPAdapter.send is send
"""
SUITE = """
try:
    from audiostore.testing import BackendSuite
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("missing", "program", "extra"),
    [
        ("httpx", BACKEND, "supabase"),
        ("httpx", STORE, "supabase"),
        ("responses", REQUESTS, "testing"),
        ("pytest", SUITE, "testing"),
    ],
)
def test_a_missing_extra_says_which_command_installs_it(missing: str, program: str, extra: str, tmp_path: Path) -> None:
    ran = run(tmp_path, "-c", WITHOUT + program, missing)
    assert f'pip install "audiostore[{extra}]"' in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 0, ran.stderr


def test_without_requests_and_responses_the_other_doors_open(tmp_path: Path) -> None:
    program = """
import httpx
from audiostore.testing.supabase import mock_supabase
with mock_supabase() as fake:
    print(httpx.get(f"{fake.url}/storage/v1/bucket", headers={"authorization": fake.service_key}).json())
"""
    assert run(tmp_path, "-c", WITHOUT + program, "requests,responses").stdout == "[]\n"
