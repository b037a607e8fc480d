"""Who is asking: tokens are believed only after all of them is verified; testing mode stays on one's own machine."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from audiostore import ConfigurationError
from examples.shared.auth import SupabaseAuth, User
from examples.shared.config import Config
from examples.shared.keys import PublicKeys
from examples.shared.limits import RateLimit
from examples.shared.problems import Refused
from examples.shared.supabase import Supabase
from tests.apps.running import ALICE, App, Site, environ, running

SECRET = "a secret of the project, which is as long as the longest of the hashes"


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"sub": ALICE, "role": "authenticated", "aud": "authenticated", "iat": now, "exp": now + 60, **more}


def refusal(auth: SupabaseAuth, token: str) -> int:
    with pytest.raises(Refused) as caught:
        auth.user(f"Bearer {token}")
    assert token not in str(caught.value)
    return caught.value.status


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_testing_mode_says_so_and_lets_its_users_in(site: Site) -> None:
    visitor = site.visitor()
    told = visitor.ok("GET", "/api/auth/config")
    assert told["testing_mode"] is True
    assert told["storage_backend"] == ("local" if site.supabase is None else "supabase")
    assert told["max_file_size_mb"] == 50
    for user in told["demo_users"]:
        assert visitor.sign_in(**user)["user"]["email"] == user["email"]
        assert visitor.ok("GET", "/api/usage")["file_count"] == 0
    session = visitor.sign_in(**told["demo_users"][0])
    visitor.token = visitor.ok("POST", "/api/auth/refresh", json={"refresh_token": session["refresh_token"]})[
        "access_token"
    ]
    assert visitor.ok("GET", "/api/usage")


def test_wrong_words_are_401_and_missing_ones_400(site: Site) -> None:
    visitor = site.visitor()
    for email in ("alice@example.com", "nobody@example.com"):
        visitor.refused("POST", "/api/auth/login", 401, json={"email": email, "password": "wrong"})
    visitor.refused("POST", "/api/auth/login", 401, json={"email": "nobody@example.com", "password": " "})
    assert "password" in visitor.refused("POST", "/api/auth/login", 400, json={"email": "a@b.c"})["message"]
    visitor.refused("POST", "/api/auth/login", 400, content=b"{", headers={"Content-Type": "application/json"})
    visitor.refused("POST", "/api/auth/refresh", 401, json={"refresh_token": "x.y.z"})


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer x", "Bearer " + "x" * 9000])
def test_what_is_no_token_is_401(site: Site, header: str) -> None:
    answer = site.visitor().ask("GET", "/api/usage", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_refresh_token_is_no_access_token(site: Site) -> None:
    visitor = site.visitor()
    session = visitor.sign_in("alice@example.com", "demo-alice")
    visitor.token = session["refresh_token"]
    visitor.refused("GET", "/api/usage", 401)


def test_testing_mode_answers_only_on_this_machine(site: Site) -> None:
    for host in ("example.org", "127.0.0.1.example.org", "10.0.0.1"):
        site.visitor().refused("GET", "/api/auth/config", 403, headers={"Host": host})
    assert site.visitor().ok("GET", "/api/auth/config", headers={"Host": "localhost:5000"})


@pytest.mark.settings(RATE_LIMIT="3")
def test_too_many_requests_are_429_before_anything_is_looked_at(site: Site) -> None:
    visitor = site.visitor()
    for _ in range(3):
        visitor.refused("GET", "/api/usage", 401)
    answer = visitor.ask("GET", "/api/usage")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("app", ["flask", "fastapi"])
def test_people_of_supabase_sign_in_and_their_tokens_are_verified(tmp_path: Path, app: App) -> None:
    with running(app, tmp_path, backend="supabase", TESTING_MODE="off", SUPABASE_JWT_SECRET=SECRET) as site:
        fake = site.supabase
        assert fake is not None
        ada = fake.add_user("ada@example.org", "correct horse")
        visitor = site.visitor()
        assert "demo_users" not in visitor.ok("GET", "/api/auth/config")
        visitor.refused("POST", "/api/auth/login", 401, json={"email": "ada@example.org", "password": "wrong horse"})
        session = visitor.sign_in("ada@example.org", "correct horse")
        assert session["user"]["id"] == ada
        visitor.upload(project_id="p1")
        assert site.store.usage(ada).files == 1
        again = visitor.ok("POST", "/api/auth/refresh", json={"refresh_token": session["refresh_token"]})
        visitor.token = again["access_token"]
        assert visitor.ok("GET", "/api/usage")["file_count"] == 1
        for stranger, status in ((fake.service_key, 401), (fake.anon_key, 401), ("x.y.z", 401)):
            visitor.token = stranger
            visitor.refused("GET", "/api/usage", status)
        fake.fail_next(status=500, times=9)
        visitor.refused("POST", "/api/auth/login", 503, json={"email": "ada@example.org", "password": "correct horse"})


# --- tokens, one by one -----------------------------------------------------------------------------------------------


class Jwks(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.asked += 1
        body = json.dumps({"keys": server.keys}).encode()
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def project(*keys: dict[str, Any]) -> Generator[tuple[Any, Supabase]]:
    """Serve a project that signs with *keys*."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Jwks)
    server.keys, server.asked, server.status = list(keys), 0, 200
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    supabase = Supabase(f"http://127.0.0.1:{server.server_port}", anon_key="anon")
    try:
        yield server, supabase
    finally:
        supabase.close()
        server.shutdown()
        thread.join()
        server.server_close()


