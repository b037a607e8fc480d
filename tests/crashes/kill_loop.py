"""Kill processes with SIGKILL at random moments, and look whether anything is lost, left or over.

    python tests/crashes/kill_loop.py --world cloud --kills 1000

Several processes at once, each of several threads, share one store and the quotas of its owners. Each writes
down what it is about to do and what was answered; whatever was answered must be true after its death.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]  # as a script, it is in no package

from audiostore import AudioFile, AudioStore  # noqa: E402
from audiostore.errors import AudioStoreError  # noqa: E402
from tests.crashes.life import OWNERS, Call, Kept, Life  # noqa: E402
from tests.crashes.sites import QUOTA, SITES, Site  # noqa: E402

PROCESSES, THREADS = 3, 3
BATCH = 50
"""Kills between two moments at which everybody is dead and all must agree to the byte."""
PATIENCE = 30.0
"""Seconds that the sweeps may take until nothing is left; a reservation lives for half a second."""


@dataclass
class Report:
    kills: int = 0
    acknowledged: int = 0
    refused: int = 0
    in_doubt: int = 0
    samples: int = 0
    files: int = 0
    slowest_recovery: float = 0.0
    seconds: float = 0.0
    calls: dict[str, int] = field(default_factory=dict[str, int])
    wrong: list[str] = field(default_factory=list[str])


class Slot:
    """What one process after the other works on: the files that its threads were told are stored."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.log = folder / f"slot-{number}.log"
        self.files: dict[int, list[Kept]] = {thread: [] for thread in range(THREADS)}
        self.again: list[Call] = []
        self.pid = 0


class KillLoop:
    """Starts processes, kills them, and compares what they were told with what is there."""

    def __init__(self, site: Site, folder: Path, seed: int) -> None:
        self.report = Report()
        self._site = site
        self._store: AudioStore = site.open("parent")
        self._slots = [Slot(each, folder) for each in range(PROCESSES)]
        self._chance = random.Random(seed)

    def run(self, kills: int) -> Report:
        begun = time.monotonic()
        while self.report.kills < kills:
            for slot in self._slots:
                self._start(slot)
            for _ in range(min(BATCH, kills - self.report.kills) - PROCESSES):
                self._watch(self._chance.uniform(0.01, 0.25))
                slot = self._chance.choice(self._slots)
                self._kill(slot)
                self._start(slot)
            for slot in self._slots:
                self._kill(slot)
            self._recover()
            self._check_bytes()
        self.report.seconds = round(time.monotonic() - begun, 1)
        return self.report

    def _start(self, slot: Slot) -> None:
        slot.log.unlink(missing_ok=True)
        slot.pid = os.fork()
        if slot.pid == 0:
            try:
                Life(self._site, slot.log, slot.number, slot.files, slot.again).live()
            finally:
                os._exit(1)

    def _kill(self, slot: Slot) -> None:
        os.kill(slot.pid, signal.SIGKILL)
        _, status = os.waitpid(slot.pid, 0)
        self._site.bury(f"slot-{slot.number}")
        self.report.kills += 1
        said = self._read(slot)
        if not os.WIFSIGNALED(status):
            self.report.wrong.append(
                f"process {slot.number} ended by itself: {[each for each in said if 'failed' in each]}"
            )
        self._take_over(slot, said)

    def _read(self, slot: Slot) -> Sequence[Mapping[str, Any]]:
        text = slot.log.read_text() if slot.log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def _take_over(self, slot: Slot, said: Sequence[Mapping[str, Any]]) -> None:
        """Apply what was acknowledged; of what was not, find out whether it happened, which now stays so."""
        begun: dict[int, Call] = {}
        for each in said:
            if "begun" in each:
                call = _call(each["begun"])
                begun[call.thread] = call
            elif "refused" in each:
                begun.pop(each["refused"])
                self.report.refused += 1
            elif "done" in each:
                call = begun.pop(each["done"])
                self.report.acknowledged += 1
                self.report.calls[call.verb] = self.report.calls.get(call.verb, 0) + 1
                _apply(slot, call, each["id"])
        slot.again = []
        seen = self._seen(slot)
        for call in begun.values():
            self.report.in_doubt += 1
            happened = _id_of(call, seen)
            if happened is not None:
                _apply(slot, call, happened)
            if call.verb == "put once" and happened is None:
                slot.again.append(call)
        self._compare(slot, seen)

    def _seen(self, slot: Slot) -> Mapping[str, AudioFile]:
        project = f"slot {slot.number}"
        return {each.id: each for owner in OWNERS for each in self._store.list(owner=owner, project=project)}

    def _compare(self, slot: Slot, seen: Mapping[str, AudioFile]) -> None:
        expected = {each.id: _facts_of(each) for files in slot.files.values() for each in files}
        there = {each.id: (each.owner, each.filename, each.size, each.section) for each in seen.values()}
        for each in {*expected, *there}:
            if expected.get(each) != there.get(each):
                self.report.wrong.append(f"file {each}: {expected.get(each)} was told, {there.get(each)} is there")

    def _watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for owner in OWNERS:
                usage = self._store.usage(owner)
                self.report.samples += 1
                if usage.used + usage.reserved > QUOTA:
                    self.report.wrong.append(f"{owner} is above quota: {usage}")
            time.sleep(0.01)  # between two looks; nothing waits for it

    def _recover(self) -> None:
        begun = time.monotonic()
        self._site.pass_time()
        while left := self._left():
            if time.monotonic() - begun > PATIENCE:
                self.report.wrong += left
                break
            time.sleep(0.02)  # the ttl is real time
            self._store.sweep()
        took = time.monotonic() - begun
        self.report.slowest_recovery = round(max(took, self.report.slowest_recovery), 2)

    def _left(self) -> list[str]:
        left = [f"in staging: {each}" for each in self._site.staging()]
        left += [f"reserved by {owner}" for owner in OWNERS if self._store.usage(owner).pending]
        recorded = {each.key for owner in OWNERS for each in self._store.list(owner=owner)}
        stored = self._site.objects()
        left += [f"stored, but not recorded: {each}" for each in stored - recorded]
        left += [f"recorded, but not stored: {each}" for each in recorded - stored]
        for owner in OWNERS:
            used, sizes = self._store.usage(owner).used, [each.size for each in self._store.list(owner=owner)]
            left += [] if used == sum(sizes) else [f"{owner} is charged {used} for {sum(sizes)}"]
        return left or [f"drift: {each}" for each in self._store.audit().drift]

    def _check_bytes(self) -> None:
        self.report.files = 0
        for each in (file for slot in self._slots for files in slot.files.values() for file in files):
            self.report.files += 1
            try:
                if self._store.get(each.id, owner=each.owner) != each.content:
                    self.report.wrong.append(f"wrong bytes: {each}")
            except AudioStoreError as error:
                self.report.wrong.append(f"lost: {each}: {error}")


