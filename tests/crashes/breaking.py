"""Run one operation with faults planned, and check what it left."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any, TypeAlias

from audiostore.errors import AudioStoreError, NotFound
from tests.crashes.faults import (
    AppError,
    Death,
    Fault,
    Faults,
    Late,
    Step,
    carries_bytes,
    error_at,
    raising,
    refusal_at,
)
from tests.crashes.operations import Operation
from tests.crashes.worlds import HOLD, World

Plan: TypeAlias = Sequence[tuple[Step, str]]
"""Steps, and how each is broken: ``"error"``, ``"refusal"``, ``"late"`` or ``"death"``."""

KINDS = ("memory", "disk")
PARTS = ("backend", "catalog", "browser")


def plans(steps: Sequence[Step]) -> Iterator[Plan]:
    """Give every way to break each of *steps* alone."""
    for step, way in product(steps, ("error", "refusal", "late", "death")):
        if way in {"error", "death"} or carries_bytes(step):
            yield [(step, way)]


def fewer(all_plans: Iterator[Plan]) -> Iterator[Plan]:
    """Leave out what a slow world need not repeat.

    That is what the app's own seams do, which is broken in memory; and a death right before a call, which leaves what
    the death right after the call before it leaves.
    """
    for plan in all_plans:
        ((step, way),) = plan
        if step.seam.startswith(PARTS) and (way != "death" or step.when == "after"):
            yield plan


def in_turn(all_plans: Iterator[Plan]) -> Iterator[Plan]:
    """Break each step once: one by an error, the next one by a death, and so on."""
    for number, (_, of_one_step) in enumerate(groupby(all_plans, key=lambda plan: plan[0][0])):
        ways = list(of_one_step)
        yield ways[number % len(ways)]


@dataclass(frozen=True)
class Broken:
    """What a run with faults came to: the steps that were broken, and those that came after the last of them."""

    steps: frozenset[Step]
    rest: Sequence[Step]
    error: BaseException | None


def record(kind: str, operation: Operation, **defects: Any) -> Sequence[Step]:
    """Run *operation* once, unbroken; give the steps that it took."""
    with World(kind, **defects) as world:
        given = operation.furnish(world)
        before = world.state()
        world.faults.begin()
        operation.act(world, given)
        steps = world.faults.trace
        operation.check_done(before, world.state())
        world.settle()
        operation.check_done(before, world.state())
    assert len(set(steps)) == len(steps)
    return steps


def break_at(kind: str, operation: Operation, plan: Plan, *, again: bool = False, **defects: Any) -> Broken:
    """Run *operation* with the faults of *plan* and check everything; make the call *again*, or leave it."""
    with World(kind, **defects) as world:
        given = operation.furnish(world)
        before, reserved = world.state(), world.reserved()
        broken = _run(world, operation, given, plan)
        world.check()
        if broken.error is None:
            operation.check_done(before, world.state())
        else:
            operation.check_left(before, world.state(), broken.error)
        if _was_undone(broken, plan) and not operation.keeps_room:
            assert all(now <= reserved[owner] for owner, now in world.reserved().items()), "room was kept"
        if isinstance(broken.error, Exception):
            assert world.staged() == [], "a failed call left something in staging"
        if again and broken.error is not None:
            _make_again(world, operation, given)
            operation.check_done(before, world.state())
        world.settle()
        if again or broken.error is None:
            operation.check_done(before, world.state())
        else:
            operation.check_left(before, world.state(), broken.error)
    return broken


def _run(world: World, operation: Operation, given: Any, plan: Plan) -> Broken:
    if world.kind == "disk" and plan[-1][1] == "death":
        return _run_and_be_killed(world, operation, given, plan)
    world.faults.begin(_faults(world.faults, plan))
    error: BaseException | None = None
    try:
        operation.act(world, given)
    except (AudioStoreError, AppError, Death) as raised:
        error = raised
    broken, trace = world.faults.broken, world.faults.trace
    if isinstance(error, Death):
        world.restart()
    rest = trace[trace.index(broken[-1]) + 1 :] if broken else []
    return Broken(frozenset(broken), rest, error)


def _run_and_be_killed(world: World, operation: Operation, given: Any, plan: Plan) -> Broken:
    """Die for real: in a process of its own, by SIGKILL, with everything left as it was that moment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork, with pytest's threads around
        child = os.fork()
    if child == 0:
        world.faults.begin({**_faults(world.faults, plan), plan[-1][0]: lambda: os.kill(os.getpid(), signal.SIGKILL)})
        try:
            operation.act(world, given)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    world.restart()
    return Broken(frozenset(step for step, _ in plan) if killed else frozenset(), [], Death() if killed else None)


def _faults(faults: Faults, plan: Plan) -> Mapping[Step, Fault]:
    made: dict[Step, Fault] = {}
    for step, way in plan:
        errors: Mapping[str, Callable[[Step], Exception]] = {"error": error_at, "refusal": refusal_at, "late": Late}
        made[step] = faults.die if way == "death" else raising(errors[way](step))
    return made


def _was_undone(broken: Broken, plan: Plan) -> bool:
    """Tell whether the call could undo: it failed, and the catalog was well all the time."""
    if broken.error is None or isinstance(broken.error, Death):
        return False
    return not any(step.seam == "catalog" for step, _ in plan)


def _make_again(world: World, operation: Operation, given: Any) -> None:
    world.faults.begin()
    world.down.clear()
    world.pass_time(2 * HOLD)
    with suppress(NotFound):  # a deletion whose answer was lost
        operation.act(world, given)