def public(key: Any, name: str, algorithm: str) -> dict[str, Any]:
    kind = ECAlgorithm if algorithm == "ES256" else RSAAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": name, "alg": algorithm, "use": "sig"}


def signed_with(secret: str, header: dict[str, str]) -> str:
    """Sign as no library does it."""
    parts = [json.dumps(each).encode() for each in (header, claims())]
    head = b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in parts)
    mac = hmac.new(secret.encode(), head, "sha256").digest()
    return f"{head.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_secret_verifies_what_it_signed_and_nothing_else() -> None:
    auth = SupabaseAuth(Supabase("http://127.0.0.1:1", anon_key="anon"), secret=SECRET)
    good = jwt.encode(claims(email="ada@example.org"), SECRET, "HS256")
    assert auth.user(f"Bearer {good}") == User(ALICE, "ada@example.org")
    assert auth.user(f"bearer  {good}").id == ALICE
    foreign = jwt.encode(claims(), SECRET + "!", "HS256")
    unsigned = jwt.encode(claims(), "", "none")
    other = jwt.encode(claims(), SECRET, "HS512")
    assert [refusal(auth, each) for each in (foreign, unsigned, other, good[:-3], "a.b.c", "é")] == [401] * 6
    for wrong in ({"exp": int(time.time()) - 60}, {"aud": "anon"}, {"sub": ""}, {"nbf": int(time.time()) + 600}):
        assert refusal(auth, jwt.encode(claims(**wrong), SECRET, "HS256")) == 401, wrong
    for missing in ("exp", "sub", "aud", "role"):
        content = {name: value for name, value in claims().items() if name != missing}
        assert refusal(auth, jwt.encode(content, SECRET, "HS256")) == 401, missing
    for role in ("service_role", "anon"):
        assert refusal(auth, jwt.encode(claims(role=role), SECRET, "HS256")) == 403


def test_public_keys_verify_es256_and_rs256_and_are_fetched_once() -> None:
    curve, prime = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    with project(public(curve, "one", "ES256"), public(prime, "two", "RS256")) as (server, supabase):
        auth = SupabaseAuth(supabase)
        for key, name, algorithm in ((curve, "one", "ES256"), (prime, "two", "RS256")):
            token = jwt.encode(claims(), key, algorithm, headers={"kid": name})
            assert auth.user(f"Bearer {token}").id == ALICE
        assert server.asked == 1


def test_a_public_key_is_no_secret_and_no_other_algorithm() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    with project(public(curve, "one", "ES256")) as (server, supabase):
        auth = SupabaseAuth(supabase)
        # The classic: HS256, with the public key, which everyone has, as the secret.
        confused = signed_with(json.dumps(public(curve, "one", "ES256")), {"alg": "HS256", "kid": "one"})
        unsigned = jwt.encode(claims(), "", "none", headers={"kid": "one"})
        assert [refusal(auth, confused), refusal(auth, unsigned)] == [401, 401]
        assert server.asked == 0  # refused before a key is fetched
        stranger = ec.generate_private_key(ec.SECP256R1())
        assert refusal(auth, jwt.encode(claims(), stranger, "ES256", headers={"kid": "one"})) == 401
        nameless = jwt.encode(claims(), curve, "ES256")
        assert refusal(auth, nameless) == 401


