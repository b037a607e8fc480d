"""What an upload costs to account for in Postgres, by how many records its owner has, and how many fit in a second

Beside an app's own trigger that sums up all files of the user (tests/postgres/seed), in the same run.

    python benchmarks/postgres_catalog.py [most records] [seconds per row of the throughput]

Postgres is started for it, without fsync: what is measured is the work, and it is the same disk for both. The sizes are
measured in turns, so that whatever else the machine does slows all of them. An upload is reserve + commit for us, and
"look at the quota, insert" for the trigger.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # it starts the tests' Postgres

from audiostore.catalogs.postgres import PostgresCatalog  # noqa: E402
from audiostore.ids import new_id  # noqa: E402
from audiostore.keys import Key  # noqa: E402
from audiostore.models import Place  # noqa: E402
from audiostore.protocols import Request, Written  # noqa: E402
from tests.postgres.databases import Database, Databases, shared_databases  # noqa: E402

OWNER = "aaaaaaaa-0000-4000-8000-000000000001"
WRITTEN = Written(size=1_000, sha256="ab" * 32, content_type="audio/wav")
Upload: TypeAlias = Callable[[], None]


def ours(databases: Databases, count: int) -> Database:
    """Make a database with *count* records of one owner, counted, and as many finished reservations."""
    database = databases.make(databases.applied(databases.supabase()))
    database.run("insert into auth.users (id) values (%s)", OWNER)
    database.run("update audiostore.plans set total = null")
    database.run(f"""
        insert into public.file_uploads (user_id, owner, project_id, chapter, filename, storage_path, backend, size)
        select '{OWNER}', '{OWNER}', 'p' || n % 100, n % 40, 'take.wav', 'audio/' || n || '.wav', 'disk', 1000
        from generate_series(1, {count}) as n
    """)
    database.run(f"""
        insert into audiostore.reservations (id, owner, filename, key, backend, size, charged, state, file_id,
            content_type, metadata, created_at, expires_at, held_until, finished_at)
        select gen_random_uuid(), '{OWNER}', 'take.wav', 'audio/' || n || '.wav', 'disk', 1000, 0, 'committed',
            gen_random_uuid(), 'audio/wav', '{{}}', now(), now(), now(), now()
        from generate_series(1, {count}) as n
    """)
    database.run("vacuum analyze")
    return database


def theirs(databases: Databases, count: int) -> Database:
    """Make a database with *count* records of one user, and a trigger that adds them up for each new one."""
    database = databases.make(databases.hand_made())
    database.run("insert into auth.users (id) values (%s) on conflict do nothing", OWNER)
    database.run("insert into public.user_credits (user_id) values (%s) on conflict do nothing", OWNER)
    database.run("alter table public.file_uploads disable trigger user")
    database.run(f"""
        insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)
        select '{OWNER}', 'p' || n % 100, 'take.wav', 0.01, 'audio/' || n || '.wav'
        from generate_series(1, {count}) as n
    """)
    database.run("alter table public.file_uploads enable trigger user")
    database.run("vacuum analyze")
    return database


def upload_of(catalog: PostgresCatalog, owner: str) -> Upload:
    def upload() -> None:
        file = new_id()
        request = Request(
            id=file,
            owner=owner,
            place=Place("p1", "1", "2"),
            filename="take.wav",
            key=Key(f"{owner}/p1/{file}.wav"),
            backend="disk",
            size=1_000,
            content_type="audio/wav",
            limits=None,
            ttl=timedelta(minutes=15),
            metadata={},
        )
        catalog.commit(catalog.reserve(request).id, WRITTEN, limits=None)

    return upload


def insert_of(database: Database, user: str) -> Upload:
    connection = database.connect()

    def upload() -> None:
        connection.execute(
            "select storage_used_mb, storage_quota_mb from public.user_credits where user_id = %s", [user]
        ).fetchall()
        connection.execute(
            "insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)"
            " values (%s, 'p1', 'take.wav', 0.01, %s)",
            [user, f"{user}/p1/{uuid.uuid4()}.wav"],
        )

    return upload


def in_turns(uploads: Sequence[Upload], rounds: int) -> list[float]:
    """Give the median milliseconds of each."""
    times: list[list[float]] = [[] for _ in uploads]
    for _ in range(rounds):
        for upload, took in zip(uploads, times, strict=True):
            begin = time.perf_counter()
            upload()
            took.append((time.perf_counter() - begin) * 1e3)
    return [statistics.median(each) for each in times]


def growth(databases: Databases, sizes: Sequence[int]) -> None:
    print(f"median ms per upload at {', '.join(f'{size:,}' for size in sizes)} records of the owner", flush=True)
    made = [ours(databases, size) for size in sizes]
    catalogs = [PostgresCatalog.connect(each.dsn) for each in made]
    in_turns([upload_of(each, OWNER) for each in catalogs], 50)
    medians = in_turns([upload_of(each, OWNER) for each in catalogs], 500)
    row("audiostore", medians)
    for catalog, database in zip(catalogs, made, strict=True):
        assert not catalog.audit(OWNER)
        catalog.close()
        database.drop()
    triggered = [theirs(databases, size) for size in sizes]
    row("summing trigger", in_turns([insert_of(each, OWNER) for each in triggered], 30))
    for database in triggered:
        database.drop()


def row(name: str, medians: Sequence[float]) -> None:
    shown = "  ".join(f"{each:9.2f}" for each in medians)
    print(f"{name:<16} {shown}   ratio of last to first {medians[-1] / medians[0]:6.2f}", flush=True)


def throughput(databases: Databases, seconds: float) -> None:
    print("uploads a second by 1, 8 and 32 clients, each with an owner of its own, then all with the same", flush=True)
    with (
        databases.made(databases.applied(databases.supabase())) as mine,
        databases.made(databases.hand_made()) as other,
    ):
        catalog = PostgresCatalog.connect(mine.dsn, connections=32)
        mine.run("update audiostore.plans set total = null")
        for shared in (False, True):
            for clients in (1, 8, 32):
                users = [str(uuid.uuid4()) for _ in range(1 if shared else clients)] * (clients if shared else 1)
                for database in (mine, other):
                    for user in set(users):
                        database.run("insert into auth.users (id) values (%s)", user)
                for user in set(users):
                    other.run("insert into public.user_credits (user_id) values (%s)", user)
                new = rate([upload_of(catalog, user) for user in users], seconds)
                old = rate([insert_of(other, user) for user in users], seconds)
                whose = "one owner " if shared else "own owners"
                print(f"{whose} {clients:3} clients   audiostore {new:7.0f}   summing trigger {old:7.0f}", flush=True)
        catalog.close()


def rate(uploads: Sequence[Upload], seconds: float) -> float:
    counts = [0] * len(uploads)
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < end:
            uploads[number]()
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(uploads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def main(most: int, seconds: float) -> None:
    databases = shared_databases()
    growth(databases, [0, 10_000, most])
    throughput(databases, seconds)


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000,
        float(sys.argv[2]) if len(sys.argv) > 2 else 3.0,
    )
