"""The door for requests, by way of ``responses``: mocks that a test makes with it keep working, within and around."""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from audiostore.testing.supabase import doors
from audiostore.testing.supabase.faults import delivered
from audiostore.testing.supabase.wire import Body, Disconnected

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PIECE = 64 * 1024
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


class _Guard:
    """Stands at the door while ``responses`` is missing: what is meant for the fake must not go out to the network."""

    def __init__(self, adapter: Any) -> None:
        self._adapter, self._before = adapter, adapter.send
        adapter.send = self._ours = _guarded(adapter.send)

    def undo(self) -> None:
        if self._adapter.send is self._ours:
            self._adapter.send = self._before


def _guarded(send: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(adapter: Any, request: Any, *arguments: Any, **named: Any) -> Any:
        if _ours(request)[0]:
            raise ModuleNotFoundError(
                'a fake that is asked by requests needs responses: pip install "audiostore[testing]"', name="responses"
            )
        return send(adapter, request, *arguments, **named)

    return guarded


def patches() -> list[_Patch | _Guard]:
    try:
        requests = importlib.import_module("requests")
    except ModuleNotFoundError:
        return []
    try:
        return [_Patch(importlib.import_module("responses"), requests)]
    except ModuleNotFoundError:
        return [_Guard(requests.adapters.HTTPAdapter)]


class _Answer(io.RawIOBase):
    """An answer's body as a file, so that it is neither gathered here nor sent faster than it is taken."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


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
    except (ConnectionError, Disconnected) as broken:
        return _nothing(str(broken))
    if response.delivery.lost:
        return _nothing("the answer was lost")
    # The one kind of file that `responses` does not read at once.
    return response.status, dict(response.headers), io.BufferedReader(_Answer(delivered(response)), _PIECE)


def _nothing(reason: str) -> tuple[int, dict[str, str], Any]:
    return 0, {}, importlib.import_module("requests").exceptions.ConnectionError(reason)


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
