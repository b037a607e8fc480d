"""What a request asks for only conditionally: ranges, and what the client has already (RFC 9110 §13, §14).

Headers are a stranger's text: each is read in one pass, and one that is longer than any honest client's is as good as
absent. All of these headers are requests for less; ignoring one is always a correct answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

MAX_HEADER: Final = 2048
"""The longest list of entity tags that is looked at, in characters."""
MAX_RANGE: Final = 128
"""The longest ``Range``: two numbers of 19 digits need 45 characters."""
MAX_DATE: Final = 64

_RANGE = re.compile(r"(?i:bytes)=[ \t]*([0-9]*)-([0-9]*)[ \t]*")
_TAGS = re.compile(r'(W/)?("[!#-~\x80-\xff]*")')


class HeaderItems(Protocol):
    """A request's headers, as any framework has them: a mapping, or at least something with ``items()``."""

    def items(self) -> Iterable[tuple[str, str]]: ...


def fold(headers: HeaderItems) -> dict[str, str]:
    """Headers by lower-case name; one that occurs twice is one list, as RFC 9110 §5.3 has it."""
    folded: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        folded[lower] = f"{folded[lower]}, {value}" if lower in folded else value
    return folded


@dataclass(frozen=True, slots=True)
class Validators:
    """By what a client tells whether it has the bytes already; ``etag`` with its quotes, ``modified`` aware UTC."""

    etag: str
    modified: datetime

    @property
    def last_modified(self) -> str:
        from email.utils import format_datetime  # it brings 20 modules along, and only servers need it

        return format_datetime(self.modified.astimezone(UTC).replace(microsecond=0), usegmt=True)

    def failed(self, headers: Mapping[str, str]) -> int | None:
        """Give the status that answers a condition in *headers* (lower-case names): 304, 412, or None to go on."""
        if (tags := headers.get("if-match")) is not None:
            if not self._matches(tags, weak=False):
                return 412
        elif (moment := _date(headers.get("if-unmodified-since"))) and self._seconds > moment:
            return 412
        if (tags := headers.get("if-none-match")) is not None:
            return 304 if self._matches(tags, weak=True) else None
        moment = _date(headers.get("if-modified-since"))
        return 304 if moment and self._seconds <= moment else None

    def allow_range(self, if_range: str | None) -> bool:
        """Tell whether the part that a client asks for fits what it has: always, without ``If-Range``."""
        if if_range is None:
            return True
        validator = if_range.strip()
        return validator == self.etag or _date(validator) == self._seconds

    @property
    def _seconds(self) -> datetime:
        return self.modified.replace(microsecond=0)

    def _matches(self, tags: str, *, weak: bool) -> bool:
        if len(tags) > MAX_HEADER:
            return False
        if tags.strip() == "*":
            return True
        return any(tag == self.etag and (weak or not mark) for mark, tag in _TAGS.findall(tags))


def byte_range(header: str | None, size: int) -> range | None:
    """Read a ``Range`` header for *size* bytes: the positions asked for, empty when none of them exists.

    ``None`` is the whole, for want of a range or because the header is malformed, too long, of another unit, or lists
    several ranges: no player asks for those, and joining them is where servers were brought down.

    >>> byte_range("bytes=2-", 10), byte_range("bytes=-3", 10), byte_range("bytes=10-", 10)
    (range(2, 10), range(7, 10), range(10, 10))
    """
    if header is None or len(header) > MAX_RANGE:
        return None
    asked = _RANGE.fullmatch(header.strip(" \t"))
    if asked is None:
        return None
    first, last = asked.groups()
    if not first:
        return _suffix(int(last), size) if last else None
    start = int(first)
    if last and int(last) < start:
        return None
    return range(start, min(int(last) + 1, size) if last else size) if start < size else range(size, size)


def _suffix(count: int, size: int) -> range | None:
    # Of no bytes at all the last ones are the whole, and there is no Content-Range that could say so.
    return range(max(0, size - count), size) if size else None


def _date(text: str | None) -> datetime | None:
    """An HTTP date in any of its three forms; None for anything else."""
    if text is None or len(text) > MAX_DATE:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
