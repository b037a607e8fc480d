"""Let a whole migration meet every fault on each of its roads, and look whether the next run makes it whole.

    python tests/migrate/faults.py

The tests take a part of that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]  # as a script, it is in no package

from audiostore import AudioStore  # noqa: E402
from audiostore.backends.supabase import SupabaseBackend  # noqa: E402
from audiostore.catalogs.postgres import PostgresCatalog  # noqa: E402
from audiostore.migrate import Migration, ProjectsTable  # noqa: E402
from audiostore.testing.supabase import FakeSupabase  # noqa: E402
from audiostore.transport import Timeouts  # noqa: E402
from tests.migrate.apps import FakeApp  # noqa: E402
from tests.migrate.scene import sound  # noqa: E402
from tests.supabase.test_faults import FAULTS, HASTY  # noqa: E402

TIMEOUTS: Final = replace(HASTY, total=timedelta(seconds=1), tries=2)
ROADS: Final = (
    "GET /rest/v1/projects",
    "POST /rest/v1/rpc/audiostore_migration_plan",
    "POST /rest/v1/rpc/audiostore_migration_claim",
    "POST /rest/v1/rpc/audiostore_reserve",
    "POST /object/*",
    "GET /object/*",
    "POST /rest/v1/rpc/audiostore_commit",
    "POST /rest/v1/rpc/audiostore_migration_settle",
    "POST /rest/v1/rpc/audiostore_swap_document",
    "POST /rest/v1/rpc/audiostore_migration_counts",
    "POST /rest/v1/rpc/audiostore_migration_items",
)
SELDOM: Final = "POST /rest/v1/rpc/audiostore_migration_beat"
"""A road that only a slow migration takes."""
SOME_FAULTS: Final = ("a lost answer", "lost answers for good")
FILES: Final = ("a.wav", "b.wav", "c.wav")


class Road:
    """Three files of two owners on their way into a bucket, all of it over HTTP."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        for name in FILES:
            (self.uploads / name).write_bytes(sound(name, 60_000))
        self.fake = FakeSupabase()
        self.server = self.fake.serve()
        stack.callback(self.server.stop)
        self.app = FakeApp(self.fake, self.server.url)
        stack.callback(self.app.close)
        self.fake.create_bucket("audio-files")
        self.app.add([("p1", "alice", _project("a.wav", "b.wav")), ("p2", "bob", _project("c.wav", "a.wav"))])
        self._stack = stack
        self.store, self.migration = self._opened(TIMEOUTS)

    def _opened(self, timeouts: Timeouts) -> tuple[AudioStore, Migration]:
        url, key = self.server.url, self.fake.service_key
        backend = SupabaseBackend(url, key, timeouts=timeouts)
        store = AudioStore(backend, PostgresCatalog.from_supabase(url, key, timeouts=timeouts))
        projects = ProjectsTable.supabase(url=url, key=key, timeouts=timeouts)
        migration = Migration(self.uploads, store, projects, workers=2, lease=timedelta(seconds=1))
        self._stack.callback(store.close)
        self._stack.callback(migration.close)
        return store, migration

    def break_on(self, road: str, fault: Mapping[str, Any]) -> str:
        """Meet one fault; what came of the first run in a word."""
        self.fake.fail_next(road, **fault)
        report = self.migration.run().report
        self.fake._faults.clear()  # pyright: ignore[reportPrivateUsage]
        return "done" if report.ok else f"left {report.failed}, stopped: {report.stopped}"

    def complaints(self) -> Iterator[str]:
        """Run once more, now without haste, and compare all there is with what there should be."""
        self.store, self.migration = self._opened(Timeouts())
        report = self.migration.run().report
        if not report.ok or report.migrated != 4:
            yield f"the second run: {report.as_dict()}"
        self.store.sweep()
        audit = self.store.audit()
        if not audit.ok:
            yield f"drift: {audit.drift}"
        if (audit.files, audit.objects) != (4, 4):
            yield f"{audit.files} records and {audit.objects} objects, not 4"
        if self.store.usage("alice").used != 120_000 or self.store.usage("alice").reserved:
            yield f"charged wrongly: {self.store.usage('alice')}"
        if not (verified := self.migration.verify().report).ok or verified.migrated != 4:
            yield f"verified: {verified.as_dict()}"


def _project(*names: str) -> str:
    sections = ", ".join(f'{{"id": {n}, "audioPath": "/uploads/{name}"}}' for n, name in enumerate(names))
    return f'{{"chapters": [{{"id": 1, "sections": [{sections}]}}]}}'


def meet(road: str, fault: str) -> tuple[str, list[str]]:
    """Let a migration meet one *fault* on one *road*; what its run said, and what was wrong after a second one."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        on = Road(Path(folder), stack)
        return on.break_on(road, FAULTS[fault]), list(on.complaints())


def main() -> int:
    parser = argparse.ArgumentParser(description="Every fault on every road of a whole migration.")
    parser.add_argument("--only", default="", help="roads with this in their name")
    wrong, begun = 0, time.monotonic()
    only = parser.parse_args().only
    cells = [(road, fault) for road in ROADS if only in road for fault in FAULTS]
    for road, fault in cells:
        first, complaints = meet(road, fault)
        wrong += bool(complaints)
        print(f"{road:52} {fault:26} {first[:60]:60} {'; '.join(complaints) or 'whole'}", flush=True)  # noqa: T201
    print(f"{len(cells)} cells, {wrong} wrong, {time.monotonic() - begun:.0f} s")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