def _call(said: Mapping[str, Any]) -> Call:
    before, after = (Kept(**said[each]) if said[each] else None for each in ("before", "after"))
    return Call(said["thread"], said["verb"], before, after)


def _apply(slot: Slot, call: Call, id: str) -> None:
    files = slot.files[call.thread]
    if call.before is not None:
        files.remove(call.before)
    if call.after is not None:
        files.append(replace(call.after, id=id))


def _id_of(call: Call, seen: Mapping[str, AudioFile]) -> str | None:
    """Give the id of the file that shows that the call has happened; None if it has not."""
    if call.after is None:
        return "" if call.before is not None and call.before.id not in seen else None
    for each in seen.values():
        if (each.filename, each.section) == (f"{call.after.token}.wav", call.after.section):
            return each.id
    return None


def _facts_of(file: Kept) -> tuple[str, str, int, str]:
    return file.owner, f"{file.token}.wav", file.size, file.section


def run(kills: int, *, world: str = "disk", seed: int | None = None, folder: Path | None = None) -> Report:
    """Run the loop in a folder of its own; in memory if that can be, as a kill takes nothing from the kernel."""
    ram = Path("/dev/shm")
    made = folder or Path(tempfile.mkdtemp(prefix="kill-loop-", dir=ram if os.access(ram, os.W_OK) else None))
    site = SITES[world](made)
    try:
        return KillLoop(site, made, seed if seed is not None else random.randrange(2**32)).run(kills)
    finally:
        site.close()
        if folder is None:
            shutil.rmtree(made)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill processes that use a store, and look what is lost.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--world", choices=SITES, default="disk")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--folder", type=Path, help="where to keep the store (and leave it)")
    asked = parser.parse_args()
    report = run(asked.kills, world=asked.world, seed=asked.seed, folder=asked.folder)
    sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
