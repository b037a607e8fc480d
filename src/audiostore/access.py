"""Who we are to a Supabase project: where its APIs are, and the headers that say so, asked for at each call."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audiostore.errors import ConfigurationError
from audiostore.refusals import fields_of

_PLAIN = re.compile(r"[!-~]+")
STORAGE = "/storage/v1"
REST = "/rest/v1"


@dataclass(frozen=True, slots=True)
class Access:
    """The address of one of the APIs, without a slash at its end, and the token and key that open it."""

    url: str
    key: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"apikey": self.key, "Authorization": f"Bearer {self.token}"}

    @property
    def role(self) -> str | None:
        """What the token says its role is; ``None`` for keys that are no JWT."""
        role = claims(self.token).get("role")
        return role if isinstance(role, str) else None

    @property
    def serves(self) -> bool:
        """False for a key that is certainly not the service key."""
        return self.role in (None, "service_role") and not self.token.startswith("sb_publishable_")


Accessing = Callable[[], Access]


def with_key(url: str, key: str, token: str | None = None, *, api: str = STORAGE) -> Accessing:
    """Have the same key at each call, and a user's *token* instead of it where RLS must see the user."""
    access = Access(_address(url, api), _checked("key", key), _checked("token", token or key))
    return lambda: access


def with_client(client: Any, token: str | None = None, *, api: str = STORAGE) -> Accessing:
    """Ask a ``supabase.Client`` (or ``AsyncClient``) at each call: signing in and refreshing change its headers.

    A *token* acts instead of whoever is signed in there.
    """
    try:
        _of(client, token, api)
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(f"client= takes a supabase.Client, not {type(client).__name__}") from None
    return lambda: _of(client, token, api)


def _of(client: Any, token: str | None, api: str) -> Access:
    headers = {str(name).lower(): str(value) for name, value in client.options.headers.items()}
    bearer = token or headers["authorization"].removeprefix("Bearer ")
    url = str(client.storage_url if api == STORAGE else client.rest_url)
    return Access(_address(url, api), _checked("key", headers["apikey"]), _checked("token", bearer))


def claims(token: str) -> Mapping[str, Any]:
    """Read what a JWT claims, unverified: ``exp``, ``role``. Empty for anything else."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return {}
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return fields_of(told) or {}


def _address(url: str, api: str) -> str:
    url = url.rstrip("/")
    if not re.match(r"https?://[^/]", url):
        raise ConfigurationError("the Supabase url is no http(s) URL")
    return url if url.endswith(api) else url + api


def _checked(name: str, value: str) -> str:
    # An HTTP client that is handed a broken header repeats it in its complaint.
    if not _PLAIN.fullmatch(value):
        raise ConfigurationError(f"the Supabase {name} is empty, or holds a space or a line break")
    return value
