"""Break every operation at every step in every way, and let every intruder meet each of its moments; tell what fails.

    python tests/crashes/whole_matrix.py --world cloud

The tests do all of this in memory and on disk; of the slow world on Supabase and Postgres they take a part.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]  # as a script, it is in no package

from tests.crashes.breaking import break_at, plans, record  # noqa: E402
from tests.crashes.operations import OPERATIONS  # noqa: E402
from tests.crashes.test_interleaved import INTRUDERS, meet  # noqa: E402


def cells(world: str, name: str) -> Iterator[tuple[str, Callable[[], object]]]:
    operation = OPERATIONS[name]
    steps = record(world, operation)
    for plan in plans(steps):
        ((step, way),) = plan
        yield f"{way} {step}", partial(break_at, world, operation, plan)
        if operation.repeatable:
            yield f"{way} {step}, then again", partial(break_at, world, operation, plan, again=True)
    if name != "look":
        for step in steps:
            for who, intruder in INTRUDERS.items():
                yield f"{who} {step}", partial(meet, operation, step, intruder, world)


def main() -> int:
    parser = argparse.ArgumentParser(description="Break every operation at every step, in every way.")
    parser.add_argument("--world", choices=["memory", "disk", "cloud"], default="cloud")
    parser.add_argument("operations", nargs="*", help="some of them (default: all)")
    asked = parser.parse_args()
    wrong = 0
    for name in asked.operations or OPERATIONS:
        begun, count = time.monotonic(), 0
        for what, run in cells(asked.world, name):
            count += 1
            try:
                run()
            except AssertionError as error:
                wrong += 1
                sys.stdout.write(f"{name}, {what}: {error}\n")
        sys.stdout.write(f"{name}: {count} cells, {time.monotonic() - begun:.0f} s\n")
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
