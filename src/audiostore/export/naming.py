"""Names of files that every system can hold, made of what people call their chapters."""

from __future__ import annotations

import re
import unicodedata

from audiostore.keys import _RESERVED
from audiostore.signing import harmless, shorten

LONGEST = 150
"""Bytes of UTF-8, suffix apart: with a folder before it, short enough for any system."""

_FORBIDDEN = re.compile(r'[<>:"|?*]')


class Names:
    """Gives names, and never one twice, not even on a disk that ignores case or the form of accents."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, name: str) -> str:
        """Give a name for *name*, without a suffix, that is free."""
        plain = portable(name)
        number, tried = 1, plain
        while (mark := _alike(tried)) in self._taken:
            number += 1
            tried = f"{plain} ({number})"
        self._taken.add(mark)
        return tried


def portable(name: str) -> str:
    r"""Give *name* as a file can be called on any system: its letters stay, in whatever language.

    >>> portable("Kapitel 1: „Größe“?"), portable("../../etc/passwd"), portable("con"), portable(" \n")
    ('Kapitel 1_ „Größe“_', '__.._etc_passwd', '_con', 'untitled')
    """
    text = unicodedata.normalize("NFC", harmless(" ".join(name[: 4 * LONGEST].split())))
    text = re.sub(r"^[.\-~ ]+", "_", _FORBIDDEN.sub("_", text))
    text = shorten(f"{text}.", LONGEST).rstrip(". ")
    return (f"_{text}" if _RESERVED.fullmatch(text) else text) or "untitled"


def numbered(number: int, count: int, name: str) -> str:
    """Put a number before *name*, wide enough that *count* of them sort as they are counted.

    >>> numbered(3, 120, "Rain"), numbered(3, 9, "")
    ('003 - Rain', '03')
    """
    digits = f"{number:0{max(2, len(str(count)))}}"
    return f"{digits} - {name}" if name.strip() else digits


def _alike(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
