"""What a Supabase server says when it refuses, and what that is in our words: the one translation there is.

The storage routes answer nearly every refusal with HTTP 400 and tell the truth in the body (``statusCode``, a string);
the TUS routes tell it in the status, with plain text. Both are read here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    ConfigurationError,
    InvalidKey,
    NotFound,
    PermissionDenied,
    Unavailable,
    UnsupportedAudio,
)

_TOKEN = re.compile(r"eyJ[\w-]+(\.[\w-]+)*|sb_(secret|publishable)_[\w-]+")
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it was meant: the true status, the server's words for it."""

    status: int
    code: str
    message: str

    @classmethod
    def of(cls, status: int, content: bytes) -> Refusal:
        """Read an answer that is no success."""
        text = content[:4096].decode(errors="replace")
        try:
            told = fields_of(json.loads(content))
        except ValueError:
            told = None
        if told is None:
            return cls(status, "", _clean(text))
        true = str(told.get("statusCode", status))
        code = str(told.get("code") or told.get("error") or "")
        return cls(int(true) if true.isdecimal() else status, code, _clean(str(told.get("message", text))))

    @property
    def bucket_is_missing(self) -> bool:
        """Also what an expired or forged token looks like on the routes that read."""
        return self.code == "NoSuchBucket" or self.message == "Bucket not found"


def translate(refusal: Refusal, what: str, wait: timedelta | None = None) -> AudioStoreError:
    """Give the error that a refusal is, about *what*."""
    if refusal.status in _WAIT or refusal.code in _LATER:
        # Nothing was done, so whoever asks may ask again.
        return Unavailable(f"{what}: too many requests", retryable=True, retry_after=wait)
    if refusal.status >= _SERVER or refusal.status == _TIMEOUT or refusal.code in _BROKEN:
        return Unavailable(f"{what}: the server failed ({refusal.status})", retry_after=wait)
    if refusal.bucket_is_missing:
        return ConfigurationError(f"{what}: the bucket does not exist, or this key may not see it")
    if refusal.status in _MISSING:
        return NotFound(what)
    if refusal.status in _TAKEN:
        return AlreadyExists(what)
    if refusal.status in _DENIED:
        return PermissionDenied(f"{what}: {refusal.message or refusal.status}")
    if refusal.code == "InvalidKey":
        return InvalidKey(what, "the server refuses it")
    if refusal.status == _TYPE:
        return UnsupportedAudio("type", refusal.message)
    return PermissionDenied(f"{what}: {refusal.message or refusal.status}")


def fields_of(value: object) -> Mapping[str, Any] | None:
    """Take a parsed JSON value for an object, if it is one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read the header of that name, in seconds or as a date; ``None`` if there is none, or nonsense."""
    value = headers.get("retry-after", "").strip()
    try:
        wait = timedelta(seconds=int(value)) if value.isdecimal() else parsedate_to_datetime(value) - datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


_LATER = frozenset({"SlowDown", "TooManyRequests"})
_BROKEN = frozenset({"DatabaseTimeout", "InternalError", "LockTimeout"})
_MISSING = frozenset({404, 410})
_TAKEN = frozenset({409})
_DENIED = frozenset({401, 403})
_WAIT = frozenset({423, 429})
_TIMEOUT, _TYPE, _SERVER = 408, 415, 500


def _clean(message: str) -> str:
    return _TOKEN.sub("<token>", message.strip())[:200]
