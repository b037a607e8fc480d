"""The migration that an app wrote for itself, and ours, over the same live app: what becomes of it, as a table.

    python -m tests.migrate.compare --files 1000 --projects 100 --owners 20

Both run over supabase-py's and our own HTTP against the fake, before a real Postgres in which the app has SQL of its
own; users edit their projects meanwhile. Each runs twice, as one does after a failure.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from audiostore import AudioStore
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.migrate import Migration, SQLiteJournal
from audiostore.models import Override
from audiostore.testing.supabase import FakeSupabase
from tests.migrate.apps import PostgresApp
from tests.migrate.editors import Editors
from tests.migrate.hand_made import hand_made
from tests.migrate.live_app import LiveApp, Stored, Verdict, generate, judge
from tests.postgres.databases import Database, shared_databases

BUCKET: Final = "audio-files"
WORDS: Final = {
    "right": "sections that play what they played, from a copy of their owner's",
    "left": "still name the folder",
    "left (no room)": "still name the folder: an owner without enough room",
    "other": "play something else",
    "foreign": "play somebody else's copy",
    "silent": "play nothing",
    "harmed": "projects or sections harmed",
    "doubled": "objects too many",
    "edits": "edits of users lost",
}


@dataclass(frozen=True, kw_only=True)
class World:
    live: LiveApp
    app: PostgresApp
    fake: FakeSupabase
    database: Database

    def objects(self) -> dict[str, Stored]:
        """Give every object; the first folder of a key is its owner's, by whoever wrote it."""
        keys = self.fake.keys(BUCKET)
        owners = {each.lower(): each for each in self.live.owners}
        return {
            key: Stored(owner=owners[key.split("/")[0].lower()], sha256=sha256(self.fake.read(BUCKET, key)).hexdigest())
            for key in keys
        }


@contextmanager
def world(folder: Path, *, applied: bool, files: int, projects: int, owners: int) -> Generator[World]:
    """Have a live app over Supabase, with the SQL that it made for itself, and with ours on top if *applied*."""
    uploads = folder / "uploads"
    uploads.mkdir(parents=True)
    live = generate(uploads, files=files, projects=projects, owners=owners)
    databases = shared_databases()
    base = databases.hand_made()
    with databases.made(databases.applied(base) if applied else base) as database:
        for owner in live.owners:
            database.run("insert into auth.users (id, email) values (%s, %s)", owner, f"{owner}@example.com")
            database.run("insert into user_credits (user_id) values (%s)", owner)
        fake = FakeSupabase(database=database.dsn_of("authenticator"))
        fake.create_bucket(BUCKET)
        app = PostgresApp(database, (fake.url, fake.service_key))
        app.add(live.rows)
        with fake:
            yield World(live=live, app=app, fake=fake, database=database)
        app.table.close()


def run_hand_made(here: World) -> None:
    from supabase import create_client

    client = create_client(here.fake.url, here.fake.service_key)
    with hand_made(client) as migrator:
        migrator(str(here.live.folder)).run_migration()


def run_ours(here: World) -> None:
    url, key = here.fake.url, here.fake.service_key
    catalog = PostgresCatalog.connect(here.database.dsn)
    for owner, room in here.live.full.items():
        catalog.set_override(owner, Override(total=room))
    with AudioStore(SupabaseBackend(url, key, BUCKET), catalog) as store:
        journal = SQLiteJournal(here.live.folder.parent / "journal.db")
        migration = Migration(here.live.folder, store, here.app.again(), journal)
        assert migration.run().report.stopped is None
        migration.close()


def judged(
    run: Callable[[World], None], here: World, *, times: int = 2, users: int = 2, takes: int | None = None
) -> tuple[Verdict, float, int]:
    """Run it, so many *times* over, while *users* edit; give what became of it, the seconds, and the requests."""
    ids = [project for project, *_ in here.live.rows if project not in here.live.broken]
    start = time.perf_counter()
    with Editors(here.app, ids, users=users, pause=0.01, takes=takes) as editors:
        for _ in range(times):
            run(here)
    seconds = time.perf_counter() - start
    texts = here.app.texts()
    verdict = judge(editors.told(here.live), texts, here.objects())
    verdict.counts["edits"] = len(editors.lost(texts))
    return verdict, seconds, len(here.fake.requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in (("files", 1000), ("projects", 100), ("owners", 20), ("times", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    size = {"files": given.files, "projects": given.projects, "owners": given.owners}
    told: dict[str, tuple[Verdict, float, int]] = {}
    for name, run, applied in (("hand-made", run_hand_made, False), ("audiostore", run_ours, True)):
        with tempfile.TemporaryDirectory() as folder, world(Path(folder), applied=applied, **size) as here:
            wanted = sum(each.address is not None and not each.excuse for each in here.live.played)
            told[name] = judged(run, here, times=given.times)
    sys.stdout.write(f"{given.files} files, {given.projects} projects, {given.owners} owners, {wanted} sections\n")
    sys.stdout.write("".join(f"{line}\n" for line in table(told)))


def table(told: Mapping[str, tuple[Verdict, float, int]]) -> Iterator[str]:
    yield f"| | {' | '.join(told)} |"
    yield f"| --- |{' ---: |' * len(told)}"
    for word, meaning in WORDS.items():
        yield f"| {meaning} | {' | '.join(str(verdict.counts[word]) for verdict, *_ in told.values())} |"
    yield f"| requests | {' | '.join(str(requests) for *_, requests in told.values())} |"
    yield f"| seconds | {' | '.join(f'{seconds:.0f}' for _, seconds, _ in told.values())} |"


if __name__ == "__main__":
    main()
