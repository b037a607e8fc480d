"""One process of many clients of one catalog, who fight for the last bytes; see ``catalog_soak``.

Each thread writes down what it is about to do, and what it was told, so that its death leaves no doubt unnamed.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TextIO

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]  # as a script, it is in no package

from audiostore.catalogs.memory import MemoryCatalog  # noqa: E402
from audiostore.catalogs.postgres import PostgresCatalog  # noqa: E402
from audiostore.catalogs.sqlite import SQLiteCatalog  # noqa: E402
from audiostore.errors import AlreadyExists, NotFound, QuotaExceeded, ReservationExpired, Unavailable  # noqa: E402
from audiostore.ids import new_id  # noqa: E402
from audiostore.keys import Key  # noqa: E402
from audiostore.models import Limits, Place  # noqa: E402
from audiostore.protocols import Catalog, Request, Written  # noqa: E402
from audiostore.transport import Timeouts  # noqa: E402

OWNERS = ("alice", "bob")
LIMITS = Limits(total=1_000, files=100)
LARGEST = 60
TTL = timedelta(seconds=3)
"""How long the room of a dead upload is kept: longer than a decision takes on a busy machine."""
LEASE = timedelta(seconds=1)
BACKEND = "disk"


@dataclass(frozen=True, slots=True)
class Arena:
    """Which catalog, and where it is: a folder, or a DSN."""

    kind: str
    where: str

    def open(self, connections: int) -> Catalog:
        if self.kind == "postgres":
            # Who is often thrown out comes back quickly, and does not give up soon.
            timeouts = Timeouts(pause=timedelta(milliseconds=5), tries=30, total=timedelta(seconds=60))
            return PostgresCatalog.connect(self.where, connections=connections, timeouts=timeouts)
        if self.kind == "sqlite":
            return SQLiteCatalog(Path(self.where) / "catalog.db", removal_delay=timedelta(0))
        return MemoryCatalog(removal_delay=timedelta(0))


class Client:
    """One thread: stores, replaces, deletes, moves, gives up, leaves lying, and sweeps after others."""

    def __init__(self, catalog: Catalog, log: TextIO, seed: str) -> None:
        self._catalog = catalog
        self._log = log
        self._random = random.Random(seed)
        self._owner = self._random.choice(OWNERS)
        self._mine: list[str] = []

    def run(self, stop: Path) -> None:
        try:
            while not stop.exists():
                self._turn()
        except Exception as error:  # noqa: BLE001 - told to the judge
            self._say(failed=repr(error))

    def _turn(self) -> None:
        file = self._random.choice(self._mine) if self._mine else None
        chance = self._random.random()
        if file is not None and chance < 0.35:
            self._delete(file)
        elif file is not None and chance < 0.5:
            self._put(replaces=file)
        elif file is not None and chance < 0.6:
            self._move(file)
        elif chance < 0.63:
            self._sweep()
        else:
            self._put(replaces=None)

    def _put(self, replaces: str | None) -> None:
        upload, size, fate = new_id(), self._random.randint(1, LARGEST), self._random.random()
        request = Request(
            id=upload,
            owner=self._owner,
            place=Place("p1"),
            filename="take.wav",
            key=Key(f"audio/{upload}.wav"),
            backend=BACKEND,
            size=size,
            content_type="audio/wav",
            limits=LIMITS,
            ttl=TTL,
            metadata={},
            replaces=replaces,
        )
        try:
            self._catalog.reserve(request)
            if fate < 0.1:
                return  # left lying, as if killed
            if fate < 0.2:
                self._catalog.forget([each.id for each in self._catalog.release(upload)])
                return
            self._commit(upload, replaces or upload, self._random.randint(1, size))
        except QuotaExceeded:
            self._say(refused=1)
        except (ReservationExpired, Unavailable) as error:
            self._say(doubt=type(error).__name__)
        except NotFound:
            if replaces in self._mine:
                self._say(failed=f"{replaces} is not found")

    def _commit(self, upload: str, file: str, size: int) -> None:
        self._say(file=file, may=size)
        written = Written(size=size, sha256=None, content_type="audio/wav")
        _, removals = self._catalog.commit(upload, written, limits=LIMITS)
        self._say(file=file, is_=size)
        if file == upload:
            self._mine.append(file)
        self._catalog.forget([each.id for each in removals])

    def _delete(self, file: str) -> None:
        self._mine.remove(file)
        self._say(file=file, may=None)
        try:
            removals = self._catalog.hide(self._owner, [file])
        except Unavailable as error:
            self._say(doubt=type(error).__name__)
            return
        self._say(file=file, is_=None)
        if self._random.random() < 0.9:
            self._catalog.forget([each.id for each in removals])

    def _move(self, file: str) -> None:
        self._catalog.move(self._owner, file, Place("p1", str(self._random.randint(1, 9))))

    def _sweep(self) -> None:
        try:
            self._catalog.expire(20)
            self._catalog.forget([each.id for each in self._catalog.claim(20, LEASE)])
        except (Unavailable, AlreadyExists) as error:
            self._say(doubt=type(error).__name__)

    def _say(self, **facts: object) -> None:
        self._log.write(json.dumps(facts) + "\n")
        self._log.flush()


def play(catalog: Catalog, folder: Path, name: str, threads: int, stop: Path) -> None:
    """Let so many clients play until the file *stop* is there."""

    def run(number: int) -> None:
        with (folder / f"{name}-{number}.log").open("w") as log:
            Client(catalog, log, f"{name}-{number}").run(stop)

    clients = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(threads)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()


def command(arena: Arena, folder: Path, name: str, threads: int, stop: Path) -> Sequence[str]:
    told = json.dumps([asdict(arena), str(folder), name, threads, str(stop)])
    return [sys.executable, str(Path(__file__).resolve()), told]


if __name__ == "__main__":
    told_arena, told_folder, told_name, told_threads, told_stop = json.loads(sys.argv[1])
    shared = Arena(**told_arena).open(told_threads)
    play(shared, Path(told_folder), told_name, told_threads, Path(told_stop))
    shared.close()
