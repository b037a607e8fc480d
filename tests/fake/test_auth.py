"""supabase-py signs users in, asks who they are, and administers them; tokens end by the fake's clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from audiostore.testing.supabase import FakeSupabase
from supabase import Client
from tests.fake.conftest import Connect

ALICE: Any = {"email": "alice@example.com", "password": "correct horse"}


def refusal(ask: Callable[[], Any]) -> tuple[int, str | None, str]:
    with pytest.raises(AuthApiError) as refused:
        ask()
    return refused.value.status, refused.value.code, refused.value.message


@pytest.fixture
def guest(fake: FakeSupabase, connect: Connect) -> Client:
    return connect(key=fake.anon_key)


def test_a_staged_user_signs_in_and_is_known_by_the_token(fake: FakeSupabase, guest: Client) -> None:
    alice = fake.add_user(**ALICE, user_metadata={"name": "Alice"})
    session = guest.auth.sign_in_with_password({"email": "Alice@example.com", "password": ALICE["password"]}).session
    assert session
    found = guest.auth.get_user(session.access_token)
    assert found
    assert (found.user.id, found.user.email, found.user.user_metadata) == (alice, ALICE["email"], {"name": "Alice"})
    assert found.user.app_metadata == {"provider": "email", "providers": ["email"]}
    guest.storage.from_("takes").upload(f"{alice}/a.mp3", b"abc")  # signed in, the client asks with this token
    assert fake.keys("takes") == [f"{alice}/a.mp3"]


@pytest.mark.parametrize("wrong", [{"password": "guess"}, {"email": "bob@example.com"}])
def test_a_wrong_word_does_not_say_which(fake: FakeSupabase, guest: Client, wrong: dict[str, str]) -> None:
    fake.add_user(**ALICE)
    given: Any = {**ALICE, **wrong}
    told = (400, "invalid_credentials", "Invalid login credentials")
    assert refusal(lambda: guest.auth.sign_in_with_password(given)) == told


def test_who_has_not_confirmed_does_not_get_in(fake: FakeSupabase, guest: Client) -> None:
    fake.add_user(**ALICE, confirmed=False)
    told = (400, "email_not_confirmed", "Email not confirmed")
    assert refusal(lambda: guest.auth.sign_in_with_password(ALICE)) == told


def test_a_token_of_user_token_is_somebody(fake: FakeSupabase, guest: Client) -> None:
    found = guest.auth.get_user(fake.user_token("alice"))
    assert found
    assert found.user.id == "alice"


def test_a_token_ends_by_the_fakes_clock(fake: FakeSupabase, guest: Client) -> None:
    fake.now = fake.now
    token = fake.user_token("alice", expires_in=timedelta(minutes=5))
    fake.advance(timedelta(minutes=5))
    status, code, message = refusal(lambda: guest.auth.get_user(token))
    assert (status, code) == (403, "bad_jwt")
    assert message == ("invalid JWT: unable to parse or verify signature, token has invalid claims: token is expired")


def test_a_token_that_is_none_is_refused(fake: FakeSupabase, guest: Client) -> None:
    assert refusal(lambda: guest.auth.get_user("abc"))[:2] == (403, "bad_jwt")
    assert refusal(lambda: guest.auth.get_user(FakeSupabase().user_token("alice")))[:2] == (403, "bad_jwt")
    missing = (403, "bad_jwt", "invalid claim: missing sub claim")
    assert refusal(lambda: guest.auth.get_user(fake.service_key)) == missing
    gone = fake.user_token("alice")
    fake.reset()
    told = (403, "user_not_found", "User from sub claim in JWT does not exist")
    assert refusal(lambda: guest.auth.get_user(gone)) == told


def test_signing_out_ends_the_session_and_its_tokens(fake: FakeSupabase, guest: Client, connect: Connect) -> None:
    fake.add_user(**ALICE)
    other = connect(key=fake.anon_key)
    session, kept = guest.auth.sign_in_with_password(ALICE).session, other.auth.sign_in_with_password(ALICE).session
    assert session
    assert kept
    guest.auth.sign_out({"scope": "local"})
    told = (403, "session_not_found", "Session from session_id claim in JWT does not exist")
    assert refusal(lambda: other.auth.get_user(session.access_token)) == told
    assert other.auth.get_user(kept.access_token)
    other.auth.sign_out()
    assert refusal(lambda: guest.auth.get_user(kept.access_token)) == told


def test_a_refresh_token_works_once(fake: FakeSupabase, guest: Client) -> None:
    fake.now = fake.now
    fake.add_user(**ALICE)
    first = guest.auth.sign_in_with_password(ALICE).session
    assert first
    fake.advance(timedelta(hours=2))
    second = guest.auth.refresh_session(first.refresh_token).session
    assert second
    assert second.refresh_token != first.refresh_token
    assert guest.auth.get_user(second.access_token)
    fake.advance(timedelta(seconds=11))
    told = (400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
    assert refusal(lambda: guest.auth.refresh_session(first.refresh_token)) == told
    assert refusal(lambda: guest.auth.refresh_session(second.refresh_token))[1] == "refresh_token_not_found"


def test_who_signs_up_is_signed_in(guest: Client) -> None:
    assert guest.auth.sign_up(ALICE).session
    assert refusal(lambda: guest.auth.sign_up(ALICE)) == (422, "user_already_exists", "User already registered")
    with pytest.raises(AuthWeakPasswordError, match="at least 6 characters"):
        guest.auth.sign_up({"email": "bob@example.com", "password": "short"})


def test_users_are_administered_with_the_service_key(fake: FakeSupabase, connect: Connect) -> None:
    admin = connect().auth.admin
    made = admin.create_user({**ALICE, "email_confirm": True, "user_metadata": {"plan": "free"}}).user  # type: ignore[typeddict-item]
    assert admin.get_user_by_id(made.id).user.user_metadata == {"plan": "free"}
    assert [each.id for each in admin.list_users()] == [made.id]
    changed = admin.update_user_by_id(made.id, {"email": "a@example.com", "app_metadata": {"tier": 2}}).user
    assert (changed.email, changed.app_metadata["tier"]) == ("a@example.com", 2)
    taken = (422, "email_exists", "A user with this email address has already been registered")
    assert refusal(lambda: admin.create_user({"email": "A@example.com"})) == taken
    admin.delete_user(made.id)
    assert refusal(lambda: admin.get_user_by_id(made.id)) == (404, "user_not_found", "User not found")
    assert admin.list_users() == []


def test_users_are_listed_by_pages(fake: FakeSupabase, connect: Connect) -> None:
    fake.now = fake.now
    for number in range(5):
        fake.add_user(f"user{number}@example.com")
        fake.advance(timedelta(seconds=1))
    listed = connect().auth.admin.list_users(page=2, per_page=2)
    assert [each.email for each in listed] == ["user2@example.com", "user1@example.com"]


def test_administration_is_not_for_everyone(fake: FakeSupabase, connect: Connect) -> None:
    token = fake.user_token(str(uuid.uuid4()))
    for key in (fake.anon_key, token):
        admin = connect(key=key).auth.admin
        assert refusal(admin.list_users) == (403, "not_admin", "User not allowed")
    told = httpx.get(f"{fake.url}/auth/v1/admin/users").json()
    assert told["error_code"] == "no_authorization"


def test_an_old_caller_is_told_in_the_old_form(fake: FakeSupabase) -> None:
    answer = httpx.post(f"{fake.url}/auth/v1/token?grant_type=password", json=ALICE)
    assert (answer.status_code, answer.headers["x-sb-error-code"]) == (400, "invalid_credentials")
    told = {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}
    assert answer.json() == told


def test_what_the_fake_does_not_know_is_said_loudly(fake: FakeSupabase) -> None:
    assert httpx.post(f"{fake.url}/auth/v1/otp", json={}).status_code == 501


def test_an_address_or_an_id_is_taken_once(fake: FakeSupabase) -> None:
    alice = fake.add_user(**ALICE)
    many: tuple[Any, ...] = ({"email": "ALICE@example.com"}, {"email": "b@example.com", "user_id": alice})
    for taken in many:
        with pytest.raises(ValueError, match="such a user already"):
            fake.add_user(**taken)
