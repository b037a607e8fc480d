"""What all steps of one migration share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audiostore.migrate.protocols import Item, Journal, References
from audiostore.migrate.sources.protocol import MigrationSource
from audiostore.store import AudioStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """From where to where, for whom, what names it, and where it is written down."""

    job: str
    source: MigrationSource
    target: AudioStore
    references: References | None
    journal: Journal
    owner: str | None
    in_place: bool

    def items(self) -> Iterator[Item]:
        """Everything the journal knows, in the order in which it was planned; with an owner, only of that one."""
        return (each for each in self.everyones_items() if self.owner in {None, each.owner})

    def everyones_items(self) -> Iterator[Item]:
        """Everything the journal knows, whoever owns it."""
        after = None
        while page := self.journal.items(self.job, after=after):
            yield from page
            after = page[-1].id
