"""Short-lived tickets: what a plain link can do that carries no header, signed by the app."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt

from examples.shared.problems import Refused

LIFETIME = timedelta(minutes=10)


class Tickets:
    """Tickets for one *purpose*: one for something else does not pass, nor does a token of a signed-in user."""

    def __init__(self, secret: str, purpose: str, lifetime: timedelta = LIFETIME) -> None:
        self._secret, self._purpose, self._lifetime = secret, f"ticket:{purpose}", lifetime

    def issue(self, owner: str, thing: str) -> tuple[str, datetime]:
        """Give a ticket for *owner*'s *thing*, and until when it is good."""
        until = datetime.now(UTC).replace(microsecond=0) + self._lifetime
        claims = {"sub": owner, "thing": thing, "aud": self._purpose, "exp": until}
        return jwt.encode(claims, self._secret, "HS256"), until

    def read(self, ticket: str) -> tuple[str, str]:
        """Give whose it is, and what for. Raises Refused: 403."""
        needed = ["exp", "sub", "thing", "aud"]
        try:
            claims = jwt.decode(
                ticket, self._secret, algorithms=["HS256"], audience=self._purpose, options={"require": needed}
            )
        except jwt.InvalidTokenError as error:
            raise Refused(403, "This link is not valid, or no longer. Please ask for a new one.") from error
        return str(claims["sub"]), str(claims["thing"])
