"""What is refused, over HTTP: one problem (RFC 9457) per error, with the words that the front end reads.

Nothing of an error's own text goes out but what was written for people here: where files lie, and what a database
said, is for the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import audiostore
from audiostore import AudioStoreError, FileTooLarge, QuotaExceeded, Unavailable, UnsupportedAudio

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5
"""Seconds."""


class Refused(Exception):
    """What an app refuses by itself. *facts* go into the answer beside the message."""

    def __init__(
        self, status: int, message: str, *, code: str = "", retry_after: float | None = None, **facts: Any
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after, self.facts = status, message, retry_after, facts
        self.code = code or CODES.get(status, "bad_request")


CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    410: "expired",
    413: "too_large",
    415: "unsupported_audio",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
    507: "quota_exceeded",
}

TITLES = {
    "bad_request": "Bad request",
    "unauthorized": "Authentication required",
    "forbidden": "Forbidden",
    "not_found": "Not found",
    "conflict": "Conflict",
    "expired": "Expired",
    "too_large": "Too large",
    "unsupported_audio": "Unsupported audio",
    "quota_exceeded": "Quota exceeded",
    "storage_full": "Storage full",
    "unavailable": "Unavailable",
}

_MESSAGES = {
    400: "The request could not be read: is it JSON, or a form?",
    404: "There is no such page.",
    405: "This can't be done here.",
    413: "The file is too large.",
    500: "Something went wrong on our side.",
}

_REFUSALS: dict[type[AudioStoreError], tuple[int, str, str]] = {
    audiostore.NotFound: (404, "not_found", "It is not there. Perhaps it was deleted."),
    audiostore.AlreadyExists: (409, "conflict", "This was done already."),
    audiostore.InvalidKey: (400, "bad_request", "No recording can be kept under these ids."),
    audiostore.ReservationExpired: (410, "expired", "The upload took too long. Please start it again."),
    audiostore.FileTooLarge: (413, "too_large", "The file is too large."),
    audiostore.UnsupportedAudio: (415, "unsupported_audio", "This is not an audio file, or there is nothing in it."),
    audiostore.Unavailable: (503, "unavailable", "The storage can't be reached just now. Please try again."),
    audiostore.QuotaExceeded: (
        507,
        "quota_exceeded",
        "There is not enough room left. Delete a recording to make some.",
    ),
    audiostore.StorageFull: (507, "storage_full", "The server's disk is full. Nothing was stored."),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An answer: status, headers, and the content that becomes JSON."""

    status: int
    content: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_fault(self) -> bool:
        """Whether the operator's log should hold the error: it is ours, and the client can't help it."""
        return self.status == HTTPStatus.INTERNAL_SERVER_ERROR


def problem(error: BaseException, *, quota_status: int = 507) -> Problem:
    """Say in HTTP what *error* means; what nobody expected is a 500 that tells nothing."""
    if isinstance(error, Refused):
        return told(error.status, error.message, code=error.code, retry_after=error.retry_after, **error.facts)
    for kind in type(error).__mro__:
        if kind in _REFUSALS:
            status, code, message = _REFUSALS[kind]
            status = quota_status if code == "quota_exceeded" else status
            return told(status, message, code=code, retry_after=_wait(error), **_facts(error))
    return of_status(500)


def of_status(status: int) -> Problem:
    """Say what a framework refuses by itself, in the same words whichever it is."""
    return told(status, _MESSAGES.get(status) or "The request can't be answered.")


def told(
    status: int, message: str, *, code: str = "", title: str = "", retry_after: float | None = None, **facts: Any
) -> Problem:
    """Make the answer. ``error`` and ``message`` say the same as ``title`` and ``detail``, for the seed's front end."""
    code = code or CODES.get(status, "bad_request")
    title = title or TITLES.get(code) or HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": message, "code": code}
    seed = {"success": False, "error": title, "message": message}
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(status=status, content={**facts, **content, **seed}, headers=headers)


def _wait(error: BaseException) -> float | None:
    if not isinstance(error, Unavailable):
        return None
    return RETRY_AFTER if error.retry_after is None else error.retry_after.total_seconds()


def _facts(error: BaseException) -> dict[str, Any]:
    if isinstance(error, FileTooLarge):
        return {"limit": error.limit}
    if isinstance(error, UnsupportedAudio):
        return {"reason": error.code}
    if isinstance(error, QuotaExceeded):
        return {"needed": error.needed, "used": error.used, "quota": error.limit, "kind": error.kind}
    return {}
