"""The two services of a Supabase project that the apps ask themselves: Auth, and the table of projects over REST.

Audio is the library's business. httpx comes with ``audiostore[supabase]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from audiostore.settings import Settings
from examples.shared.problems import RETRY_AFTER, Refused

if TYPE_CHECKING:
    import httpx

_WAIT = 10.0
"""Seconds."""


class Supabase:
    """One project, and the pooled connections to it."""

    def __init__(self, url: str, *, anon_key: str, service_key: str | None = None) -> None:
        import httpx

        self._anon_key, self._service_key = anon_key, service_key
        self._client = httpx.Client(base_url=url, timeout=_WAIT)

    @classmethod
    def of(cls, settings: Settings) -> Supabase | None:
        """Make one if the environment knows a project."""
        if settings.supabase_url is None or settings.supabase_anon_key is None:
            return None
        url, key = settings.supabase_url, settings.supabase_anon_key
        return cls(url, anon_key=key, service_key=settings.supabase_service_key)

    def sign_in(self, grant: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """Ask Supabase Auth for tokens. Raises Refused: 401, 429, 503."""
        headers = {"apikey": self._anon_key}
        path = "/auth/v1/token"
        answer = self._send("POST", path, params={"grant_type": grant}, headers=headers, json=asked)
        if answer.status_code == 429:  # noqa: PLR2004
            raise Refused(429, "Too many attempts to sign in. Please wait a little.", retry_after=RETRY_AFTER)
        if answer.is_client_error:
            raise Refused(401, "Wrong address or password, or the sign-in is over.")
        return cast("dict[str, Any]", self._content(answer))

    def jwks(self) -> dict[str, Any]:
        """Fetch the public keys. Raises Refused: 503."""
        answer = self._send("GET", "/auth/v1/.well-known/jwks.json")
        return cast("dict[str, Any]", self._content(answer)) if answer.is_success else {}

    def rows(self, method: str, table: str, params: Mapping[str, str], row: Mapping[str, Any] | None = None) -> Any:
        """Read or change rows with the service key: each call names their owner itself. Gives the rows, or None where
        the database says that they can't be (409: taken; 400: no such id is possible). Raises Refused: 503.
        """
        headers = {"Authorization": f"Bearer {self._service_key}", "apikey": self._service_key or ""}
        headers["Prefer"] = "return=representation"
        answer = self._send(method, f"/rest/v1/{table}", params=params, headers=headers, json=row)
        return None if answer.status_code in (400, 409) else self._content(answer)

    def close(self) -> None:
        self._client.close()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        try:
            answer = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise _away() from error
        if answer.is_server_error:
            raise _away()
        return answer

    def _content(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise RuntimeError(f"Supabase answered {answer.status_code} to {answer.request.url.path}")
        return answer.json()


def _away() -> Refused:
    return Refused(503, "The service can't be reached just now. Please try again.", retry_after=RETRY_AFTER)
