"""What planning a migration costs: with ten times the files and projects, some ten times as much, not a hundred times.

    python -m benchmarks.migrate_plan            # 1,000, 10,000 and 100,000 files
    python -m benchmarks.migrate_plan --quick    # a hundred times fewer

A folder of small files, one project for ten of them, fifty owners; the projects in SQLite, a page of them a query.
Queries are those to the projects and the calls of the catalog. Beside it what a query for each file costs: the same
projects searched with LIKE for a few file names, and multiplied.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from audiostore import AudioStore
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.migrate import Migration, SQLiteJournal
from audiostore.migrate.projects.rows import Rows
from audiostore.protocols import Catalog
from benchmarks._wire import spread
from tests.migrate.apps import SqliteApp
from tests.migrate.live_app import LiveApp, generate

ASKED = 20
"""File names that are searched for one by one."""


class Counting:
    """Any part, and how often each of its methods was called."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return found(*args, **named)

        return call


def plan(folder: Path, live: LiveApp, app: SqliteApp) -> tuple[float, int]:
    """Plan once; give the seconds and the queries."""
    table = app.again()
    rows, catalog = Counting(table._rows), Counting(MemoryCatalog())  # noqa: SLF001 - one call is one query
    table._rows = cast("Rows", rows)  # noqa: SLF001
    store = AudioStore(MemoryBackend(), cast("Catalog", catalog))
    migration = Migration(live.folder, store, table, SQLiteJournal(folder / "journal.db"))
    begin = time.perf_counter()
    report = migration.plan().report
    seconds = time.perf_counter() - begin
    assert report.found >= len(live.wanted)
    migration.close()
    return seconds, rows.calls.total() - rows.calls["close"] + catalog.calls.total()


def search(live: LiveApp, app: SqliteApp) -> float:
    """Search for a few names; give the seconds that all of them would take."""
    names = list(live.digests)[:: max(1, len(live.digests) // ASKED)][:ASKED]
    with closing(sqlite3.connect(app.path)) as connection:
        begin = time.perf_counter()
        for name in names:
            connection.execute("select * from projects where project_data like ?", [f"%{name}%"]).fetchall()
        return (time.perf_counter() - begin) / len(names) * len(live.digests)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=100_000, help="files of the last plan")
    parser.add_argument("--quick", action="store_true", help="10 to 1,000 files")
    options = parser.parse_args()
    print(f"{options.rounds} rounds; least / median / most\n")
    print("| files | projects | seconds | µs a file | queries | a query for each file, seconds |")
    print("|---|---|---|---|---|---|")
    most = 1_000 if options.quick else options.most
    for files in (most // 100, most // 10, most):
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "uploads").mkdir()
            live = generate(
                folder / "uploads", files=files, projects=max(5, files // 10), owners=min(50, files), size=100
            )
            app = SqliteApp(folder / "app.sqlite3")
            app.add(live.rows)
            rounds = [plan(folder, live, app) for _ in range(options.rounds)]
            seconds = [each for each, _ in rounds]
            least = min(seconds) / files * 1e6
            print(
                f"| {files:,} | {len(live.rows):,} | {spread(seconds)} | {least:.0f} | {rounds[0][1]}"
                f" | {search(live, app):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
