"""Kill an exporter at random moments until its exports are finished, again and again, by hand:

    python tests/export/kill_loop.py --kills 100

After each kill: nothing of the export is seen, and it waits. At the end of each: it is what an export is that nobody
killed, and nothing else is left. The tests kill at chosen moments (``test_killed.py``).
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from audiostore import AudioStore  # noqa: E402
from audiostore.export import Book, Export, Exports  # noqa: E402
from tests.export.shelf import names_in, pcm, tone  # noqa: E402

EXPORTER = Path(__file__).parent / "exporter.py"
FORMATS = ("wav", "mp3", "m4b")


def main(kills: int, seed: int) -> None:
    """Tell how many kills there were, and how many exports they made."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="audiostore-kills-") as name:
        folder = Path(name)
        environ = {"UPLOAD_FOLDER": str(folder / "uploads"), "EXPORT_FOLDER": str(folder / "exports")}
        with AudioStore.from_env(environ) as store:
            for number in range(8):
                take = tone(folder, 300 + number)
                store.put(take, owner="alice", project="p1", chapter=number % 4, section=number)
            book = Book.from_catalog(store, owner="alice", project="p1", title="Gezeiten")
            exports = Exports.from_env(store, environ)
            whole = exports.run(exports.begin(book, formats=FORMATS, zip=True).id, owner="alice")
            done, killed = 0, 0
            while killed < kills:
                begun = exports.begin(book, formats=FORMATS, zip=True)
                longest = 3.0
                while not _run(begun.id, environ, chance.uniform(0.2, longest)):
                    killed += 1
                    longest += 0.5  # on a busy machine, a process may take that long to begin
                    _is_waiting(exports, exports.get(begun.id, owner="alice"))
                    if chance.random() < 0.3:
                        exports.sweep()
                _is_the_same(exports.get(begun.id, owner="alice"), whole)
                done += 1
                exports.delete(begun.id, owner="alice")
                sys.stdout.write(f"{killed} kills, {done} exports\n")
                sys.stdout.flush()


def _run(id: str, environ: dict[str, str], seconds: float) -> bool:
    """Run an exporter, and kill it after *seconds*; whether it had finished."""
    with subprocess.Popen(
        [sys.executable, EXPORTER, id, "alice", "2"],
        env=environ | {"PATH": "", "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
    ) as exporter:
        try:
            return exporter.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            exporter.kill()
            return False


def _is_waiting(exports: Exports, export: Export) -> None:
    if export.state == "finished":
        return  # killed while it said good-bye
    assert export.state == "waiting", export
    assert export.files == (), export
    assert export.id in {each.id for each in exports.waiting()}


def _is_the_same(export: Export, whole: Export) -> None:
    assert export.state == "finished", export
    assert [each.name for each in export.files] == [each.name for each in whole.files]
    for one, other in zip(export.files, whole.files, strict=True):
        if one.duration is not None:
            assert pcm(one.path) == pcm(other.path), one.name
    folder = export.files[0].path.parent
    assert names_in(folder) == sorted(each.name for each in export.files)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=os.getpid())
    given = parser.parse_args()
    main(given.kills, given.seed)
