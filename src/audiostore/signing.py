"""Signed links: a token that names one object, one method and one moment, and that only holders of a secret can make.

A token is ``v1.<payload>.<mac>``, both parts base64url without padding, so it is one segment of a URL. The mac covers
the version, the method and the payload, under a key that is derived from the secret for that method alone: a link to
listen can't be turned into one to upload, nor into anything else the app signs with the same secret.

What this can't do: a link works for whoever holds it, and a single link can't be revoked (deleting the file can).
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NoReturn, TypeAlias

from audiostore.errors import ConfigurationError, LinkExpired, LinkInvalid
from audiostore.keys import Key
from audiostore.models import parse_text

LinkMethod: TypeAlias = Literal["GET", "PUT"]

MAX_TOKEN: Final = 4096
"""The longest token, in characters. It holds the longest key with the longest name, and fits a server's line limit."""
MAX_NAME: Final = 255
"""The longest download name, in bytes of UTF-8: what a file system can hold."""
MIN_SECRET: Final = 16
"""The shortest secret, in bytes."""

HARMFUL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control codes, line breaks, marks that make "exe.3pm" read as "mp3.exe", and halves of characters."""

_VERSION: Final = "v1"
_METHODS: Final[tuple[LinkMethod, ...]] = ("GET", "PUT")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_written = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""As ``json.dumps``, which would make an encoder for each link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a token says. ``expires_at`` is aware UTC, cut to the millisecond; ``size`` in bytes.

    A ``GET`` link may carry a name to download the file as (shortened to 255 bytes, its suffix kept). A ``PUT`` link
    carries the most bytes it may bring, their type, and the reservation that they settle.

    Raises:
        ValueError: a time without a zone, a ``PUT`` without a size, a negative size, an empty name.
    """

    method: LinkMethod
    backend: str
    key: Key
    expires_at: datetime
    download_as: str | None = None
    size: int | None = None
    content_type: str | None = None
    reservation: str | None = None

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise ValueError(f"a link is for GET or PUT, not {self.method!r}")
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at has no time zone")
        if self.method == "PUT" and self.size is None:
            raise ValueError("a PUT link needs a size")
        if self.size is not None and self.size < 0:
            raise ValueError(f"a size can't be negative: {self.size}")
        # Canonical from the start, so that a verified link equals the one that was signed.
        object.__setattr__(self, "expires_at", _moment(_milliseconds(self.expires_at)))
        if self.download_as is not None:
            object.__setattr__(self, "download_as", shorten(parse_text("download_as", self.download_as)))


