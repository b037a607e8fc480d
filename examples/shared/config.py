"""What the example apps themselves take from the environment, beside the library's own variables.

A wrong or dangerous setting is a ``ConfigurationError`` when the app starts, never a surprise later.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from audiostore import ConfigurationError, parse_size
from audiostore.settings import Settings, Variable

VARIABLES = (
    Variable(
        name="APP_ENV",
        default="production",
        meaning="`production`, or `development`: on one's own machine, where testing mode is possible.",
    ),
    Variable(
        name="APP_SECRET",
        default=None,
        meaning="Signs download links, and testing mode's tokens: 32 characters at least; a must in production.",
        secret=True,
    ),
    Variable(
        name="TESTING_MODE",
        default="off",
        meaning="`on`: demo users instead of Supabase Auth; in development only, with nothing on other machines.",
    ),
    Variable(
        name="SUPABASE_JWT_SECRET",
        default=None,
        meaning="The project's legacy JWT secret, if it signs with HS256; else its public keys (JWKS) are fetched.",
        secret=True,
    ),
    Variable(name="JWT_AUDIENCE", default="authenticated", meaning="The `aud` that a token must have."),
    Variable(name="LINK_SECONDS", default="3600", meaning="How long a link to listen lives."),
    Variable(
        name="QUOTA_STATUS",
        default="507",
        meaning="The status of “no room left”: `507`, or `402` if room can be bought.",
    ),
    Variable(name="RATE_LIMIT", default="600", meaning="Requests per minute from one address; `0` is no limit."),
    Variable(
        name="ORIGINALS_FOLDER",
        default=None,
        meaning="Files of the time before audiostore, which only the saved projects name; they play and are exported.",
    ),
)

FORM = 64 * 1024
"""Bytes that a form may have besides its file."""
DOCUMENT = 8 * 1024 * 1024
"""Bytes of the largest JSON: a project, with the text of its sections."""
_MIN_SECRET = 32


@dataclass(frozen=True, kw_only=True)
class Config:
    """The examples' own settings. ``max_request`` is in bytes, None for no limit; ``storage_origin`` where browsers
    find files that this app does not serve itself.
    """

    production: bool
    testing: bool
    secret: str = field(repr=False)
    jwt_secret: str | None = field(repr=False)
    audience: str
    links: timedelta
    quota_status: int
    rate_limit: int
    max_request: int | None
    originals: str | None
    audio_format: str | None
    storage_origin: str | None
    settings: Settings

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Parse *environ* (default: the process's own).

        Raises:
            ConfigurationError: a variable that is missing or malformed, or testing mode where it must not be.

        """
        given = os.environ if environ is None else environ  # noqa: TID251 - the apps' one door
        settings = Settings.from_env(given)
        read = _Reader(given)
        production = read.choice("APP_ENV", "production", "development") == "production"
        testing = read.choice("TESTING_MODE", "off", "on") == "on"
        if testing:
            _refuse_testing(settings, production=production)
        elif settings.supabase_url is None or settings.supabase_anon_key is None:
            raise ConfigurationError(
                "signing in needs SUPABASE_URL and SUPABASE_ANON_KEY; or, on your own machine, "
                "APP_ENV=development and TESTING_MODE=on"
            )
        return cls(
            production=production,
            testing=testing,
            secret=_secret(read.get("APP_SECRET"), production=production),
            jwt_secret=read.get("SUPABASE_JWT_SECRET"),
            audience=read.get("JWT_AUDIENCE") or "",
            links=timedelta(seconds=read.whole("LINK_SECONDS", 1)),
            quota_status=int(read.choice("QUOTA_STATUS", "507", "402")),
            rate_limit=read.whole("RATE_LIMIT", 0),
            max_request=_max_request(given, settings),
            originals=read.get("ORIGINALS_FOLDER"),
            audio_format=_format(given),
            storage_origin=_origin(settings.supabase_url),
            settings=settings,
        )

    @property
    def content_policy(self) -> str:
        """The page's policy: nothing but our own files, and media and uploads of the storage's very origin."""
        there = "" if self.storage_origin is None else f" {self.storage_origin}"
        return (
            f"default-src 'self'; media-src 'self' blob:{there}; connect-src 'self'{there}; "
            "img-src 'self' data: blob:; "
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )

    @property
    def headers(self) -> dict[str, str]:
        """What every answer bears that has none of its own (links to audio bring stricter ones)."""
        return {
            "Content-Security-Policy": self.content_policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    def check_host(self, host: str) -> bool:
        """Tell whether a request to *host* may be answered: in testing mode, only those to this very machine.

        A proxy passes the public name on, so an app that came onto the internet in testing mode answers nobody.
        """
        return not self.testing or _is_local(urlsplit(f"//{host}").hostname)


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._defaults = {each.name: each.default for each in VARIABLES}

    def get(self, name: str) -> str | None:
        return (self._environ.get(name) or "").strip() or self._defaults[name]

    def choice(self, name: str, *words: str) -> str:
        value = (self.get(name) or "").lower()
        if value not in words:
            raise ConfigurationError(f"{name} must be {' or '.join(words)}, not {value!r}")
        return value

    def whole(self, name: str, least: int) -> int:
        value = self.get(name) or ""
        if not (value.isascii() and value.isdecimal() and int(value) >= least):
            raise ConfigurationError(f"{name} must be a whole number from {least}, not {value!r}")
        return int(value)


def _refuse_testing(settings: Settings, *, production: bool) -> None:
    """Let nobody sign in with a password that stands in the README, where the data is real."""
    if production:
        raise ConfigurationError("TESTING_MODE=on needs APP_ENV=development: anybody could sign in")
    for name, url in (("SUPABASE_URL", settings.supabase_url), ("DATABASE_URL", settings.database_url)):
        if url is not None and not _is_local(urlsplit(url).hostname):
            raise ConfigurationError(f"TESTING_MODE=on is for this machine only, and {name} is on another one")


def _is_local(host: str | None) -> bool:
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _secret(given: str | None, *, production: bool) -> str:
    if given is None:
        if production:
            raise ConfigurationError("APP_SECRET is missing; in production all processes need one in common")
        return secrets.token_urlsafe(_MIN_SECRET)  # safe, but each start signs everyone out
    if len(given) < _MIN_SECRET:
        raise ConfigurationError(f"APP_SECRET is shorter than {_MIN_SECRET} characters")
    return given


def _max_request(environ: Mapping[str, str], settings: Settings) -> int | None:
    if asked := (environ.get("MAX_UPLOAD_SIZE") or "").strip():
        return parse_size(asked)  # Settings has refused what is no size
    return None if settings.max_file_size is None else settings.max_file_size + FORM


def _format(environ: Mapping[str, str]) -> str | None:
    word = (environ.get("AUDIO_FORMAT") or "off").strip().lower()
    return None if word in {"", "off"} else word


def _origin(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
