"""The two seams of a migration: where projects name their audio, and where a run keeps what it has done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeAlias

from audiostore.models import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRow:
    """One project of the app as its table has it. ``data`` is the JSON, as text or already parsed by a driver.

    ``revision`` is what ``References.rewrite`` compares: opaque to everyone else.
    """

    id: str
    owner: str
    data: Any = field(repr=False)
    revision: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One section that names a file, as it is written there. What is ``None`` is not there, or null."""

    project: str
    owner: str
    chapter: str | None
    section: str | None
    path: str
    backend: str | None = None
    upload_id: str | None = None

    @property
    def place(self) -> Place:
        return Place(self.project, self.chapter or None, self.section or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unparsable:
    """A project that can't be read as JSON with chapters and sections: reported, and never touched."""

    project: str
    owner: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One section is to name other audio: *new* instead of *old*, which is the exact text that stands there.

    ``backend`` and ``upload_id`` are written beside it; ``None`` takes the field away. The same shape leads back.
    """

    chapter: str | None
    section: str | None
    old: str
    new: str
    backend: str | None = None
    upload_id: str | None = None


Rewriting: TypeAlias = Literal["rewritten", "already", "edited", "gone", "conflict", "unparsable"]
"""What became of one ``Change``: ``rewritten`` now; ``already`` as wanted; ``edited``: the section names other audio by
now, which stays; ``gone``: there is no such project or section; ``conflict``: somebody else wrote each time before us;
``unparsable``: the project's data can't be read."""


class References(Protocol):
    """Where an app's projects name their audio. Safe across threads; raises only errors of ``audiostore.errors``."""

    def scan(self, *, owner: str | None = None) -> Iterator[ProjectRow]:
        """Every project, or those of *owner*, each once, paged by key, however many rows the server gives at a time."""
        ...

    def find(self, row: ProjectRow) -> Sequence[Reference] | Unparsable:
        """The references in one project, in the order of the book."""
        ...

    def rewrite(self, project: str, changes: Sequence[Change]) -> Sequence[Rewriting]:
        """Apply *changes* to one project in one write, by compare-and-swap; what became of each, in their order.

        A section is found by its ids, and by its path alone if it has moved; it is changed only if it names exactly
        ``old``. When somebody wrote in between, the project is read afresh and tried again.

        Raises:
            Unavailable: the table can't be reached; what is known to be written is found ``already`` the next time.
        """
        ...

    def close(self) -> None: ...


Outcome: TypeAlias = Literal[
    "waiting",
    "migrated",
    "duplicate",
    "already",
    "no_reference",
    "quota",
    "refused",
    "vanished",
    "changed",
    "unreadable",
    "not_audio",
    "foreign",
    "mismatch",
    "failed",
    "unparsable",
    "rolled_back",
    "kept",
]
"""What became of one file for one owner.

``waiting``: not yet. ``migrated``, and ``duplicate``: migrated, and its bytes equal another migrated file of the owner.
``already``: done in an earlier run. ``no_reference``: no project names it. ``quota``: no room for this owner.
``refused``: a rule of the target (size of one file, type). ``vanished``, ``changed``, ``unreadable``: the source's file
went away, changed while it was copied, or may not be read. ``not_audio``: named by a project, and no audio.
``foreign``: a project of somebody else names it. ``mismatch``: the target holds other bytes than the source.
``failed``: anything else, told by its error. ``unparsable``: a project that can't be read. ``rolled_back``: undone.
``kept``: a copy or an original that is still named by something, so it was not removed.
"""

Copying: TypeAlias = Literal["open", "copied", "done", "left", "undone"]
"""Where an item stands: to be copied; copied, verified and recorded; references rewritten; not possible; undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file of the source for one owner: the unit of work, and of the journal.

    ``address`` is the file's address in the source. ``attempts`` are the ids under which a try may have recorded it,
    ``file`` the one under which it is, ``fence`` the number of the lease: only its holder settles.
    """

    id: str
    address: str
    owner: str
    size: int = 0
    state: Copying = "open"
    outcome: Outcome = "waiting"
    references: tuple[Reference, ...] = ()
    attempts: tuple[str, ...] = ()
    fence: int = 0
    file: str | None = None
    key: str | None = None
    sha256: str | None = None
    detail: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a claimed item; ``fence`` is that of the claim."""

    id: str
    fence: int
    state: Copying
    outcome: Outcome
    size: int = 0
    file: str | None = None
    key: str | None = None
    sha256: str | None = None
    detail: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many items of one outcome there are, their bytes, and how many of them somebody holds."""

    state: Copying
    outcome: Outcome
    items: int
    bytes: int
    leased: int = 0


class Journal(Protocol):
    """What a run has done, so that any number of workers share it and a killed one is taken up again.

    Each method is one decision: atomic, and outliving its process when it returns. Twice is as good as once.
    """

    def plan(self, job: str, items: Sequence[Item]) -> None:
        """Add *items*, known by (job, address, owner).

        One that is there gets the references that it did not have. It begins anew if it was ``left`` or ``undone``, or
        if it was ``done`` and projects name it again: with more references, or with the ``fence`` that it was done
        under, which shows that it was done before projects were looked at. An item without owner goes when one with an
        owner comes.
        """
        ...

    def claim(
        self,
        job: str,
        worker: str,
        *,
        state: Copying,
        limit: int,
        lease: timedelta,
        owner: str | None = None,
        only: str | None = None,
    ) -> Sequence[Item]:
        """Lease up to *limit* items in *state* to *worker*: those it holds already, else others that nobody holds.
        With *owner*, only that owner's; with *only*, none but the item with that id.

        An open item gets a fresh id at the end of its ``attempts``. A lease of someone who has not been heard of is
        over after *lease*. *worker* is ``run/number``: the workers of one run are one process.
        """
        ...

    def beat(self, job: str, worker: str, *, lease: timedelta) -> None:
        """Say that *worker* is alive: its leases last for *lease* from now."""
        ...

    def settle(self, job: str, settled: Sequence[Settled]) -> Sequence[Item]:
        """Write down what became of claimed items, and end their leases; gives them as they are now.

        Left out, and unchanged, is one whose lease went to someone else. A ``migrated`` one whose bytes equal those of
        another item of its owner becomes a ``duplicate``.
        """
        ...

    def items(self, job: str, *, after: str | None = None, limit: int = 500) -> Sequence[Item]:
        """One page of items, in order of id, those after id *after*."""
        ...

    def find(self, job: str, address: str) -> Sequence[Item]:
        """The items of one file: one for each owner."""
        ...

    def counts(self, job: str, *, owner: str | None = None) -> Sequence[Count]:
        """How many items there are, by state and outcome; with *owner*, of that one."""
        ...

    def close(self) -> None: ...
