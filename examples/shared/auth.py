"""Who is asking: Supabase Auth and its tokens, or, on one's own machine, demo users.

A token comes in the ``Authorization`` header and from nowhere else, so that no page of another site can act in a
visitor's name. What it says is believed only after its signature, algorithm, time, audience and role are.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import jwt

from audiostore import ConfigurationError
from examples.shared.config import Config
from examples.shared.fields import required
from examples.shared.keys import PublicKeys
from examples.shared.problems import Refused
from examples.shared.supabase import Supabase

ROLE = "authenticated"
LIFETIME = 3600
"""Seconds that a token of testing mode is good for."""
_LONGEST = 8192
"""Characters of a token; Supabase's have about a thousand."""
_PASSWORD = 1024
DEMO_USERS = {
    "alice@example.com": ("a11ce000-0000-4000-8000-000000000001", "demo-alice"),
    "bob@example.com": ("b0b00000-0000-4000-8000-000000000002", "demo-bob"),
    "test@example.com": ("7e570000-0000-4000-8000-000000000003", "Test123!"),
}
"""Address -> id and password. The third is the one of the seed's flow test."""


@dataclass(frozen=True, slots=True)
class User:
    """``id`` is the owner of all that is theirs."""

    id: str
    email: str | None = None


class Auth(Protocol):
    """Signing in, and who a token is of."""

    def login(self, fields: Mapping[str, Any]) -> dict[str, Any]: ...

    def refresh(self, fields: Mapping[str, Any]) -> dict[str, Any]: ...

    def user(self, header: str | None) -> User: ...


def auth_of(config: Config, supabase: Supabase | None) -> Auth:
    """Make what *config* asks for."""
    if config.testing:
        return DemoAuth(config.secret)
    if supabase is None:
        raise ConfigurationError("signing in needs SUPABASE_URL and SUPABASE_ANON_KEY")
    return SupabaseAuth(supabase, secret=config.jwt_secret, audience=config.audience)


class SupabaseAuth:
    """Passwords go to Supabase Auth; its tokens are verified here, by the project's secret or by its public keys."""

    def __init__(self, supabase: Supabase, *, secret: str | None = None, audience: str = ROLE) -> None:
        self._supabase, self._secret, self._audience = supabase, secret, audience
        self._public = PublicKeys(supabase.jwks)

    def login(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"email": required(fields, "email"), "password": required(fields, "password", longest=_PASSWORD)}
        return _session(self._supabase.sign_in("password", asked))

    def refresh(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"refresh_token": required(fields, "refresh_token", longest=_LONGEST)}
        return _session(self._supabase.sign_in("refresh_token", asked))

    def user(self, header: str | None) -> User:
        """Verify the token of an ``Authorization`` header.

        Each algorithm has its own kind of key, so that a public key can't be passed off as a secret; a token that is
        not signed, or in a way that this project doesn't use, is refused before any key is fetched.

        Raises:
            Refused: 401, or 403 for a token of another role. 503 if the public keys can't be fetched.

        """
        token = bearer(header)
        try:
            key, algorithms = self._key(token)
            claims = _decoded(token, key, algorithms, self._audience)
        except jwt.InvalidTokenError as error:
            raise _bad_token() from error
        return _user(claims)

    def _key(self, token: str) -> tuple[str | jwt.PyJWK, list[str]]:
        if self._secret is not None:
            return self._secret, ["HS256"]
        return self._public.of(jwt.get_unverified_header(token)), PublicKeys.ALGORITHMS


class DemoAuth:
    """Testing mode: users whose passwords everyone knows, and tokens that only this app signs and takes."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def login(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        email, password = required(fields, "email").lower(), required(fields, "password", longest=_PASSWORD)
        user, expected = DEMO_USERS.get(email, ("", ""))
        if not hmac.compare_digest(password.encode(), expected.encode()) or not user:
            raise Refused(401, "Wrong address or password.")
        return self._signed_in(User(user, email))

    def refresh(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return self._signed_in(self._verified(required(fields, "refresh_token", longest=_LONGEST), "demo-refresh"))

    def user(self, header: str | None) -> User:
        return self._verified(bearer(header), ROLE)

    def _verified(self, token: str, audience: str) -> User:
        try:
            return _user(_decoded(token, self._secret, ["HS256"], audience))
        except jwt.InvalidTokenError as error:
            raise _bad_token() from error

    def _signed_in(self, user: User) -> dict[str, Any]:
        now = int(time.time())
        claims = {"sub": user.id, "email": user.email, "role": ROLE, "aud": ROLE, "iat": now, "exp": now + LIFETIME}
        refresh = claims | {"aud": "demo-refresh", "exp": now + 24 * LIFETIME}
        return _session(
            {
                "access_token": jwt.encode(claims, self._secret, "HS256"),
                "refresh_token": jwt.encode(refresh, self._secret, "HS256"),
                "expires_in": LIFETIME,
                "expires_at": now + LIFETIME,
                "user": {"id": user.id, "email": user.email},
            }
        )


def bearer(header: str | None) -> str:
    """Give the token of an ``Authorization`` header."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(401, "Please sign in first.")
    if len(token) > _LONGEST:
        raise _bad_token()
    return token.strip()


def _decoded(token: str, key: Any, algorithms: list[str], audience: str) -> dict[str, Any]:
    needed = ["exp", "sub", "aud", "role"]
    return jwt.decode(token, key, algorithms=algorithms, audience=audience, leeway=5, options={"require": needed})


def _user(claims: Mapping[str, Any]) -> User:
    """Give whose token it is. Only a signed-in person's will do: the service key and the public key are tokens too."""
    if claims["role"] != ROLE:
        raise Refused(403, "This token is not a signed-in user's.")
    owner, email = claims["sub"], claims.get("email")
    if not isinstance(owner, str) or not owner or "\0" in owner:
        raise _bad_token()
    return User(owner, email if isinstance(email, str) else None)


def _bad_token() -> Refused:
    return Refused(401, "The sign-in is not valid, or over. Please sign in again.")


def _session(given: Mapping[str, Any]) -> dict[str, Any]:
    user = cast("Mapping[str, Any]", given.get("user") or {})
    seconds = int(given.get("expires_in") or 0)
    until = datetime.fromtimestamp(int(given.get("expires_at") or time.time() + seconds), UTC)
    return {
        "success": True,
        "access_token": given.get("access_token"),
        "token_type": "bearer",
        "expires_in": seconds,
        "expires_at": until.isoformat(),
        "refresh_token": given.get("refresh_token"),
        "user": {"id": user.get("id"), "email": user.get("email")},
    }
