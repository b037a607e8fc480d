"""Kill the workers of one migration with SIGKILL at random moments, and compare the end with a run that nobody killed.

    python tests/migrate/kill_loop.py --kills 100 --workers 4
    python tests/migrate/kill_loop.py --kills 100 --world cloud

Several processes share one journal; whoever is killed is started again. In the end all must be there once: records,
objects, charges, and what each project says, to the byte, but for the ids that every upload has anew.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]  # as a script, it is in no package

from audiostore import AudioFile, AudioStore, Unlimited  # noqa: E402
from audiostore.backends.supabase import SupabaseBackend  # noqa: E402
from audiostore.catalogs.postgres import PostgresCatalog  # noqa: E402
from audiostore.migrate import Migration, ProjectsTable, SQLiteJournal  # noqa: E402
from audiostore.migrate.documents import Fields, Unreadable, edited, sections_of  # noqa: E402
from audiostore.reports import SweepReport  # noqa: E402
from tests.migrate.apps import SqliteApp  # noqa: E402
from tests.migrate.live_app import LiveApp, generate  # noqa: E402

LEASE: Final = timedelta(seconds=2)
PATIENCE: Final = 60.0
"""Seconds that the sweeps may take until nothing is left of the dead; a reservation lives for two."""


@dataclass
class Report:
    kills: int = 0
    runs: int = 0
    files: int = 0
    records: int = 0
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict[str, int])
    wrong: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, kw_only=True)
class World:
    """One live app in a folder of its own, and where its files are to go: a disk, or a Supabase that is served."""

    folder: Path
    url: str | None = None
    key: str = ""

    @property
    def uploads(self) -> Path:
        return self.folder / "uploads"

    def make(self, files: int) -> LiveApp:
        self.uploads.mkdir(parents=True)
        live = generate(self.uploads, files=files, projects=max(10, files // 10), owners=max(4, files // 200))
        SqliteApp(self.folder / "app.sqlite3").add(live.rows)
        return live

    def store(self) -> AudioStore:
        ttl = timedelta(seconds=2)
        if self.url is None:
            return AudioStore.local(self.folder / "new", quota=Unlimited(), secret="0" * 32, ttl=ttl)
        return AudioStore(
            SupabaseBackend(self.url, self.key, "audio-files"),
            PostgresCatalog.from_supabase(self.url, self.key),
            ttl=ttl,
        )

    def migrate(self, workers: int) -> dict[str, int]:
        """Run it until nothing waits; gives the outcomes."""
        with self.store() as store:
            migration = Migration(
                self.uploads,
                store,
                ProjectsTable.sqlite(self.folder / "app.sqlite3"),
                SQLiteJournal(self.folder / "journal.db"),
                workers=workers,
                lease=LEASE,
            )
            report = migration.run().report
            migration.close()
        if report.stopped is not None or report.waiting:
            raise SystemExit(f"stopped: {report.stopped}, {report.waiting} waiting")
        return dict(report.outcomes)

    def end(self) -> tuple[dict[str, Any], list[str]]:
        """Give what there is in the end, without the ids, and what does not agree with itself."""
        with self.store() as store:
            records = list(_records(store))
            owners = sorted({each.owner for each in records})
            wrong = _settled(store, owners)
            stored = {each.key: _digest(store, each) for each in records}
            wrong += [f"other bytes: {each.filename}" for each in records if stored[each.key] != each.sha256]
            objects = [each.key for each in store.backend.list()]
            wrong += [f"an object too many: {each}" for each in objects if each not in stored]
            usage = {owner: asdict(store.usage(owner)) for owner in owners}
        facts = ("owner", "project", "chapter", "section", "filename", "size", "sha256", "content_type", "backend")
        ids = {each.id: f"{each.owner} {each.sha256}" for each in records}
        return {
            "records": sorted(json.dumps({name: getattr(each, name) for name in facts}) for each in records),
            "usage": json.loads(json.dumps(usage, default=str)),
            "projects": {
                project: _without_ids(text or "", ids)
                for project, text in SqliteApp(self.folder / "app.sqlite3", new=False).texts().items()
            },
        }, wrong


def _records(store: AudioStore) -> Generator[AudioFile]:
    page = store.catalog.list(None)
    while page:
        yield from page
        page = store.catalog.list(None, after=page[-1].id)


def _digest(store: AudioStore, file: AudioFile) -> str:
    with store.backends[file.backend].read(file.key) as stream:
        return sha256(b"".join(stream)).hexdigest()


def _settled(store: AudioStore, owners: Sequence[str]) -> list[str]:
    """Sweep until nothing is left of those who died, as a cron job does; tell what stays."""
    deadline = time.monotonic() + PATIENCE
    while True:
        swept = store.sweep()
        left = [f"{each}" for each in store.audit().drift]
        left += [f"pending: {each.key}" for owner in owners for each in store.catalog.pending(owner)]
        if not left and swept == SweepReport():
            return []
        if time.monotonic() > deadline:
            return left or [f"never settled: {swept}"]
        time.sleep(0.5)


def _without_ids(text: str, ids: Mapping[str, str]) -> str:
    """Give a project with whose and which bytes each section plays instead of the id and key of the copy."""
    try:
        sections = sections_of(text)
    except Unreadable:
        return text
    plain = {
        number: Fields(path=ids[each.upload], backend=each.backend, upload="id")
        for number, each in enumerate(sections)
        if each.upload is not None and each.upload in ids
    }
    return edited(text, plain)


class KillLoop:
    """Starts workers, and kills them."""

    def __init__(self, world: World, *, workers: int, seed: int) -> None:
        self.report = Report()
        self._world = world
        self._workers = workers
        self._chance = random.Random(seed)

    def run(self, kills: int) -> None:
        pids = [self._start() for _ in range(self._workers)]
        while self.report.kills < kills:
            time.sleep(self._chance.uniform(0.02, 0.4))
            victim = self._chance.randrange(len(pids))
            os.kill(pids[victim], signal.SIGKILL)
            _, status = os.waitpid(pids[victim], 0)
            if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
                self.report.wrong.append(f"a worker ended by itself: {status}")
                break
            self.report.kills += os.WIFSIGNALED(status)
            if not os.WIFSIGNALED(status):
                break  # all is done: there is nobody left to kill
            pids[victim] = self._start()
        for pid in pids:
            try:
                _, status = os.waitpid(pid, 0)
            except ChildProcessError:
                continue
            if os.waitstatus_to_exitcode(status) != 0:
                self.report.wrong.append(f"a worker that nobody killed failed: {status}")

    def _start(self) -> int:
        self.report.runs += 1
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self._world.migrate(workers=2)
                code = 0
            except BaseException as error:  # noqa: BLE001 - it is told, and this process is over
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
            finally:
                os._exit(code)
        return pid


@contextmanager
def _supabase() -> Generator[tuple[str, str]]:
    command = [sys.executable, "-m", "audiostore", "fake", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        facts = json.loads(served.stdout.readline())
        try:
            yield facts["url"], facts["service_key"]
        finally:
            served.terminate()


@contextmanager
def _world(kind: str, folder: Path) -> Generator[World]:
    if kind == "disk":
        yield World(folder=folder)
        return
    with _supabase() as (url, key):
        yield World(folder=folder, url=url, key=key)


def loop(kind: str, folder: Path, *, files: int, kills: int, workers: int, seed: int) -> Report:
    """Migrate the same app twice, once with kills; tell what is not the same."""
    begun = time.monotonic()
    with _world(kind, folder / "quiet") as quiet:
        quiet.make(files)
        quiet.migrate(workers=4)
        expected, wrong = quiet.end()
    with _world(kind, folder / "killed") as killed:
        killed.make(files)
        killer = KillLoop(killed, workers=workers, seed=seed)
        killer.run(kills)
        report = killer.report
        report.outcomes = killed.migrate(workers=4)
        found, more = killed.end()
    report.wrong += [*wrong, *more]
    for part, facts in expected.items():
        if facts != found[part]:
            report.wrong.append(f"{part} are not the same: {_difference(facts, found[part])}")
    report.files, report.records = files, len(found["records"])
    report.seconds = round(time.monotonic() - begun, 1)
    return report


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, dict):
        before, after = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        names = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        return str([(name, before.get(name), after.get(name)) for name in names[:2]])
    missing, new = ([each for each in a if each not in b][:3] for a, b in ((one, other), (other, one)))
    return f"missing {missing}, new {new}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--files", type=int, default=0, help="default: enough for so many kills")
    parser.add_argument("--world", choices=["disk", "cloud"], default="disk")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="audiostore-kill-"))
    try:
        report = loop(
            given.world,
            folder,
            files=given.files or given.kills * 40,
            kills=given.kills,
            workers=given.workers,
            seed=given.seed,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps({"seed": given.seed, **asdict(report)}, indent=2) + "\n")
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
