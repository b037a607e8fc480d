"""An app that makes and uses its store before gunicorn forks its workers: ``gunicorn --preload``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from audiostore import AudioStore, NotFound

Start = Callable[[str, list[tuple[str, str]]], object]

store = AudioStore.from_env()
first = store.put(b"before the fork" * 1000, owner="parent")
assert store.get(first) == b"before the fork" * 1000


def connections() -> set[str]:
    """Give the connections to the project that this machine has, as ``/proc/self/fd`` names them."""
    port = f":{urlsplit(os.environ['SUPABASE_URL']).port or 0:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[2].endswith(port)}


def opened() -> dict[str, str]:
    """Give what this process has open, by the number of its handle: such connections, to storage and catalog."""
    found: dict[str, str] = {}
    known = connections()
    for handle in Path("/proc/self/fd").iterdir():
        try:
            target = str(handle.readlink())
        except FileNotFoundError:
            continue  # the one that lists them
        if target in known:
            found[handle.name] = target
    return found


INHERITED = opened()


def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    owner, path = f"worker {os.getpid()}", environ["PATH_INFO"][1:]
    if path == "facts":
        own = {number: target for number, target in opened().items() if INHERITED.get(number) != target}
        content = json.dumps({"worker": os.getpid(), "own": own}).encode()
    elif environ["REQUEST_METHOD"] == "PUT":
        content = store.put(environ["wsgi.input"].read(), owner=owner, filename=path).id.encode()
    else:
        try:
            content = store.get(store.find(path))
        except NotFound:
            start("404 Not Found", [])
            return []
    start("200 OK", [("Content-Length", str(len(content))), ("X-Worker", str(os.getpid()))])
    return [content]
