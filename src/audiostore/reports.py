"""What is told of many things at once: the outcomes of a batch, the findings of upkeep and what was done about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from audiostore.errors import AudioStoreError
from audiostore.keys import Key
from audiostore.models import AudioFile

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[_T]):
    """What became of one item of a batch, the one at ``index``: its ``result``, or the ``error`` that it met."""

    index: int
    result: _T | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


class Batch(tuple[Outcome[_T], ...]):
    """The outcomes of a batch, one for each item, in the order of the items."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether every item was done."""
        return not self.failed

    @property
    def failed(self) -> tuple[Outcome[_T], ...]:
        """The outcomes of the items that were not done."""
        return tuple(each for each in self if not each.ok)

    @property
    def done(self) -> tuple[_T, ...]:
        """The results of the items that were done, in order."""
        return tuple(cast("_T", each.result) for each in self if each.ok)

    def results(self) -> tuple[_T, ...]:
        """Give all results, in order. Raises an ExceptionGroup of every error if there is one: ``except*`` sorts it."""
        if errors := [each.error for each in self if each.error is not None]:
            raise ExceptionGroup(f"{len(errors)} of {len(self)} failed", errors)
        return self.done


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What became of one file of ``promote_all``: its record now, and the error if it stayed where it was."""

    file: AudioFile
    error: AudioStoreError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One finding of an audit: ledger, records and bytes that disagree.

    ``kind`` is ``committed_bytes``, ``reserved_bytes``, ``file_count`` or ``pending_count`` (ledger against records),
    ``object_missing``, ``size_differs`` or ``object_unrecorded`` (records against bytes).
    """

    kind: str
    owner: str | None = None
    backend: str | None = None
    key: Key | None = None
    ledger: int | None = None
    truth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found: ``ok`` when ledger, records and bytes agree. ``files`` and ``objects`` were compared.

    ``repaired`` is what it set right, where that was asked for; ``drift`` is what is left.
    """

    drift: tuple[Drift, ...]
    files: int
    objects: int
    repaired: tuple[Drift, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.drift


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What a sweep did: reservations ``expired``, objects ``erased`` or ``postponed``, folders of dead processes
    (``staging``) removed, and ``orphans`` queued for removal.
    """

    expired: int = 0
    erased: int = 0
    postponed: int = 0
    staging: int = 0
    orphans: int = 0
