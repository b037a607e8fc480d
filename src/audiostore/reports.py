"""What looking after a store tells: findings, and what was done about them."""

from __future__ import annotations

from dataclasses import dataclass

from audiostore.errors import AudioStoreError
from audiostore.keys import Key
from audiostore.models import AudioFile


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