def test_made_up_key_names_do_not_become_requests_and_new_keys_are_found_after_a_while() -> None:
    now = 0.0
    fetched = 0

    def fetch() -> dict[str, Any]:
        nonlocal fetched
        fetched += 1
        return {"keys": keys}

    old, new = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    keys = [public(old, "old", "ES256")]
    ring = PublicKeys(fetch, clock=lambda: now)
    assert ring.of({"kid": "old", "alg": "ES256"})
    for number in range(50):
        with pytest.raises(jwt.InvalidTokenError):
            ring.of({"kid": f"made up {number}", "alg": "ES256"})
    assert fetched == 1
    keys = [public(new, "new", "ES256")]
    now += 31
    assert ring.of({"kid": "new", "alg": "ES256"})
    with pytest.raises(jwt.InvalidTokenError):
        ring.of({"kid": "old", "alg": "ES256"})  # revoked
    assert fetched == 2


def test_keys_that_cannot_be_fetched_are_503_and_never_a_yes() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    with project(public(curve, "one", "ES256")) as (server, supabase):
        server.status = 500
        token = jwt.encode(claims(), curve, "ES256", headers={"kid": "one"})
        assert refusal(SupabaseAuth(supabase), token) == 503


def test_the_rate_is_counted_for_each_address_and_comes_back() -> None:
    now = 0.0
    limit = RateLimit(60, clock=lambda: now)
    for _ in range(60):
        limit("10.0.0.1")
    with pytest.raises(Refused) as caught:
        limit("10.0.0.1")
    assert caught.value.status == 429
    limit("10.0.0.2")
    now += 1
    limit("10.0.0.1")
    with pytest.raises(Refused):
        limit("10.0.0.1")


# --- testing mode -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"APP_ENV": "production"}, "APP_ENV"),
        ({"APP_ENV": ""}, "APP_ENV"),
        ({"SUPABASE_URL": "https://abc.supabase.co"}, "SUPABASE_URL"),
        ({"DATABASE_URL": "postgresql://db.example.org/app"}, "DATABASE_URL"),
        ({"DATABASE_URL": "host=db.example.org dbname=app"}, "DATABASE_URL"),
        ({"SUPABASE_URL": "http://127.0.0.1.example.org"}, "SUPABASE_URL"),
    ],
)
def test_testing_mode_does_not_start_where_it_could_do_harm(tmp_path: Path, more: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Config.from_env(environ(tmp_path) | more)


def test_without_testing_mode_there_must_be_somebody_who_knows_the_users(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SUPABASE_ANON_KEY"):
        Config.from_env(environ(tmp_path) | {"TESTING_MODE": ""})


def test_production_needs_a_secret_of_its_own(tmp_path: Path) -> None:
    supabase = {"SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_ANON_KEY": "anon"}
    live = environ(tmp_path) | {"APP_ENV": "production", "TESTING_MODE": "off", **supabase}
    assert Config.from_env(live).production
    for secret in ("", "too short"):
        with pytest.raises(ConfigurationError, match="APP_SECRET"):
            Config.from_env(live | {"APP_SECRET": secret})


@pytest.mark.parametrize(
    "wrong", [{"QUOTA_STATUS": "500"}, {"LINK_SECONDS": "0"}, {"RATE_LIMIT": "-1"}, {"TESTING_MODE": "perhaps"}]
)
def test_a_setting_that_means_nothing_is_told_at_the_start(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Config.from_env(environ(tmp_path) | wrong)


def test_secrets_are_in_no_description_of_the_settings(tmp_path: Path) -> None:
    config = Config.from_env(environ(tmp_path) | {"SUPABASE_JWT_SECRET": SECRET})
    assert SECRET not in repr(config)
    assert config.secret not in repr(config)
