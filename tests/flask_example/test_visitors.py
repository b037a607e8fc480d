"""Who may do what: sign-in, other people's takes, other sites."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from audiostore import AudioStore
from tests.flask_example.running import Site, Visitor

ROOT = Path(__file__).parents[2]


def test_a_stranger_sees_the_sign_in_and_nothing_else(site: Site, recording: bytes) -> None:
    stranger = site.visitor()
    assert "Your name" in stranger.shown()
    assert stranger.get("/links").status == 401
    assert stranger.get("/takes/some/download").status == 401
    for path in ("/takes/some/delete", "/uploads/some/finish"):
        assert stranger.post(path).status == 401
    assert stranger.upload(recording).status in {401, 413}
    assert stranger.upload(b"RIFF").status == 401


def test_signing_out_ends_it(alice: Visitor) -> None:
    assert alice.post("/sign-out").status == 303
    assert "Your name" in alice.shown()
    assert alice.get("/links").status == 401


def test_a_take_of_somebody_else_is_not_found(
    alice: Visitor, bob: Visitor, store: AudioStore, recording: bytes
) -> None:
    alice.upload(recording, "secret-plans.wav")
    (take_id,) = alice.links()
    assert bob.links() == {}
    assert "secret-plans" not in bob.get("/").text
    answers = [
        bob.get(f"/takes/{take_id}/download"),
        bob.post(f"/takes/{take_id}/delete"),
        bob.upload(recording, path=f"/takes/{take_id}/replace"),
    ]
    assert [answer.status for answer in answers] == [404, 404, 404]
    assert answers[0].text == bob.get("/takes/never-was/download").text
    assert store.get(take_id, owner="alice") == recording
    assert store.usage("bob").used == 0


def test_the_session_cookie_is_kept_from_scripts_and_from_other_sites(site: Site) -> None:
    cookie = site.visitor().post("/sign-in", {"name": "alice"}).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_pages_are_not_kept_and_not_framed(alice: Visitor) -> None:
    headers = alice.get("/").headers
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


OTHER_SITES = {
    "a new browser says so": {"Sec-Fetch-Site": "cross-site"},
    "a sister domain is another site": {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1"},
    "an old browser sends the origin": {"Origin": "https://evil.example"},
    "another port is another origin": {"Origin": "http://127.0.0.1:1"},
    "a sandboxed frame has no origin": {"Origin": "null"},
}


@pytest.mark.parametrize("case", OTHER_SITES)
def test_another_sites_page_can_do_nothing(alice: Visitor, store: AudioStore, recording: bytes, case: str) -> None:
    alice.upload(recording)
    (take_id,) = alice.links()
    alice.headers |= OTHER_SITES[case]
    assert alice.post(f"/takes/{take_id}/delete").status == 403
    assert alice.post(f"/takes/{take_id}/replace").status == 403
    assert alice.upload(recording).status == 403
    assert alice.post("/sign-in", {"name": "mallory"}).status == 403
    assert alice.post("/sign-out").status == 403
    assert alice.get("/").status == 200  # a link from elsewhere may lead here
    assert store.usage("alice").files == 1


@pytest.mark.parametrize("same", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, "origin", {}])
def test_the_apps_own_page_and_programs_can(
    alice: Visitor, store: AudioStore, recording: bytes, same: dict[str, str] | str
) -> None:
    alice.headers |= {"Origin": f"http://127.0.0.1:{alice.port}"} if isinstance(same, str) else same
    assert alice.upload(recording).status == 303
    assert store.usage("alice").files == 1


def test_an_unknown_address_gets_a_page_and_a_script_gets_json(alice: Visitor) -> None:
    page = alice.get("/nowhere")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert alice.get("/takes/never-was/download", Accept="application/json").json == {
        "error": "There is no such take. Perhaps it was deleted."
    }


@pytest.mark.parametrize("command", [["-m", "flask", "--app", "APP", "run", "--port", "0"], ["APP.py"]])
def test_the_app_starts_in_an_empty_folder(command: list[str], tmp_path: Path) -> None:
    words = [word.replace("APP", str(ROOT / "examples" / "flask" / "app")) for word in command]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLASK")}
    with subprocess.Popen(
        [sys.executable, "-u", *words],
        cwd=tmp_path,
        env=kept | {"FLASK_SERVER_NAME": "127.0.0.1:0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            ports = (re.search(r"Running on http://127.0.0.1:(\d+)", line) for line in process.stdout)
            port = next(int(found[1]) for found in ports if found)
            connection = HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            process.terminate()
    assert (tmp_path / "uploads" / ".audiostore" / "secret").stat().st_mode & 0o777 == 0o600
