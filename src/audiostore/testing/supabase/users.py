"""The users of a project, who is signed in, and by which tokens."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

LIFETIME: Final = timedelta(hours=1)
"""Of an access token."""

REUSE: Final = timedelta(seconds=10)
"""So long a refresh token may be used again, since its answer may have got lost."""


@dataclass(slots=True, kw_only=True)
class User:
    """``password`` None: cannot sign in with one. It is kept as given; a fake guards nothing."""

    id: str
    email: str
    password: str | None
    created_at: datetime
    updated_at: datetime
    confirmed_at: datetime | None
    user_metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    app_metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    role: str = "authenticated"
    last_sign_in_at: datetime | None = None

    def knows(self, password: str) -> bool:
        return self.password is not None and hmac.compare_digest(self.password.encode(), password.encode())


@dataclass(slots=True, kw_only=True)
class Session:
    id: str
    user: str
    refresh_token: str
    used: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """Refresh tokens that gave way to the next one, and when."""


class Users:
    """All of them by id, in the order in which they came, with their sessions."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self.by_id: dict[str, User] = {}
        self.sessions: dict[str, Session] = {}

    def add(
        self,
        now: datetime,
        *,
        email: str,
        password: str | None,
        id: str | None = None,
        confirmed: bool = True,
        user_metadata: Mapping[str, Any] | None = None,
        app_metadata: Mapping[str, Any] | None = None,
    ) -> User:
        user = User(
            id=id or self._new_id(),
            email=email.lower(),
            password=password,
            created_at=now,
            updated_at=now,
            confirmed_at=now if confirmed else None,
            user_metadata=dict(user_metadata or {}),
            app_metadata={"provider": "email", "providers": ["email"], **(app_metadata or {})},
        )
        self.by_id[user.id] = user
        return user

    def with_email(self, email: str) -> User | None:
        return next((each for each in self.by_id.values() if each.email and each.email == email.lower()), None)

    def remove(self, id: str) -> None:
        del self.by_id[id]
        self.sign_out(lambda session: session.user == id)

    # --- sessions -----------------------------------------------------------------------------------------------------

    def sign_in(self, user: User, now: datetime) -> Session:
        user.last_sign_in_at = user.updated_at = now
        session = Session(id=self._new_id(), user=user.id, refresh_token=_refresh_token())
        self.sessions[session.id] = session
        return session

    def sign_out(self, which: Callable[[Session], bool]) -> None:
        for each in [each for each in self.sessions.values() if which(each)]:
            del self.sessions[each.id]

    def session_of(self, refresh_token: str) -> Session | None:
        known = (each for each in self.sessions.values() if refresh_token in {each.refresh_token, *each.used})
        return next(known, None)

    def refresh(self, session: Session, refresh_token: str, now: datetime) -> bool:
        """Give the session its next refresh token; False if this one gave way too long ago."""
        used = session.used.get(refresh_token)
        if used is not None:
            return now - used <= REUSE
        session.used[refresh_token] = now
        session.refresh_token = _refresh_token()
        return True


def _refresh_token() -> str:
    return secrets.token_urlsafe(9)[:12]
