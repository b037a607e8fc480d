"""Faults to order: what goes wrong, on which route, how often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from http import HTTPStatus

from audiostore.testing.supabase.wire import Delivery, Request, Response, answer

_ANYONE = {"access-control-allow-origin": "*"}
"""The gateway says this of its own refusals too: else a page could not tell a 429 from a broken network."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """See ``FakeSupabase.fail_next``."""

    route: str
    times: int
    status: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    cut_request_after: int | None = None
    cut_response_after: int | None = None
    lose_response: bool = False
    malformed: bool = False
    drip: timedelta | None = None
    latency: timedelta | None = None

    def meets(self, request: Request) -> bool:
        method, space, path = self.route.rpartition(" ")
        return (not space or method == request.method) and fnmatchcase(request.path, path)

    def befall(self, request: Request, respond: Callable[[Request], Response]) -> Response:
        if self.latency:
            time.sleep(self.latency.total_seconds())
        if self.cut_request_after is not None:
            request.body.cut(self.cut_request_after)
        response = self._refusal() if self.status else respond(request)
        if self.malformed:
            broken = b'{"statusCode": "200", "message": "cut sho'
            described = {"content-type": "application/json", "content-length": str(len(broken))}
            response = Response(status=response.status, headers={**_ANYONE, **described}, body=(broken,))
        delivery = Delivery(lost=self.lose_response, cut_after=self.cut_response_after, drip=self.drip)
        return replace(response, delivery=delivery)

    def _refusal(self) -> Response:
        assert self.status
        error = self.error or HTTPStatus(self.status).phrase
        content = {"statusCode": str(self.status), "error": error, "message": error, "code": error}
        headers = dict(_ANYONE)
        if self.retry_after is not None:
            headers["retry-after"] = str(int(self.retry_after.total_seconds()))
        return answer(content, status=self.status, headers=headers)


class Faults:
    """Those ordered and not yet used up, in their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._staged: list[Fault] = []

    def stage(self, fault: Fault) -> None:
        with self._lock:
            self._staged.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._staged.clear()

    def take(self, request: Request) -> Fault | None:
        with self._lock:
            fault = next((each for each in self._staged if each.meets(request)), None)
            if fault is not None:
                fault.times -= 1
                if fault.times == 0:
                    self._staged.remove(fault)
        return fault


_DROP = 1024


def delivered(response: Response) -> Iterator[bytes]:
    """Give the body as its delivery lets it through; what is lost or cut ends with ``ConnectionError``."""
    delivery = response.delivery
    left = 0 if delivery.lost else delivery.cut_after
    for piece in response.body:
        for part in _drops(piece, delivery.drip):
            yield part if left is None else part[:left]
            if left is not None:
                left -= len(part)
                if left <= 0:
                    raise ConnectionError("the answer was cut off")
    if left is not None:
        raise ConnectionError("the answer was cut off")


def _drops(piece: bytes, pause: timedelta | None) -> Iterator[bytes]:
    if pause is None:
        yield piece
        return
    for at in range(0, len(piece), _DROP):
        time.sleep(pause.total_seconds())
        yield piece[at : at + _DROP]
