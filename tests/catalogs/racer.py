"""One of several processes that race for one owner's last bytes, or the one that watches them; see ``test_races``.

Prints, as JSON, what it was told: the files that it stored and did not delete, or the samples that it took.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import QuotaExceeded
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Limits, Place
from audiostore.protocols import Request, Written
from tests.catalogs.race_facts import LIMITS, LONG, OWNER, SHORT, STOP, THREADS


class Racer:
    """What one thread does: puts, deletes, replaces, gives up, or leaves things lying, as chance has it."""

    def __init__(self, catalog: SQLiteCatalog, seed: str) -> None:
        self.catalog = catalog
        self.random = random.Random(seed)
        self.mine: dict[str, int] = {}
        self.refused = 0

    def turn(self) -> None:
        file = self.random.choice(list(self.mine)) if self.mine and self.random.random() < 0.6 else None
        if file is not None and self.random.random() < 0.6:
            self.delete(file)
        else:
            self.put(replaces=file)

    def put(self, replaces: str | None) -> None:
        size, fate, upload = self.random.randint(1, 60), self.random.random(), new_id()
        request = Request(
            id=upload,
            owner=OWNER,
            place=Place("p1"),
            filename="take.wav",
            key=Key(f"audio/{upload}.wav"),
            backend="local",
            size=size,
            content_type="audio/wav",
            limits=LIMITS,
            ttl=SHORT if fate < 0.1 else LONG,
            metadata={},
            replaces=replaces,
        )
        try:
            self.catalog.reserve(request)
        except QuotaExceeded:
            self.refused += 1
            return
        if fate < 0.1:
            return  # left lying, as if killed
        if fate < 0.2:
            self.catalog.forget([each.id for each in self.catalog.release(upload)])
            return
        written = self.random.randint(1, size)
        facts = Written(size=written, sha256=None, content_type="audio/wav")
        file, removals = self.catalog.commit(upload, facts, limits=None)
        self.mine[file.id] = written
        self.catalog.forget([each.id for each in removals])

    def delete(self, file: str) -> None:
        removals = self.catalog.hide(OWNER, [file])
        del self.mine[file]
        if self.random.random() < 0.9:
            self.catalog.forget([each.id for each in removals])


def race(catalog: SQLiteCatalog, stop: Path, name: str) -> dict[str, Any]:
    racers = [Racer(catalog, f"{name}-{number}") for number in range(THREADS)]
    failures: list[str] = []

    def run(racer: Racer) -> None:
        try:
            while not stop.exists():
                racer.turn()
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(repr(error))

    threads = [threading.Thread(target=run, args=(racer,)) for racer in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = {file: size for racer in racers for file, size in racer.mine.items()}
    return {"files": files, "refused": sum(racer.refused for racer in racers), "failures": failures}


def watch(catalog: SQLiteCatalog, stop: Path) -> dict[str, Any]:
    samples: list[int] = []
    drift: list[str] = []
    while not stop.exists():
        usage = catalog.usage(OWNER, Limits())
        samples.append(usage.used + usage.reserved)
        drift += [repr(each) for each in catalog.audit()]
        time.sleep(0.001)
    return {"samples": samples, "drift": drift}


if __name__ == "__main__":
    folder, role = Path(sys.argv[1]), sys.argv[2]
    shared = SQLiteCatalog(folder / "catalog.db")
    told = watch(shared, folder / STOP) if role == "watch" else race(shared, folder / STOP, role)
    shared.close()
    json.dump(told, sys.stdout)
