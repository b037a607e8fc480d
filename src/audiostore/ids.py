"""Time-ordered ids (UUIDv7, RFC 9562 §5.7): sorting by id is sorting by age, which makes listing and paging free."""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0


def _unlock() -> None:
    global _lock  # noqa: PLW0603 - a fork may come while another thread holds it, and only this thread lives on
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock)


def new_id() -> str:
    """Make an id that sorts after every id made before it in this process, even if the clock was set back."""
    global _last  # noqa: PLW0603 - the counter is what makes ids ordered within a process
    with _lock:
        # 48 bits of milliseconds, then 12 bits of fraction: one number that only grows.
        _last = max(_last + 1, (time.time_ns() << 12) // 1_000_000)
        stamp = _last
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    bits = ((stamp >> 12) & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random
    digits = f"{bits:032x}"  # the uuid module would be the heaviest import of the package
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
