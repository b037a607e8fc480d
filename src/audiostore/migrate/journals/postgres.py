"""A journal in Postgres, beside the catalog, for the workers of any number of machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from audiostore.catalogs.postgres import Calls, PostgresCatalog
from audiostore.ids import new_id
from audiostore.migrate.journals import wire
from audiostore.migrate.protocols import Copying, Count, Item, Settled
from audiostore.transport import Timeouts


class PostgresJournal:
    """Keep what a migration has done in the database of *catalog*, over the same way as its accounting.

    The database's clock counts. It needs audiostore's tables: ``audiostore schema apply``.
    """

    def __init__(self, catalog: PostgresCatalog) -> None:
        self._calls: Calls = catalog.calls

    @classmethod
    def connect(cls, dsn: str, *, connections: int = 16, timeouts: Timeouts | None = None) -> PostgresJournal:
        """Talk to any Postgres directly, as ``PostgresCatalog.connect`` does."""
        return cls(PostgresCatalog.connect(dsn, connections=connections, timeouts=timeouts))

    @classmethod
    def from_supabase(cls, url: str | None = None, key: str | None = None, *, client: Any = None) -> PostgresJournal:
        """Call the functions of a Supabase project, as ``PostgresCatalog.from_supabase`` does."""
        return cls(PostgresCatalog.from_supabase(url, key, client=client))

    def plan(self, job: str, items: Sequence[Item]) -> None:
        if items:
            self._ask("plan", job=job, items=[wire.write_item(each) for each in items])

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
        told = self._ask(
            "claim",
            job=job,
            worker=worker,
            state=state,
            limit=limit,
            lease=lease.total_seconds(),
            owner=owner,
            only=only,
            ids=[new_id() for _ in range(limit)] if state == "open" else [],
        )
        return [wire.read_item(each) for each in told]

    def beat(self, job: str, worker: str, *, lease: timedelta) -> None:
        self._ask("beat", job=job, worker=worker, lease=lease.total_seconds())

    def settle(self, job: str, settled: Sequence[Settled]) -> Sequence[Item]:
        if not settled:
            return []
        told = self._ask("settle", job=job, settled=[wire.write_settled(each) for each in settled])
        return [wire.read_item(each) for each in told]

    def items(self, job: str, *, after: str | None = None, limit: int = 500) -> Sequence[Item]:
        return [wire.read_item(each) for each in self._ask("items", job=job, after=after, limit=limit)]

    def find(self, job: str, address: str) -> Sequence[Item]:
        return [wire.read_item(each) for each in self._ask("find", job=job, address=address)]

    def counts(self, job: str, *, owner: str | None = None) -> Sequence[Count]:
        return [wire.read_count(each) for each in self._ask("counts", job=job, owner=owner)]

    def close(self) -> None:
        self._calls.close()

    def _ask(self, method: str, **request: Any) -> Any:
        answer: Mapping[str, Any] = self._calls.call(f"migration_{method}", request)
        return answer["result"]
