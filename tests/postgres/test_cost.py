"""What a decision reads does not grow with the files of its owner: pages, not seconds, so that it can be tested."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audiostore.catalogs.memory import MemoryCatalog
from audiostore.catalogs.postgres import codec
from audiostore.models import Limits, Place
from audiostore.protocols import Written
from audiostore.testing.customer import Customer
from tests.postgres.databases import Connection, Database

FILES = 20_000


def pages(connection: Connection, method: codec.Method[Any], **arguments: Any) -> int:
    """Call, and count the pages that it looked at."""
    request = json.dumps(codec.write_request(method, arguments))
    query = f"explain (analyze, buffers, format json) select public.{codec.PREFIX}{method.name}(%s)"
    ((plans,),) = connection.execute(query.encode(), [request]).fetchall()
    plan: dict[str, int] = plans[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def fill(database: Database, owner: str) -> None:
    database.run(
        f"""
        insert into public.file_uploads (owner, project_id, chapter, filename, storage_path, backend, size)
        select %s, 'p' || n %% 10, n %% 40, 'take.wav', 'audio/' || n || '.wav', 'disk', 10
        from generate_series(1, {FILES}) as n
        """,
        owner,
    )
    database.run(
        f"""
        insert into audiostore.reservations (id, owner, filename, key, backend, size, charged, state, file_id,
            content_type, metadata, created_at, expires_at, held_until, finished_at)
        select gen_random_uuid(), %s, 'take.wav', 'audio/' || n || '.wav', 'disk', 10, 0, 'committed',
            gen_random_uuid(), 'audio/wav', '{{}}', now(), now(), now(), now()
        from generate_series(1, {FILES}) as n
        """,
        owner,
    )
    database.run("vacuum analyze")


@pytest.mark.slow
def test_no_decision_reads_more_for_an_owner_of_many_files(applied: Database) -> None:
    alice = Customer(MemoryCatalog())  # it only writes her requests
    few = _after_a_while(applied, alice)
    fill(applied, alice.name)
    many = _after_a_while(applied, alice)
    # A deeper index has a page more on the way down.
    assert {name: count for name, count in many.items() if count > 1.5 * few[name] + 10} == {}, (few, many)


def _after_a_while(database: Database, alice: Customer) -> dict[str, int]:
    with database.connect() as connection:
        # By the last of them every plan is made, and general.
        return [_one_of_each(connection, alice) for _ in range(8)][-1]


def _one_of_each(connection: Connection, alice: Customer) -> dict[str, int]:
    request = alice.asks(limits=Limits())
    take = alice.asks(limits=Limits(), replaces=request.id)
    written = Written(size=10, sha256=None, content_type="audio/wav")
    commit = {"written": written, "limits": None, "only_over": None}
    listed = {"owner": alice.name, "after": None, "limit": 1}
    read = {
        "reserve": pages(connection, codec.RESERVE, request=request),
        "commit": pages(connection, codec.COMMIT, reservation=request.id, **commit),
        "reserve a replacement": pages(connection, codec.RESERVE, request=take),
        "commit a replacement": pages(connection, codec.COMMIT, reservation=take.id, **commit),
        "usage": pages(connection, codec.USAGE, owner=alice.name, limits=None),
        "move": pages(connection, codec.MOVE, owner=alice.name, file=request.id, place=Place("p1", "1")),
        "find": pages(connection, codec.FIND, files=[request.id]),
        "find_key": pages(connection, codec.FIND_KEY, key=take.key, backend=None),
        "list": pages(connection, codec.LIST, place=Place(), **listed),
        "list a chapter": pages(connection, codec.LIST, place=Place("p1", "1"), **listed),
        "known": pages(connection, codec.KNOWN, backend=alice.backend, keys=[request.key, take.key]),
        "hide": pages(connection, codec.HIDE, owner=alice.name, files=[request.id]),
        "expire": pages(connection, codec.EXPIRE, limit=10),
    }
    connection.execute("delete from audiostore.removals")
    return read
