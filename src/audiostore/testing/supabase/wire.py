"""What the doors hand in and carry out: a request and its answer, without a word of sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

JSON: Final = "application/json; charset=utf-8"


class Disconnected(Exception):
    """The caller went away, or was sent away, before all of its body had come."""


class Body:
    """A request's body, piece by piece; iterating it raises ``Disconnected`` where it ends too early."""

    def __init__(
        self,
        pieces: Iterable[bytes] = (),
        *,
        length: int | None = None,
        abort: Callable[[], None] = lambda: None,
    ) -> None:
        self.length = length
        self.received = 0
        self.ended = length == 0
        self.aborted = False
        self._pieces = iter(pieces)
        self._stop = abort

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.received += len(piece)
            yield piece
        self.ended = True
        if self.aborted or (self.length is not None and self.received < self.length):
            raise Disconnected

    def read(self) -> bytes:
        return b"".join(self)

    def abort(self) -> None:
        """End it from another thread: who is reading it gets ``Disconnected``."""
        self.aborted = True
        self._stop()

    def cut(self, after: int) -> None:
        """Let it break off after *after* bytes."""
        self._pieces = _first(after, self._pieces)


def _first(count: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    left = count
    for piece in pieces:
        if piece[:left]:
            yield piece[:left]
        left -= len(piece)
        if left <= 0:
            raise Disconnected


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``path`` is as it came, escaped and below ``/storage/v1``; the names of ``headers`` are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Body = field(default_factory=Body)
    origin: str = ""
    """Scheme and host by which the caller reached us."""

    @property
    def arguments(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How an answer goes wrong on its way."""

    lost: bool = False
    cut_after: int | None = None
    drip: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Iterable[bytes] = ()
    delivery: Delivery = field(default_factory=Delivery)

    def read(self) -> bytes:
        return b"".join(self.body)


def answer(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Give *content* as JSON, spelled as the real server spells it."""
    written = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    described = {"content-type": JSON, **(headers or {}), "content-length": str(len(written))}
    return Response(status=status, headers=described, body=(written,))


def plain(text: str, *, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Give *text* as the TUS routes do."""
    written = text.encode()
    described = {"content-type": "text/plain;charset=UTF-8", **(headers or {}), "content-length": str(len(written))}
    return Response(status=status, headers=described, body=(written,))
