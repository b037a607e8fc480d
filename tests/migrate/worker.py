"""One process of a migration that others share or kill: ``python worker.py JOURNAL FOLDER``; prints its report."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from audiostore import AudioStore, Unlimited
from audiostore.backends.local import LocalBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.migrate import Migration, ProjectsTable, SQLiteJournal


def migration_in(folder: Path, journal: str) -> tuple[AudioStore, Migration]:
    """Open the scene in *folder*; *journal* is ``sqlite``, or the address of a Postgres for journal and catalog."""
    projects = ProjectsTable.sqlite(folder / "app.db")
    lease = timedelta(seconds=2)
    if journal == "sqlite":
        store = AudioStore.local(folder / "store", quota=Unlimited())
        kept = SQLiteJournal(folder / "journal.db")
        return store, Migration(folder / "uploads", store, projects, kept, lease=lease)
    store = AudioStore(LocalBackend(folder / "store"), PostgresCatalog.connect(journal), quota=Unlimited())
    return store, Migration(folder / "uploads", store, projects, lease=lease)


def main() -> None:
    store, migration = migration_in(Path(sys.argv[2]), sys.argv[1])
    with closing(store), closing(migration):
        steps = migration.run()
        for event in steps:
            if event.step == "copy":
                print(f"{event.done} copied", flush=True)  # noqa: T201
        print(json.dumps(steps.report.as_dict()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
