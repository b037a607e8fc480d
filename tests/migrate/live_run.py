"""A whole live app from one folder to another, while its users edit it; what became of it, as JSON.

python -m tests.migrate.live_run --files 10000 --projects 1000 --owners 50
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from audiostore import AudioStore, Limits
from audiostore.migrate import Migration, SQLiteJournal
from benchmarks._wire import peak
from tests.migrate.apps import SqliteApp
from tests.migrate.editors import Editors
from tests.migrate.live_app import LiveApp, Stored, generate, judge


class Local:
    """A live app in a folder, and the store in another one that its files go to."""

    def __init__(self, folder: Path, *, files: int, projects: int, owners: int) -> None:
        uploads = folder / "uploads"
        uploads.mkdir()
        self.live: LiveApp = generate(uploads, files=files, projects=projects, owners=owners)
        self.app = SqliteApp(folder / "app.sqlite3")
        self.app.add(self.live.rows)
        self.store = AudioStore.local(folder / "new", quota=lambda owner: Limits(total=self.live.full.get(owner)))
        self.migration = Migration(uploads, self.store, self.app.table, SQLiteJournal(folder / "journal.db"))

    def users(self, takes: int | None = None) -> Editors:
        ids = [project for project, *_ in self.live.rows if project not in self.live.broken]
        return Editors(self.app, ids, pause=0.005, takes=takes)

    def objects(self) -> dict[str, Stored]:
        found: dict[str, Stored] = {}
        page = self.store.catalog.list(None)
        while page:
            for each in page:
                digest = sha256(b"".join(self.store.stream(each))).hexdigest()
                found[str(each.key)] = Stored(owner=each.owner, sha256=digest)
            page = self.store.catalog.list(None, after=page[-1].id)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in (("files", 10_000), ("projects", 1_000), ("owners", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        local = Local(Path(folder), files=given.files, projects=given.projects, owners=given.owners)
        before, begun = peak(), time.perf_counter()
        with local.users() as editors:
            report = local.migration.run().report
        seconds, memory = time.perf_counter() - begun, peak() - before
        texts = local.app.texts()
        verdict = judge(editors.told(local.live), texts, local.objects())
        told = {
            "seconds": round(seconds, 1),
            "bytes of memory": memory,
            "report": report.as_dict(),
            "sections and objects": dict(verdict.counts),
            "edits": editors.edits,
            "edits lost": len(editors.lost(texts)),
            "the ledger agrees": local.store.audit().ok,
            "a second run": local.migration.run().report.as_dict()["outcomes"],
        }
        local.store.close()
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
