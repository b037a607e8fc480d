"""Sizes in bytes, as people write them. A KB is 1024 bytes here, as the quotas of the apps we serve count."""

from __future__ import annotations

import re
from typing import TypeAlias

Size: TypeAlias = int | str
"""An int of bytes, or text such as ``"500 MB"``, ``"1.5gb"``, ``"100mb"``, ``"512"``."""

_POWERS = {"": 0, "b": 0, "byte": 0, "bytes": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_UNITS = {
    unit + ending: 1024**power for unit, power in _POWERS.items() for ending in (("", "b", "ib") if power else ("",))
}
_WRITTEN = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([a-z]{0,5})")


def parse_size(size: Size) -> int:
    """Give *size* in bytes.

    >>> parse_size("500 MB"), parse_size("1.5 kb"), parse_size(42)
    (524288000, 1536, 42)

    Raises:
        ValueError: for a negative number, a unit it doesn't know, or text that is no size.
        TypeError: for anything but ``int`` and ``str`` (``bool`` included).
    """
    if isinstance(size, bool) or not isinstance(size, int | str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a size is an int of bytes or text such as '500 MB', not {type(size).__name__}")
    if isinstance(size, int):
        if size < 0:
            raise ValueError(f"a size can't be negative: {size}")
        return size
    written = _WRITTEN.fullmatch(size.strip().lower())
    if written is None or written[2] not in _UNITS:
        raise ValueError(f"not a size: {size!r} (write bytes, or e.g. '500 MB', '1.5 GB')")
    return int(float(written[1]) * _UNITS[written[2]]) if "." in written[1] else int(written[1]) * _UNITS[written[2]]


def format_size(size: int | None) -> str:
    """Write *size* for people; ``None`` is unlimited.

    >>> format_size(1_300_000), format_size(512), format_size(None)
    ('1.2 MB', '512 B', 'unlimited')
    """
    if size is None:
        return "unlimited"
    amount, units = float(size), ("B", "KB", "MB", "GB", "TB")
    for unit in units:
        if abs(amount) < 1024 or unit == units[-1]:  # noqa: PLR2004 - the module's docstring says it
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError  # unreachable: the last unit always returns
