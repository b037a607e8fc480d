"""The doors within this process: while one is open, httpx (or httpx2) and requests find the fake at its URL.

Classes are patched, not clients, so that it does not matter when a client was made or whether it asks for HTTP/2.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from audiostore.testing.supabase.wire import Request, Response

PREFIX: Final = "/storage/v1"


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """Where a fake is found, and whether requests for other hosts are refused while it is open."""

    url: str
    respond: Callable[[Request], Response]
    refuses_others: bool

    def owns(self, url: str) -> bool:
        ours, asked = urlsplit(self.url), urlsplit(url)
        # Large uploads are told to go to <project>.storage.supabase.co
        host = (asked.netloc).replace(".storage.supabase.co", ".supabase.co")
        return (asked.scheme, host) == (ours.scheme, ours.netloc)


_changing: Final = threading.RLock()
_open: Final[list[Door]] = []
_patches: Final[list[Any]] = []


def open_door(door: Door) -> None:
    with _changing:
        if not _open:
            for name in ("httpx_door", "requests_door"):
                module = importlib.import_module(f"audiostore.testing.supabase.{name}")
                _patches.extend(module.patches())
        _open.append(door)


def close_door(door: Door) -> None:
    with _changing:
        if door in _open:
            _open.remove(door)
        if not _open:
            while _patches:
                _patches.pop().undo()


def door_for(url: str) -> Door | None:
    """Give the door that owns *url*, or None if it is no business of ours; raises ``ConnectionError`` if refused."""
    with _changing:
        opened = list(_open)
    for door in reversed(opened):
        if door.owns(url):
            return door
    if any(door.refuses_others for door in opened):
        raise ConnectionRefusedError(f"the fake refuses other hosts: {urlsplit(url).netloc}")
    return None


def in_process(method: str, url: str, headers: dict[str, str], body: Any) -> Request:
    parts = urlsplit(url)
    return Request(
        method=method.upper(),
        path=parts.path.removeprefix(PREFIX),
        query=parts.query,
        headers=headers,
        body=body,
        origin=f"{parts.scheme}://{parts.netloc}",
    )
