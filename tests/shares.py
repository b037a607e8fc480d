"""How much of a long test the test command does: a share, the same each time. The soak command does the whole.

``python3 scripts/run.py soak`` runs the tests that are marked slow with ``TEST_SOAK=1``, then the loops of
``tests/crashes``. What a test asserts is the same in both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

_T = TypeVar("_T")
WHOLE: Final = os.environ.get("TEST_SOAK") == "1"


def share(all_of_it: Iterable[_T], *, one_in: int) -> Iterator[_T]:
    """Give every *one_in*-th, beginning with the first; in a soak all."""
    return islice(all_of_it, 0, None, 1 if WHOLE else one_in)


def amount(short: int, whole: int) -> int:
    """Give *short*, in a soak *whole*: seconds, kills, examples."""
    return whole if WHOLE else short