class LinkSigner:
    """Make and check tokens with *secrets*, oldest first: the last one signs, each of them is accepted.

    To rotate, append a new secret; drop the old one when the longest link has expired.

    >>> signer = LinkSigner(["correct horse battery staple"], clock=lambda: 1_700_000_000.0)
    >>> soon = signer.expiry(timedelta(hours=1))
    >>> token = signer.sign(Link(method="GET", backend="local", key=Key("alice/take.wav"), expires_at=soon))
    >>> signer.verify(token, "HEAD").key
    'alice/take.wav'

    Raises:
        ConfigurationError: no secret, or one of less than 16 bytes.
    """

    __slots__ = ("_clock", "_keys")

    def __init__(self, secrets: Sequence[str | bytes], *, clock: Callable[[], float] = time.time) -> None:
        if isinstance(secrets, str | bytes):
            raise TypeError("secrets is a list of secrets, oldest first")
        raw = [_bytes(secret) for secret in secrets]
        if not raw:
            raise ConfigurationError("there is no secret to sign links with (AUDIOSTORE_SECRET)")
        if any(len(secret) < MIN_SECRET for secret in raw):
            raise ConfigurationError(f"a signing secret (AUDIOSTORE_SECRET) is shorter than {MIN_SECRET} bytes")
        # Only derived keys are kept: whoever dumps this object has not got the app's secret.
        self._keys = {method: tuple(_derive(secret, method) for secret in raw) for method in _METHODS}
        self._clock = clock

    def __repr__(self) -> str:
        return f"LinkSigner(<{len(self._keys['GET'])} secrets>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a LinkSigner is not pickled: it would carry its keys along")

    def now(self) -> datetime:
        """The clock that links go by, as aware UTC."""
        return _moment(int(self._clock() * 1000))

    def expiry(self, expires: timedelta) -> datetime:
        """When a link expires that is asked to live for *expires*: a little earlier, in steps of a quarter of it.

        Links made within one step are equal to the letter, so browsers and CDNs can cache what is behind them. None
        outlives what was asked, and none lives less than three quarters of it.

        Raises:
            ValueError: *expires* is not positive, or reaches beyond the calendar.
        """
        if not isinstance(expires, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expires is a timedelta, not {type(expires).__name__}")
        lifetime = expires // _MILLISECOND
        if lifetime <= 0:
            raise ValueError(f"a link must live for a while, not {expires}")
        step = max(1, lifetime // 4)
        try:
            return _moment((int(self._clock() * 1000) + lifetime) // step * step)
        except OverflowError as error:
            raise ValueError(f"a link can't live for {expires}") from error

    def sign(self, link: Link) -> str:
        """Make the token of *link*.

        Raises:
            ValueError: more text in it than a token can hold.
        """
        facts = [
            link.backend,
            link.key,
            _milliseconds(link.expires_at),
            link.download_as,
            link.size,
            link.content_type,
            link.reservation,
        ]
        payload = _to_text(_written(facts).encode())
        token = f"{_VERSION}.{payload}.{_mac(self._keys[link.method][-1], link.method, payload)}"
        if len(token) > MAX_TOKEN:
            raise ValueError(f"a link of {len(token)} characters is too long: {MAX_TOKEN} at most")
        return token

    def verify(self, token: str, method: str) -> Link:
        """Give back what was signed, for *method* (a ``GET`` link also answers ``HEAD``).

        Raises:
            LinkInvalid: not a token of ours, or not for this method.
            LinkExpired: a genuine one, too late.
        """
        meant = "GET" if method == "HEAD" else method
        keys = next((self._keys[each] for each in _METHODS if each == meant), None)
        if keys is None:
            raise LinkInvalid("not for this method")
        payload, mac = _split(token)
        # Each secret is tried, whichever matches: the time taken tells nothing. The mac is compared as text, so
        # there is no other spelling of the same mac; the payload is not looked into before.
        genuine = [hmac.compare_digest(_mac(key, meant, payload).encode(), mac.encode()) for key in keys]
        if not any(genuine):
            raise LinkInvalid
        link = _parse(meant, payload)
        if self._clock() >= link.expires_at.timestamp():
            raise LinkExpired(link.expires_at.timestamp())
        return link


def harmless(name: str) -> str:
    """Put ``_`` in place of all that is harmful in the name of a file, path separators included.

    >>> harmless("../etc/passwd"), harmless("mp3.\u202eexe")
    ('.._etc_passwd', 'mp3._exe')
    """
    return re.sub(r"[/\\]", "_", HARMFUL.sub("_", name))


def shorten(name: str, limit: int = MAX_NAME) -> str:
    """Cut *name* to *limit* bytes of UTF-8, at the end of its stem: the suffix says how to play it.

    >>> shorten("a" * 300 + ".wav")[-6:], len(shorten("é" * 300 + ".wav").encode())
    ('aa.wav', 254)
    """
    whole = name.encode(errors="replace")
    if len(whole) <= limit:
        return name
    stem, dot, suffix = whole.rpartition(b".")
    end = dot + suffix if stem and len(suffix) < limit // 8 else b""
    return whole[: limit - len(end)].decode(errors="ignore") + end.decode()


def _bytes(secret: object) -> bytes:
    if isinstance(secret, str):
        # An environment may hold any bytes; an error about them would carry the secret.
        return secret.encode(errors="surrogatepass")
    if not isinstance(secret, bytes):
        raise TypeError(f"a secret is text or bytes, not {type(secret).__name__}")
    return secret


def _split(token: object) -> tuple[str, str]:
    if not isinstance(token, str) or len(token) > MAX_TOKEN or not token.isascii():
        raise LinkInvalid("malformed")
    version, _, signed = token.partition(".")
    payload, _, mac = signed.partition(".")
    if version != _VERSION:
        raise LinkInvalid("malformed")
    return payload, mac


def _parse(method: str, payload: str) -> Link:
    try:
        backend, key, expires, download_as, size, content_type, reservation = json.loads(_from_text(payload))
        return Link(
            method="PUT" if method == "PUT" else "GET",
            backend=backend,
            key=Key(key),
            expires_at=_moment(expires),
            download_as=download_as,
            size=size,
            content_type=content_type,
            reservation=reservation,
        )
    except (ValueError, TypeError, OverflowError) as error:
        # Ours, but of a release whose rules for keys or payloads were others.
        raise LinkInvalid("malformed") from error


def _derive(secret: bytes, method: str) -> bytes:
    return hmac.digest(secret, f"audiostore.link.{_VERSION}.{method}".encode(), "sha256")


def _mac(key: bytes, method: str, payload: str) -> str:
    return _to_text(hmac.digest(key, f"{_VERSION}.{method}.{payload}".encode(), "sha256"))


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_text(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND
