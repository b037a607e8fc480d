"""Which processes there are, and whose children."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text()


def children(pid: int | str = "self") -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return found


def servers() -> list[int]:
    return [pid for pid in children() if b"audiostore.audio.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def until(happens: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
