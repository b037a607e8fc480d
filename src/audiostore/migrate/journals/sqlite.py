"""A journal in one SQLite file, for any number of processes of one machine."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from audiostore.catalogs.sqlite.connections import Connections
from audiostore.errors import from_os_error
from audiostore.ids import new_id
from audiostore.migrate.journals import wire
from audiostore.migrate.journals.rules import may_be_twin, merged, settle
from audiostore.migrate.protocols import Copying, Count, Item, Settled

_FIELDS = "id, address, owner, size, state, outcome, refs, attempts, fence, file, key, sha256, detail, facts"
_JSON = frozenset({"references", "attempts", "facts"})


class SQLiteJournal:
    """Keep what a migration has done in the file *path*, which is made when it is first used.

    A process that dies leaves its leases, and the next one that claims takes them over at once: beside the file, each
    process holds a lock on one of its own as long as it lives.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: timedelta = timedelta(seconds=30)) -> None:
        self.path = Path(path)
        self._files = Connections(self.path, timeout.total_seconds(), _scripts())
        self._alive: dict[str, int] = {}
        self._guard = threading.Lock()
        weakref.finalize(self, _let_go, self._alive, os.getpid())
        weakref.finalize(self, self._files.abandon)

    def plan(self, job: str, items: Sequence[Item]) -> None:
        with self._files.writing(durable=True) as at:
            there = self._by_address(at, job, {each.address for each in items})
            for item in items:
                if item.owner:
                    at.execute("DELETE FROM items WHERE job = ? AND address = ? AND owner = ''", (job, item.address))
                known = there.get((item.address, item.owner))
                if known is None:
                    _insert(at, job, item)
                elif (now := merged(known, item)) is not known:
                    _update(at, now, lease=True)

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
        self._live(worker)
        with self._files.writing(durable=False) as at:
            held = at.execute(
                f"SELECT {_FIELDS} FROM items WHERE job = ? AND worker = ? AND state = ?"  # noqa: S608
                " AND id = coalesce(?, id) LIMIT ?",
                (job, worker, state, only, limit),
            ).fetchall()
            if held:
                return [_item(row) for row in held]
            rows = _free(at, (job, state, owner, only, limit))
            if not rows and self._bury(at, job):
                rows = _free(at, (job, state, owner, only, limit))
            return [_lease(at, _item(row), worker, lease) for row in rows]

    def beat(self, job: str, worker: str, *, lease: timedelta) -> None:
        with self._files.writing(durable=False) as at:
            at.execute("UPDATE items SET leased_until = ? WHERE worker = ? AND job = ?", (_after(lease), worker, job))

    def settle(self, job: str, settled: Sequence[Settled]) -> Sequence[Item]:
        told: list[Item] = []
        # What a power cut takes of this is found out again: the record itself is durable.
        with self._files.writing(durable=False) as at:
            for each in settled:
                row = at.execute(
                    f"SELECT {_FIELDS} FROM items WHERE id = ? AND job = ? AND fence = ? AND worker IS NOT NULL",  # noqa: S608
                    (each.id, job, each.fence),
                ).fetchone()
                if row is None:
                    continue
                item = _item(row)
                item = settle(item, each, twin=may_be_twin(each) and _has_twin(at, job, item, each))
                _update(at, item)
                told.append(item)
        return told

    def items(self, job: str, *, after: str | None = None, limit: int = 500) -> Sequence[Item]:
        if not self.path.exists():
            return []  # a look must not make a file
        with self._files.reading() as at:
            query = f"SELECT {_FIELDS} FROM items WHERE job = ? AND id > ? ORDER BY id LIMIT ?"  # noqa: S608
            return [_item(row) for row in at.execute(query, (job, after or "", limit))]

    def find(self, job: str, address: str) -> Sequence[Item]:
        if not self.path.exists():
            return []
        with self._files.reading() as at:
            return list(self._by_address(at, job, {address}).values())

    def counts(self, job: str, *, owner: str | None = None) -> Sequence[Count]:
        if not self.path.exists():
            return []
        with self._files.reading() as at:
            rows = at.execute(
                "SELECT state, outcome, count(*), coalesce(sum(size), 0), sum(worker IS NOT NULL) FROM items"
                " WHERE job = ? AND owner = coalesce(?, owner) GROUP BY state, outcome ORDER BY state, outcome",
                (job, owner),
            ).fetchall()
        return [Count(state=row[0], outcome=row[1], items=row[2], bytes=row[3], leased=row[4]) for row in rows]

    def close(self) -> None:
        self._files.close()
        _let_go(self._alive, os.getpid())

    @staticmethod
    def _by_address(at: sqlite3.Connection, job: str, addresses: Iterable[str]) -> dict[tuple[str, str], Item]:
        query = f"SELECT {_FIELDS} FROM items WHERE job = ? AND address IN (SELECT value FROM json_each(?))"  # noqa: S608
        found = [_item(row) for row in at.execute(query, (job, json.dumps(sorted(addresses))))]
        return {(each.address, each.owner): each for each in found}

    def _live(self, worker: str) -> None:
        """Hold a lock that lasts as long as this process: by it the others see that it lives."""
        run = _run_of(worker)
        with self._guard:
            if run in self._alive:
                return
            try:
                handle = os.open(self._lock_of(run), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise from_os_error(error, str(self.path)) from error
            self._alive[run] = handle

    def _bury(self, at: sqlite3.Connection, job: str) -> bool:
        """End the leases of processes that are gone, and of those not heard of for too long; tell if there were any."""
        late = at.execute("UPDATE items SET worker = NULL WHERE job = ? AND leased_until <= ?", (job, _now())).rowcount
        rows = at.execute("SELECT DISTINCT worker FROM items WHERE job = ? AND worker IS NOT NULL", (job,)).fetchall()
        dead = [worker for (worker,) in rows if self._is_dead(_run_of(worker))]
        for worker in dead:
            at.execute("UPDATE items SET worker = NULL WHERE job = ? AND worker = ?", (job, worker))
        return bool(dead) or late > 0

    def _is_dead(self, run: str) -> bool:
        if run in self._alive:
            return False
        path = self._lock_of(run)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            path.unlink(missing_ok=True)
            return True
        finally:
            os.close(handle)

    def _lock_of(self, run: str) -> Path:
        return self.path.with_name(f"{self.path.name}-{run}.lock")


def _free(at: sqlite3.Connection, wanted: tuple[Any, ...]) -> list[Any]:
    return at.execute(
        f"SELECT {_FIELDS} FROM items WHERE job = ? AND state = ? AND worker IS NULL"  # noqa: S608
        " AND owner = coalesce(?, owner) AND id = coalesce(?, id) ORDER BY turn, id LIMIT ?",
        wanted,
    ).fetchall()


def _lease(at: sqlite3.Connection, item: Item, worker: str, lease: timedelta) -> Item:
    attempts = (*item.attempts, new_id()) if item.state == "open" else item.attempts
    at.execute(
        "UPDATE items SET worker = ?, leased_until = ?, fence = fence + 1, attempts = ? WHERE id = ?",
        (worker, _after(lease), json.dumps(attempts), item.id),
    )
    return wire.read_item(wire.write_item(item) | {"attempts": attempts, "fence": item.fence + 1})


def _has_twin(at: sqlite3.Connection, job: str, item: Item, settled: Settled) -> bool:
    query = (
        "SELECT 1 FROM items WHERE job = ? AND owner = ? AND sha256 = ? AND id <> ?"
        " AND state IN ('copied', 'done') AND outcome = 'migrated' LIMIT 1"
    )
    return at.execute(query, (job, item.owner, settled.sha256, item.id)).fetchone() is not None


def _insert(at: sqlite3.Connection, job: str, item: Item) -> None:
    row = _row(item)
    names = ["job", *row]
    marks = ", ".join("?" * len(names))
    at.execute(f"INSERT INTO items ({', '.join(names)}) VALUES ({marks})", (job, *row.values()))  # noqa: S608


def _update(at: sqlite3.Connection, item: Item, *, lease: bool = False) -> None:
    """Write *item* as it is now; its *lease* goes on or ends."""
    row = _row(item)
    sets = ", ".join([f"{name} = ?" for name in row] + ([] if lease else ["worker = NULL"]))
    at.execute(f"UPDATE items SET {sets} WHERE id = ?", (*row.values(), item.id))  # noqa: S608


def _row(item: Item) -> dict[str, Any]:
    told = wire.write_item(item)
    texts = {("refs" if name == "references" else name): json.dumps(told.pop(name)) for name in _JSON}
    return told | texts | {"turn": wire.order_of(item)}


def _item(row: Sequence[Any]) -> Item:
    told: Mapping[str, Any] = dict(zip(_FIELDS.split(", "), row, strict=True))
    lists = {"references": told["refs"], "attempts": told["attempts"], "facts": told["facts"]}
    return wire.read_item({**told, **{name: json.loads(text) for name, text in lists.items()}})


def _run_of(worker: str) -> str:
    return worker.partition("/")[0]


def _now() -> int:
    return time.time_ns() // 1000


def _after(lease: timedelta) -> int:
    return _now() + round(lease.total_seconds() * 1_000_000)


def _let_go(alive: dict[str, int], pid: int) -> None:
    while alive and pid == os.getpid():
        os.close(alive.popitem()[1])


def _scripts() -> Sequence[str]:
    return [(resources.files("audiostore.migrate.journals") / "sqlite.sql").read_text("utf-8")]
