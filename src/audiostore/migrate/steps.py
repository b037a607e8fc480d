"""What a migration tells while it goes on, and what it has come to in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from audiostore.errors import AudioStoreError
from audiostore.migrate.protocols import Outcome, Rewriting

Step: TypeAlias = Literal["plan", "copy", "rewrite", "erase", "verify", "restore", "remove", "status"]
"""What was done: a plan made, bytes copied (and verified, and recorded), references rewritten, the original erased; a
migrated file verified; references restored, a copy removed; what the journal says told."""

SYMBOLS: Final[dict[str, str]] = {
    "waiting": "+",
    "migrated": "+",
    "duplicate": "+",
    "already": "=",
    "no_reference": "-",
    "rolled_back": "-",
    "kept": "=",
    "changed": "*",
    "mismatch": "*",
}
"""As rclone tells: ``+`` comes to the target, ``=`` is there already, ``-`` is left out or taken away, ``*`` differs,
``!`` could not be done."""

FAILURES: Final[frozenset[Outcome]] = frozenset(
    {
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
    }
)
"""The outcomes that somebody should look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationEvent:
    """One thing that happened to one file of one owner. ``size`` in bytes, ``path`` the address in the source.

    ``done`` and ``total`` count the items of the whole run so far. ``references`` says what became of those of a
    project, ``checked`` how the bytes were verified: ``read`` back, or by the target's ``etag``.
    """

    step: Step
    outcome: Outcome
    path: str
    owner: str = ""
    size: int = 0
    file: str | None = None
    key: str | None = None
    project: str | None = None
    detail: str | None = None
    error: AudioStoreError | None = field(default=None, hash=False)
    references: tuple[Rewriting, ...] = ()
    checked: str | None = None
    done: int = 0
    total: int = 0

    @property
    def symbol(self) -> str:
        """One character for a list, as rclone's."""
        return SYMBOLS.get(self.outcome, "!")

    def as_dict(self) -> dict[str, Any]:
        """Give what is known as JSON can hold it."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "error"}
        told["references"] = list(self.references)
        if self.error is not None:
            told["error"] = type(self.error).__name__
        return {"symbol": self.symbol} | {name: each for name, each in told.items() if each not in (None, [], "")}


class MigrationReport:
    """What a step came to: the five figures, and a count for every outcome.

    ``found`` audio files in the source; ``migrated`` to the target now or earlier; ``failed`` for a reason that
    somebody should look at; ``skipped``, since no project names them; ``megabytes`` moved now, or to be moved.
    ``waiting`` is what is left to do, ``stopped`` why it ended early.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.references: Counter[str] = Counter()
        self.checked: Counter[str] = Counter()
        self.found = 0
        self.projects = 0
        self.bytes = 0
        self.erased = 0
        self.waiting = 0
        self.stopped: str | None = None
        self.error: AudioStoreError | None = None

    @property
    def migrated(self) -> int:
        return self.outcomes["migrated"] + self.outcomes["duplicate"] + self.outcomes["already"]

    @property
    def failed(self) -> int:
        return sum(self.outcomes[each] for each in FAILURES)

    @property
    def skipped(self) -> int:
        return self.outcomes["no_reference"]

    @property
    def megabytes(self) -> float:
        return round(self.bytes / (1024 * 1024), 2)

    @property
    def ok(self) -> bool:
        """Whether all that could be done is done: nothing failed, nothing waits, nothing was stopped."""
        return not self.failed and not self.waiting and self.stopped is None

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return self.ok and not (set(self.outcomes) - {"already", "no_reference"}) and not self.erased

    def as_dict(self) -> dict[str, Any]:
        return {
            "found": self.found,
            "migrated": self.migrated,
            "failed": self.failed,
            "skipped": self.skipped,
            "megabytes": self.megabytes,
            "bytes": self.bytes,
            "projects": self.projects,
            "erased": self.erased,
            "waiting": self.waiting,
            "outcomes": dict(sorted(self.outcomes.items())),
            "references": dict(sorted(self.references.items())),
            "checked": dict(sorted(self.checked.items())),
            "stopped": self.stopped,
        }

    def learn(self, event: MigrationEvent) -> None:
        """Count *event*. A file is migrated when its references have followed, not when it is copied."""
        self.references.update(event.references)
        if event.checked is not None:
            self.checked[event.checked] += 1
        match event.step, event.outcome:
            case "erase", "migrated":
                self.erased += 1
            case "copy", "migrated" | "duplicate":
                self.bytes += event.size
            case "restore", _:
                return
            case "plan", "waiting":
                self.bytes += event.size
                self.outcomes["waiting"] += 1
            case _:
                self.outcomes[event.outcome] += 1


class Steps(Iterator[MigrationEvent]):
    """The events of one step, as they happen. ``report`` is complete when they are over.

    Leaving off in the middle stops the work after what is under way; the next run goes on from there.
    """

    def __init__(self, events: Iterator[MigrationEvent], report: MigrationReport) -> None:
        self._events = events
        self._report = report

    @property
    def report(self) -> MigrationReport:
        """What it came to. Asking for it does what is left to do."""
        for _ in self:
            pass
        return self._report

    @property
    def so_far(self) -> MigrationReport:
        """What it has come to until now."""
        return self._report

    def __next__(self) -> MigrationEvent:
        event = next(self._events)
        self._report.learn(event)
        return event

    def close(self) -> None:
        """Stop, and wait for what is under way."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()
