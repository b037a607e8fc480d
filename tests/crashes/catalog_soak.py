"""Many clients of one catalog fight for the last bytes while processes are killed and connections cut.

    python tests/crashes/catalog_soak.py --catalog postgres --clients 64 --seconds 60

``--catalog`` is ``postgres`` (one of its own is started), ``sqlite`` or ``memory`` (threads only, nothing is killed).
Nobody may ever be over, the ledger must be true in every snapshot, and what was answered must be so in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]  # as a script, it is in no package

from audiostore.errors import Unavailable  # noqa: E402
from audiostore.models import Limits  # noqa: E402
from audiostore.protocols import Catalog  # noqa: E402
from tests.crashes.catalog_clients import LEASE, LIMITS, OWNERS, TTL, Arena, command, play  # noqa: E402

PROCESSES = 4
CUT_EVERY, KILL_EVERY = 0.05, 4.0
PATIENCE = 30.0


@dataclass
class Report:
    clients: int = 0
    seconds: float = 0.0
    acknowledged: int = 0
    refused: int = 0
    doubts: dict[str, int] = field(default_factory=dict[str, int])
    killed: int = 0
    cut: int = 0
    samples: int = 0
    fullest: int = 0
    files: int = 0
    wrong: list[str] = field(default_factory=list[str])


class Soak:
    """Starts the clients, disturbs and watches them, and judges what is left."""

    def __init__(self, arena: Arena, folder: Path, clients: int, cut: Callable[[], int] | None = None) -> None:
        self.report = Report(clients=clients)
        self._arena = arena
        self._folder = folder
        self._cut = cut
        self._stop = folder / "stop"
        self._ended = threading.Event()
        self._catalog: Catalog = arena.open(connections=4)
        self._chance = random.Random(0)
        self._started = 0

    def run(self, seconds: float) -> Report:
        begun = time.monotonic()
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        if self._arena.kind == "memory":
            self._in_threads(seconds)
        else:
            self._in_processes(seconds)
        self._ended.set()
        watcher.join()
        self.report.seconds = round(time.monotonic() - begun, 1)
        self._recover()
        self._judge()
        self._catalog.close()
        return self.report

    def _in_threads(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._stop.touch)
        timer.start()
        play(self._catalog, self._folder, "process", self.report.clients, self._stop)
        timer.join()

    def _in_processes(self, seconds: float) -> None:
        running = [self._start() for _ in range(PROCESSES)]
        begun = time.monotonic()
        next_kill = begun + KILL_EVERY
        while time.monotonic() < begun + (seconds if self._is_full() else seconds + PATIENCE):
            time.sleep(CUT_EVERY)  # the rhythm of disturbance; nothing waits for it
            if self._cut is not None:
                self.report.cut += self._cut()
            if time.monotonic() > next_kill:
                next_kill += KILL_EVERY
                victim = self._chance.randrange(PROCESSES)
                self._end(running[victim], kill=True)
                running[victim] = self._start()
        self._stop.touch()
        for process in running:
            self._end(process, kill=False)

    def _is_full(self) -> bool:
        # Until then nobody had to fight for anything.
        return self.report.fullest > 0.97 * (LIMITS.total or 0)

    def _start(self) -> subprocess.Popen[str]:
        self._started += 1
        threads = self.report.clients // PROCESSES
        words = command(self._arena, self._folder, f"process-{self._started}", threads, self._stop)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)

    def _end(self, process: subprocess.Popen[str], *, kill: bool) -> None:
        if kill:
            process.kill()
            self.report.killed += 1
        _, complaints = process.communicate(timeout=120)
        if process.returncode not in {0, -9}:
            self.report.wrong.append(f"a process ended with {process.returncode}: {complaints[-500:]}")

    def _watch(self) -> None:
        while not self._ended.is_set():
            for owner in OWNERS:
                try:
                    usage, drift = self._catalog.usage(owner, Limits()), self._catalog.audit(owner)
                except Unavailable as error:
                    self.report.wrong.append(f"the watcher was turned away: {error}")
                    continue
                self.report.samples += 1
                self.report.fullest = max(self.report.fullest, usage.used + usage.reserved)
                if usage.used + usage.reserved > (LIMITS.total or 0):
                    self.report.wrong.append(f"{owner} is over: {usage}")
                self.report.wrong += [f"drift: {each}" for each in drift]
            self._ended.wait(0.005)

    def _recover(self) -> None:
        """Sweep until nothing is left of the dead; their reservations live for as long as ``TTL``."""
        deadline = time.monotonic() + TTL.total_seconds() + LEASE.total_seconds() + PATIENCE
        while time.monotonic() < deadline:
            self._catalog.expire(1000)
            while claimed := self._catalog.claim(1000, LEASE):
                self._catalog.forget([each.id for each in claimed])
            if not any(self._catalog.pending(owner) for owner in OWNERS) and not self._hidden():
                return
            time.sleep(0.1)  # the ttl is real time
        self.report.wrong.append("the dead left something that no sweep removes")

    def _hidden(self) -> bool:
        return any(self._catalog.usage(owner, Limits()).used != sum(self._listed(owner).values()) for owner in OWNERS)

    def _listed(self, owner: str) -> dict[str, int]:
        return {each.id: each.size for each in self._catalog.list(owner, limit=100_000)}

    def _judge(self) -> None:
        there = {file: size for owner in OWNERS for file, size in self._listed(owner).items()}
        self.report.files = len(there)
        possible: dict[str, set[int | None]] = {}
        for log in self._folder.glob("process*.log"):
            for line in log.read_text().splitlines():
                self._take(json.loads(line), possible)
        for file in {*there, *possible}:
            if there.get(file) not in possible.get(file, {None}):
                self.report.wrong.append(f"{file} is {there.get(file)}, and may be {possible.get(file)}")
        for owner in OWNERS:
            usage, listed = self._catalog.usage(owner, Limits()), self._listed(owner)
            if (usage.used, usage.reserved, usage.files, usage.pending) != (sum(listed.values()), 0, len(listed), 0):
                self.report.wrong.append(f"{owner} has {sum(listed.values())} in {len(listed)} files, but {usage}")
        self.report.wrong += [f"drift in the end: {each}" for each in self._catalog.audit()]

    def _take(self, said: dict[str, Any], possible: dict[str, set[int | None]]) -> None:
        if "failed" in said:
            self.report.wrong.append(said["failed"])
        elif "refused" in said:
            self.report.refused += 1
        elif "doubt" in said:
            self.report.doubts[said["doubt"]] = self.report.doubts.get(said["doubt"], 0) + 1
        elif "may" in said:
            possible.setdefault(said["file"], {None}).add(said["may"])
        else:
            self.report.acknowledged += 1
            possible[said["file"]] = {said["is_"]}


def soak(kind: str, clients: int, seconds: float) -> Report:
    """Run against a catalog of this kind, made for it."""
    with tempfile.TemporaryDirectory(prefix="audiostore-soak-") as folder:
        if kind == "postgres":
            from tests.postgres.arena import postgres_arena

            with postgres_arena() as (dsn, cut):
                return Soak(Arena(kind, dsn), Path(folder), clients, cut).run(seconds)
        return Soak(Arena(kind, folder), Path(folder), clients).run(seconds)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", choices=("postgres", "sqlite", "memory"), default="postgres")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args(words)
    report = soak(asked.catalog, asked.clients, asked.seconds)
    sys.stdout.write(json.dumps(asdict(report) | {"wrong": report.wrong[:20]}, indent=2) + "\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
