"""What the millionth file of one owner costs to account for, as a ratio to the thousandth: reserve + commit.

    python benchmarks/catalog_growth.py [many records]

Both catalogs are measured in turns, so that whatever else the machine does slows both. With fsync (as it is used),
and without (``synchronous=OFF``), where the cost of the tables shows.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Limits, Place
from audiostore.protocols import Request, Written

OWNER = "alice"
LIMITS = Limits(total=10**15)
ROUNDS = 1_000


def seed(path: Path, count: int) -> SQLiteCatalog:
    """Make a catalog with *count* files of one owner, and as many reservations, faster than ``commit`` could."""
    catalog = SQLiteCatalog(path)
    upload(catalog)
    catalog.close()

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            file = new_id()
            place = f"p{number % 100}", str(number % 40), str(number % 500)
            key = f"{OWNER}/{place[0]}/chapter_{place[1]}/section_{place[2]}/{file}.wav"
            yield (file, *place, key)

    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TEMP TABLE seeds (id, project, chapter, section, key)")
        connection.executemany("INSERT INTO seeds VALUES (?, ?, ?, ?, ?)", rows())
        connection.execute(
            "INSERT INTO records (id, owner, project, chapter, section, filename, key, backend, size, content_type,"
            " created_at, metadata) SELECT id, 'alice', project, chapter, section, 'take.wav', key, 'local', 1000,"
            " 'audio/wav', 0, '{}' FROM seeds"
        )
        connection.execute(
            "INSERT INTO reservations (id, owner, project, chapter, section, filename, key, backend, size, charged,"
            " state, file_id, content_type, metadata, created_at, expires_at, held_until, idempotency_key, finished_at)"
            " SELECT id, 'alice', project, chapter, section, 'take.wav', key, 'local', 1000, 0, 'committed', id,"
            " 'audio/wav', '{}', 0, 0, 0, 'again-' || id, strftime('%s', 'now') * 1000000 FROM seeds"
        )
        connection.execute("UPDATE accounts SET committed = committed + 1000 * ?, files = files + ?", (count, count))
    connection.close()
    return catalog


def upload(catalog: SQLiteCatalog) -> tuple[float, float]:
    """Reserve and commit one file; give the seconds that each took."""
    file = new_id()
    request = Request(
        id=file,
        owner=OWNER,
        place=Place("p1", "1", "2"),
        filename="take.wav",
        key=Key(f"{OWNER}/p1/chapter_1/section_2/{file}.wav"),
        backend="local",
        size=1_000,
        content_type="audio/wav",
        limits=LIMITS,
        ttl=timedelta(minutes=15),
        metadata={},
        idempotency_key=file,
    )
    begin = time.perf_counter()
    catalog.reserve(request)
    reserved = time.perf_counter()
    catalog.commit(file, Written(size=1_000, sha256="ab" * 32, content_type="audio/wav"), limits=LIMITS)
    return reserved - begin, time.perf_counter() - reserved


def measure(title: str, small: SQLiteCatalog, large: SQLiteCatalog) -> float:
    times: dict[SQLiteCatalog, list[float]] = {small: [], large: []}
    for _ in range(ROUNDS):
        for catalog in (small, large):
            times[catalog].append(sum(upload(catalog)) * 1e6)
    few, many = statistics.median(times[small]), statistics.median(times[large])
    print(f"{title}: {few:7.0f} us, then {many:7.0f} us: ratio {many / few:.2f}", flush=True)
    return many / few


def without_fsync(catalog: SQLiteCatalog) -> None:
    upload(catalog)
    for connection in catalog._connections._writers.values():  # noqa: SLF001 - a switch that nobody else needs
        connection.execute("PRAGMA synchronous = OFF")


def main(many: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, large = seed(Path(folder) / "small.db", 1_000), seed(Path(folder) / "large.db", many)
        print(f"reserve + commit at 1,000 and at {many:,} files of one owner, medians of {ROUNDS}")
        ratio = measure("as it is used ", small, large)
        for catalog in (small, large):
            without_fsync(catalog)
        cpu = measure("without fsync ", small, large)
        assert not small.audit(OWNER)
        begin = time.perf_counter()
        assert not large.audit(OWNER)
        print(f"audit of {many:,} files: {time.perf_counter() - begin:.2f} s")
        for catalog in (small, large):
            catalog.close()
    print(f"ratio {ratio:.2f} (aim: at most 1.50), of the tables alone {cpu:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
