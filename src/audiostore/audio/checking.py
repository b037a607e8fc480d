"""The whole examination of a recording that may be hostile. It runs in a process of its own, under limits."""

from __future__ import annotations

from typing import BinaryIO

from audiostore.audio.engine import Reader, opened_container
from audiostore.audio.headers import check_outside, examine
from audiostore.audio.info import AudioInfo
from audiostore.audio.probing import describe, header_duration
from audiostore.audio.rules import Rules
from audiostore.errors import UnsupportedAudio

_BAD_SHARE = 0.02
"""Of a recording's packets, so many may be damaged; what plays on with a click is accepted."""
_MISSING_SHARE = 0.02
_MISSING_SECONDS = 0.1


def check(file: BinaryIO, rules: Rules) -> AudioInfo:
    """Look at *file* from the outside in, cheapest first, and refuse it at the first thing that is wrong.

    Raises:
        UnsupportedAudio: with its ``code``.

    """
    looked = examine(file)
    check_outside(file, looked)
    with opened_container(file, looked) as reader:
        declared = header_duration(reader)
        if declared is not None and rules.max_duration is not None and declared > rules.max_duration:
            rules.check_duration(declared)  # before a second of it is decoded
        info = describe(reader, exact=rules.decode, seconds=rules.max_duration)
        if rules.decode:
            check_decoded(reader, info.duration, declared)
    rules.check(info)
    return info


def check_decoded(reader: Reader, seconds: float, declared: float | None) -> None:
    """Refuse what *reader* has decoded to its end if more than a click of it is damaged, or if a part is missing.

    Raises:
        UnsupportedAudio: ``corrupt``, ``truncated``.

    """
    if reader.bad > 1 + reader.packets * _BAD_SHARE:
        raise UnsupportedAudio("corrupt", f"{reader.bad} of {reader.packets} packets can't be decoded")
    missing = 0.0 if declared is None else declared - seconds
    if declared is not None and missing > max(_MISSING_SECONDS, declared * _MISSING_SHARE):
        raise UnsupportedAudio("truncated", f"{declared:.2f} s are declared, and {seconds:.2f} s are there")
