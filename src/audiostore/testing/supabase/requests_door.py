"""The door for requests, by way of ``responses``: mocks that a test makes with it keep working, within and around."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from typing import Any, cast

from audiostore.testing.supabase import doors
from audiostore.testing.supabase.faults import delivered
from audiostore.testing.supabase.wire import Body, Disconnected

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class _Patch:
    def __init__(self, responses: Any, requests: Any) -> None:
        # What is not ours goes on to whoever sent before: the network, or a test's own mock.
        self._mock = responses.RequestsMock(
            assert_all_requests_are_fired=False, real_adapter_send=requests.adapters.HTTPAdapter.send
        )
        for method in _METHODS:
            self._mock.add_callback(method, re.compile(".*"), callback=_answered, match=[_ours], content_type=None)
        self._mock.add_passthru(re.compile(".*"))
        self._mock.start()

    def undo(self) -> None:
        self._mock.stop(allow_assert=False)
        self._mock.reset()


def patches() -> list[_Patch]:
    try:
        return [_Patch(importlib.import_module("responses"), importlib.import_module("requests"))]
    except ModuleNotFoundError:
        return []


def _ours(request: Any) -> tuple[bool, str]:
    try:
        return doors.door_for(request.url) is not None, "not the fake's"
    except ConnectionError:
        return True, ""


def _answered(request: Any) -> tuple[int, dict[str, str], Any]:
    try:
        door = doors.door_for(request.url)
        assert door
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        body = _body(request.body, headers.get("content-length"))
        response = door.respond(doors.in_process(request.method, request.url, headers, body))
        return response.status, dict(response.headers), b"".join(delivered(response))
    except (ConnectionError, Disconnected) as broken:
        requests = importlib.import_module("requests")
        return 0, {}, requests.exceptions.ConnectionError(str(broken))


def _body(given: object, length: str | None) -> Body:
    if given is None:
        return Body(length=0)
    if isinstance(given, str):
        given = given.encode()
    if isinstance(given, bytes):
        return Body([given], length=len(given))
    read = getattr(given, "read", None)
    pieces = iter(lambda: read(64 * 1024), b"") if read else cast("Iterable[bytes]", given)
    return Body(pieces, length=int(length) if length else None)
