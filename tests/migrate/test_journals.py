"""One journal protocol, and every store of it: leases, fences, taking over from the dead."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.errors import ConfigurationError
from audiostore.ids import new_id
from audiostore.migrate import MemoryJournal, PostgresJournal, SQLiteJournal
from audiostore.migrate.journals.wire import answer
from audiostore.migrate.protocols import Copying, Count, Item, Journal, Reference, Settled
from tests.postgres.databases import Database, shared_databases

JOB, MINUTE = "a job", timedelta(minutes=1)
KINDS = ("memory", "wire", "sqlite", "postgres")


class OverTheWire:
    """What a fake's database does: each call and answer as JSON."""

    def __init__(self) -> None:
        self._journal = MemoryJournal()

    def call(self, method: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return answer(self._journal, method.removeprefix("migration_"), request)

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    databases = shared_databases()
    with databases.made(databases.applied(databases.supabase())) as database:
        yield database


@pytest.fixture(params=KINDS)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    match request.param:
        case "memory":
            yield MemoryJournal()
        case "wire":
            yield PostgresJournal(PostgresCatalog(OverTheWire()))
        case "sqlite":
            with closing(SQLiteJournal(tmp_path / "journal.db")) as journal:
                yield journal
        case _:
            database: Database = request.getfixturevalue("database")
            database.run("truncate audiostore.migration_items")
            with closing(PostgresJournal.connect(database.dsn)) as journal:
                yield journal


def reference(project: str = "p1", path: str = "/uploads/ü.wav", section: str = "1") -> Reference:
    return Reference(project=project, owner="alice", chapter="1", section=section, path=path)


def item(address: str = "ü.wav", owner: str = "alice", *references: Reference, **others: Any) -> Item:
    return Item(id=new_id(), address=address, owner=owner, size=3, references=references or (reference(),), **others)


def claim(journal: Journal, worker: str = "run/1", state: Copying = "open", **others: Any) -> Sequence[Item]:
    given: dict[str, Any] = {"limit": 10, "lease": MINUTE, **others}
    return journal.claim(JOB, worker, state=state, **given)


def settled(claimed: Item, state: Copying = "copied", **others: Any) -> Settled:
    given: dict[str, Any] = {"outcome": "migrated", **others}
    return Settled(id=claimed.id, fence=claimed.fence, state=state, **given)


def settle(journal: Journal, *now: Settled) -> Sequence[Item]:
    return journal.settle(JOB, now)


def everything(journal: Journal) -> list[Item]:
    return list(journal.items(JOB))


def test_what_is_planned_is_claimed_once(journal: Journal) -> None:
    planned = item(facts={"name": "ü.wav"})
    journal.plan(JOB, [planned])
    journal.plan(JOB, [item()])
    claimed = claim(journal)
    assert [replace(each, attempts=(), fence=0) for each in claimed] == [planned]
    assert len(claimed[0].attempts) == 1
    assert claim(journal, "run/2") == []
    assert journal.find(JOB, "ü.wav")[0].id == planned.id
    assert journal.find(JOB, "other.wav") == []


def test_a_claim_whose_answer_was_lost_gives_the_same_again(journal: Journal) -> None:
    journal.plan(JOB, [item("a"), item("b")])
    assert claim(journal, limit=1) == claim(journal, limit=1)


def test_another_job_has_items_of_its_own(journal: Journal) -> None:
    journal.plan("other", [item()])
    assert everything(journal) == []
    assert claim(journal) == []
    assert journal.counts(JOB) == []


def test_files_of_one_project_are_handed_out_together(journal: Journal) -> None:
    journal.plan(JOB, [item(f"{project}{n}", "alice", reference(project)) for n in range(3) for project in "ab"])
    assert [each.address[0] for each in claim(journal)] == list("aaabbb")


def test_one_owners_items_are_claimed_alone(journal: Journal) -> None:
    journal.plan(JOB, [item("a", "alice"), item("a", "bob")])
    assert [each.owner for each in claim(journal, owner="bob")] == ["bob"]
    assert [each.items for each in journal.counts(JOB, owner="bob")] == [1]


def test_one_item_is_claimed_alone(journal: Journal) -> None:
    first, second = item("a"), item("b")
    journal.plan(JOB, [first, second])
    assert [each.id for each in claim(journal, only=second.id)] == [second.id]


def test_what_is_settled_is_written_down(journal: Journal) -> None:
    journal.plan(JOB, [item(facts={"name": "x"})])
    (claimed,) = claim(journal)
    facts = {"modified": 1_700_000_000_123_456_789}
    now = settled(claimed, size=7, file="f1", key="alice/ü.wav", sha256="ab", facts=facts)
    (told,) = settle(journal, now)
    assert (told.state, told.outcome, told.size, told.file, told.key) == ("copied", "migrated", 7, "f1", "alice/ü.wav")
    assert told.facts == {"name": "x", **facts}
    assert everything(journal) == [told]
    assert journal.counts(JOB) == [Count(state="copied", outcome="migrated", items=1, bytes=7, leased=0)]


def test_what_a_later_step_does_not_say_stays(journal: Journal) -> None:
    journal.plan(JOB, [item()])
    settle(journal, settled(claim(journal)[0], size=7, file="f1", key="k", sha256="ab"))
    (told,) = settle(journal, settled(claim(journal, state="copied")[0], "done", detail="fine"))
    assert (told.state, told.size, told.file, told.key, told.sha256) == ("done", 7, "f1", "k", "ab")
    assert told.detail == "fine"


def test_only_the_holder_of_a_lease_settles(journal: Journal) -> None:
    journal.plan(JOB, [item()])
    (claimed,) = claim(journal, lease=timedelta(0))
    (taken,) = claim(journal, "other/1")
    assert taken.fence > claimed.fence
    assert len(taken.attempts) == 2
    assert settle(journal, settled(claimed)) == []
    assert settle(journal, settled(taken)) != []
    assert settle(journal, settled(taken)) == []


def test_a_heartbeat_keeps_a_lease(journal: Journal) -> None:
    journal.plan(JOB, [item()])
    claim(journal, lease=timedelta(0))
    journal.beat(JOB, "run/1", lease=MINUTE)
    assert claim(journal, "other/1") == []


def test_the_second_of_two_equal_files_is_a_duplicate(journal: Journal) -> None:
    journal.plan(JOB, [item("a"), item("b"), item("a", "bob")])
    first, second, bobs = sorted(claim(journal), key=lambda each: (each.owner, each.address))
    told = [settle(journal, settled(each, sha256="ab"))[0] for each in (first, second, bobs)]
    assert [each.outcome for each in told] == ["migrated", "duplicate", "migrated"]
    for each in claim(journal, state="copied"):
        settle(journal, settled(each, "done", outcome="migrated"))
    assert sorted(each.outcome for each in everything(journal)) == ["duplicate", "migrated", "migrated"]


def test_new_references_are_added_to_what_is_there(journal: Journal) -> None:
    journal.plan(JOB, [item("a", "alice", reference("p1"))])
    (claimed,) = claim(journal)
    journal.plan(JOB, [item("a", "alice", reference("p1"), reference("p2"))])
    (told,) = settle(journal, settled(claimed, file="f"))
    assert [each.project for each in told.references] == ["p1", "p2"]


@pytest.mark.parametrize(("state", "again"), [("left", True), ("undone", True), ("copied", False), ("done", True)])
def test_a_plan_begins_anew_what_is_to_be_done_again(journal: Journal, state: Copying, again: bool) -> None:
    journal.plan(JOB, [item()])
    (was,) = settle(journal, settled(claim(journal)[0], state, outcome="failed", detail="why"))
    journal.plan(JOB, [replace(item(), fence=was.fence)])
    (now,) = everything(journal)
    assert now.state == ("open" if again else state)
    assert now.outcome == ("waiting" if again else "failed")


@pytest.mark.parametrize("more", [False, True])
def test_what_was_done_while_a_plan_was_made_begins_anew_only_for_new_references(journal: Journal, more: bool) -> None:
    journal.plan(JOB, [item("a", "alice", reference("p1"))])
    settle(journal, settled(claim(journal)[0], "done"))
    named = [reference("p1"), *([reference("p2")] if more else [])]
    journal.plan(JOB, [item("a", "alice", *named)])
    (now,) = everything(journal)
    assert now.state == ("open" if more else "done")
    assert now.references == tuple(named)


def test_what_is_done_and_named_by_nobody_stays_done(journal: Journal) -> None:
    journal.plan(JOB, [item()])
    settle(journal, settled(claim(journal)[0], "done"))
    journal.plan(JOB, [replace(item(), references=())])
    assert everything(journal)[0].state == "done"


def test_a_file_that_nobody_named_becomes_somebodys(journal: Journal) -> None:
    nobodys = replace(item("a", ""), references=(), state="left", outcome="no_reference")
    journal.plan(JOB, [nobodys])
    journal.plan(JOB, [replace(nobodys, id=new_id())])
    assert [each.outcome for each in everything(journal)] == ["no_reference"]
    journal.plan(JOB, [item("a", "alice")])
    assert [each.owner for each in everything(journal)] == ["alice"]


def test_pages_follow_one_another(journal: Journal) -> None:
    journal.plan(JOB, [item(f"{n}") for n in range(7)])
    first = journal.items(JOB, limit=4)
    second = journal.items(JOB, after=first[-1].id, limit=4)
    assert [each.address for each in (*first, *second)] == [f"{n}" for n in range(7)]


def test_looking_makes_no_file(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "journal.db")
    assert (journal.items(JOB), journal.find(JOB, "a"), journal.counts(JOB)) == ([], [], [])
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_is_dropped_closes_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Held here, so that it is the journal that closes them: Python 3.13 warns of those that are merely forgotten.
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def connect_and_hold(*words: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*words, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connect_and_hold)
    journal = SQLiteJournal(tmp_path / "journal.db")
    journal.plan(JOB, [item("a")])
    assert len(list(journal.items(JOB))) == 1
    del journal
    gc.collect()
    assert opened
    for each in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            each.execute("SELECT 1")
    assert [each.name for each in tmp_path.iterdir()] == ["journal.db"]


_DIES = """
import os, sys, time
from datetime import timedelta
from audiostore.migrate import SQLiteJournal
journal = SQLiteJournal(sys.argv[1])
assert journal.claim("a job", "dead/1", state="open", limit=1, lease=timedelta(days=1))
print("claimed", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_held_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SQLiteJournal(path)
    journal.plan(JOB, [item("a")])
    with subprocess.Popen([sys.executable, "-c", _DIES, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert claim(journal) == []
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert [each.address for each in claim(journal)] == ["a"]
    journal.close()
    assert [each.name for each in tmp_path.iterdir() if "dead" in each.name] == []


def test_a_journal_is_no_catalog_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all, by any means, even if it is long enough for a page")
    with pytest.raises((ConfigurationError, OSError)):
        SQLiteJournal(tmp_path / "x.db").plan(JOB, [item()])
