"""Keys: the address of bytes in a backend, parsed once and then trusted.

A key is what every backend can hold: a local disk (Linux, macOS, also a Windows share), and Supabase Storage, whose
server takes ``^[A-Za-z0-9_/!.*'() &$=@;:+,?-]*$`` (``src/storage/limits.ts`` of supabase/storage 1.70.6). What is
allowed here is the intersection, less what URLs or shells would twist.
"""

from __future__ import annotations

import re

from audiostore.errors import InvalidKey

MAX_KEY = 1024
"""The longest key, in bytes (S3's limit, which stands behind hosted object stores)."""
MAX_SEGMENT = 255
"""The longest segment, in bytes (the limit of common file systems)."""

_PORTABLE = re.compile(r"[A-Za-z0-9_/!.'() &$=@;+,-]+")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(?:\..*)?")


class Key(str):
    """A relative, POSIX, portable address: ``Key("alice/p1/chapter_1/section_2/take.wav")``.

    It is a ``str``, so it can be stored and compared as one; making it is the check.

    >>> Key("alice/take.wav").name
    'take.wav'

    Raises:
        InvalidKey: empty, absolute, ``.``/``..``/empty segments, a leading dot, a trailing dot or space, a
            character outside the portable set, a name that Windows reserves, or too long.
    """

    __slots__ = ()

    def __new__(cls, key: str) -> Key:
        if isinstance(key, Key):
            return key
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a key is text, not {type(key).__name__}")
        if reason := _what_is_wrong(key):
            raise InvalidKey(key, reason)
        return super().__new__(cls, key)

    @property
    def name(self) -> str:
        """The last segment."""
        return self.rpartition("/")[2]

    @property
    def folders(self) -> tuple[str, ...]:
        """The segments before the last one."""
        return tuple(self.split("/")[:-1])


def _what_is_wrong(key: str) -> str | None:
    if not key:
        return "empty"
    if len(key) > MAX_KEY:
        return f"longer than {MAX_KEY} bytes"
    if not _PORTABLE.fullmatch(key):
        return "a character that not every backend can hold"
    for segment in key.split("/"):
        if not segment:
            return "an empty segment"
        if segment[0] in ". " or segment[-1] in ". ":
            return "a segment starts or ends with a dot or a space"
        if len(segment) > MAX_SEGMENT:
            return f"a segment longer than {MAX_SEGMENT} bytes"
        if _RESERVED.fullmatch(segment):
            return "a name that Windows reserves"
    return None
