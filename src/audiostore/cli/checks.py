"""What ``doctor`` is made of: looks, each of which gives what it saw, or raises a ``Finding`` that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from audiostore.errors import AudioStoreError, ConfigurationError, Unavailable

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Something that ``doctor --fix`` may do: ``what``, as it is told before, and the deed."""

    what: str
    do: Callable[[], object]


class Finding(Exception):
    """Something is not as it should be, and what to do about it."""

    def __init__(self, detail: str, fix: str, repair: Repair | None = None) -> None:
        super().__init__(detail)
        self.fix = fix
        self.repair = repair


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one look found; ``fix`` is what to do, or None where all is well."""

    name: str
    detail: str
    fix: str | None = None
    repair: Repair | None = None

    @property
    def ok(self) -> bool:
        """Nothing is to be done."""
        return self.fix is None


def examined(name: str, look: Callable[[_T], str], subject: _T) -> Check:
    """Make one look."""
    try:
        return Check(name=name, detail=look(subject))
    except Finding as finding:
        return Check(name=name, detail=str(finding), fix=finding.fix, repair=finding.repair)
    except Unavailable as error:
        return Check(name=name, detail=str(error), fix="look whether it is up, then try again: nothing was proved")
    except ConfigurationError as error:
        return Check(name=name, detail=str(error), fix="mend the settings")
    except (AudioStoreError, OSError) as error:
        return Check(name=name, detail=str(error), fix="find out why: the store can't do without")
