"""What a browser and a stranger get: the content policy, the safe headers, and never a trace of what went wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from audiostore import PermissionDenied
from examples.shared.config import Config
from tests.apps.running import App, Site, Visitor, environ, running


def directives(policy: str) -> dict[str, set[str]]:
    return {name: {*sources} for name, *sources in (each.split() for each in policy.split(";"))}


def test_the_policy_admits_exactly_the_storages_origin_for_media_and_uploads(tmp_path: Path) -> None:
    for url, origin in (
        ("http://127.0.0.1:54321", "http://127.0.0.1:54321"),
        ("http://localhost:9000/storage", "http://localhost:9000"),
    ):
        policy = directives(Config.from_env(environ(tmp_path, SUPABASE_URL=url)).content_policy)
        assert policy["media-src"] == {"'self'", "blob:", origin}
        assert policy["connect-src"] == {"'self'", origin}
        naming = {name for name, sources in policy.items() if origin in sources}
        assert naming == {"media-src", "connect-src"}
    policy = directives(Config.from_env(environ(tmp_path)).content_policy)
    assert policy["media-src"] == {"'self'", "blob:"}
    assert policy["connect-src"] == policy["default-src"] == {"'self'"}


def test_no_script_and_no_style_of_the_pages_own_text_may_run(site: Site) -> None:
    answer = site.visitor().ask("GET", "/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = directives(answer.headers["Content-Security-Policy"])
    assert "script-src" not in policy  # so it is default-src
    assert policy["default-src"] == {"'self'"}
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == {"'none'"}


def test_the_players_files_are_served_and_nothing_beside_them(site: Site) -> None:
    visitor = site.visitor()
    page = visitor.ask("GET", "/").text
    assert "<script>" not in page
    assert visitor.ask("GET", "/js/app.js").headers["Content-Type"].startswith("text/javascript")
    for path in ("/nothing.js", "/../shared/flow.py", "/%2e%2e/shared/flow.py", "/js", "/..%2f..%2fREADME.md"):
        answer = visitor.ask("GET", path)
        assert answer.status_code == 404, path
        assert answer.json()["success"] is False


def test_every_answer_is_safe_to_have(site: Site, alice: Visitor) -> None:
    for answer in (
        alice.ask("GET", "/api/usage"),
        alice.ask("GET", "/nothing"),
        site.visitor().ask("GET", "/api/files"),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Set-Cookie" not in answer.headers  # no cookie: nothing that another site's page could misuse


def test_a_page_of_another_site_can_do_nothing_in_a_visitors_name(site: Site) -> None:
    # All that it can make a browser send: a form, without our header; whatever cookies there are.
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Cookie": "token=x"}
    form = {"project_id": "p1"}
    site.visitor().refused("POST", "/api/upload", 401, files={"audio": ("a.wav", b"x")}, data=form, headers=headers)
    site.visitor().refused("POST", "/api/export", 401, content=b'{"chapters": []}', headers=headers)


@pytest.mark.parametrize("error", [RuntimeError("the secret is 42"), PermissionDenied("/srv/secret/folder")])
@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_a_fault_of_ours_is_told_in_the_log_and_not_to_the_client(
    tmp_path: Path, app: App, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(owner: str) -> None:
        raise error

    with running(app, tmp_path) as site:
        alice = site.visitor("alice")
        monkeypatch.setattr(site.store, "usage", broken)
        with caplog.at_level(logging.ERROR):
            told = alice.refused("GET", "/api/usage", 500)
        assert told["code"] == "internal_error"
        assert "secret" not in str(told)
        assert str(error) in caplog.text


def test_what_the_framework_refuses_by_itself_is_a_problem_too(alice: Visitor) -> None:
    assert alice.refused("GET", "/api/nothing", 404)["code"] == "not_found"
    assert alice.refused("PATCH", "/api/usage", 405)["code"] == "method_not_allowed"
    alice.refused("POST", "/api/upload/nothing", 404, json={"reservation": "x"})
    wrong = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"\xff\xfe", b"[" * 3000):
        alice.refused("POST", "/api/export", 400, content=body, headers=wrong)
