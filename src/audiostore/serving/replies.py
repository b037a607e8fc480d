"""What goes back: the reply, the headers that every reply has, and the errors that have a status of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from audiostore.errors import (
    AlreadyExists,
    AudioStoreError,
    FileTooLarge,
    LinkExpired,
    LinkInvalid,
    NotFound,
    QuotaExceeded,
    ReservationExpired,
    StorageFull,
    Unavailable,
    UnsupportedAudio,
)
from audiostore.streams import ByteStream

SAFETY: Final[Mapping[str, str]] = {
    # What people uploaded is played or saved, never run, whatever a browser takes it for.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    # The address is a bearer token; it must not travel on.
    "Referrer-Policy": "no-referrer",
}

RETRY_AFTER: Final = 5
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP. ``body`` is an iterator of bytes, to be closed even if it is not read to its end.

    Frameworks close a body that has ``close()`` themselves; elsewhere use ``with reply:``. While it is read, ``body``
    may raise ``Unavailable``: break the connection off, as the status is out already.
    """

    status: int
    headers: dict[str, str]
    body: ByteStream

    def close(self) -> None:
        """Let go of what is behind the body; safe to call twice."""
        self.body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def reply(status: int, headers: Mapping[str, str], body: ByteStream | None = None) -> Reply:
    """A reply with the headers that every reply has, whatever *headers* say."""
    return Reply(status, {**headers, **SAFETY}, ByteStream(iter(()), 0) if body is None else body)


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A short reply in plain text that nobody may cache."""
    facts = {
        **(headers or {}),
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(text)),
        "Cache-Control": "no-store",
    }
    return reply(status, facts, ByteStream(iter((text.encode("ascii"),)), len(text)))


_REFUSALS: Final[Mapping[type[AudioStoreError], tuple[int, str]]] = {
    LinkExpired: (403, "link expired"),
    LinkInvalid: (403, "link invalid"),
    NotFound: (404, "not found"),
    AlreadyExists: (409, "already uploaded"),
    ReservationExpired: (410, "reservation expired"),
    FileTooLarge: (413, "too large"),
    UnsupportedAudio: (415, "unsupported audio"),
    Unavailable: (503, "unavailable"),
    QuotaExceeded: (507, "quota exceeded"),
    StorageFull: (507, "storage full"),
}

REFUSED: Final = tuple(_REFUSALS)
"""The errors that are answers. All others are faults, which belong in the operator's log."""


def refused(error: AudioStoreError) -> Reply:
    """The reply to one of ``REFUSED``. It holds nothing of the error's text, which may tell where things are."""
    status, text = next(_REFUSALS[kind] for kind in type(error).__mro__ if kind in _REFUSALS)
    return refusal(status, text, {"Retry-After": str(RETRY_AFTER)} if status == 503 else None)  # noqa: PLR2004
