"""Every operation is cancelled at every step that it takes across a seam; then all must agree again.

The call runs as an app on asyncio makes it: in a thread of ``AsyncAudioStore``, awaited by a task. At the step, the
task is cancelled, and the thread goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from audiostore import AsyncAudioStore
from audiostore.cancelling import CallerGone
from tests.crashes.breaking import record
from tests.crashes.faults import Step
from tests.crashes.operations import OPERATIONS, Operation
from tests.crashes.worlds import World

LEAVES_NOTHING = {
    *("put", "put with progress", "put that lasts", "put processed", "put beside a fallback", "put into the fallback"),
    *("copy", "begin upload"),
}
"""What is taken back even if it was done before the news came: nobody else can have seen it."""


MOVES_BYTES = ["put", "put that lasts", "put into the fallback", "replace", "copy", "promote", "receive", "delete"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_cancelled_at_any_step_it_leaves_the_old_or_the_new(name: str) -> None:
    for step in record("memory", OPERATIONS[name]):
        cancel_at("memory", OPERATIONS[name], step, nothing=name in LEAVES_NOTHING)


@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("disk", name) for name in MOVES_BYTES), pytest.param("cloud", "put", marks=pytest.mark.slow)],
)
def test_cancelled_where_bytes_are_real_it_leaves_the_old_or_the_new(kind: str, name: str) -> None:
    for step in record(kind, OPERATIONS[name]):
        if step.when == "after":  # right before a step is right after another
            cancel_at(kind, OPERATIONS[name], step, nothing=name in LEAVES_NOTHING)


@pytest.mark.parametrize("name", ["put", "replace", "copy", "receive", "finish upload"])
def test_each_of_them_is_really_stopped_at_some_step(name: str) -> None:
    operation = OPERATIONS[name]
    steps = record("memory", operation)
    taken = [cancel_at("memory", operation, step, nothing=False) for step in steps]
    assert any(each != steps for each in taken), "cancelling made no difference"


def cancel_at(kind: str, operation: Operation, step: Step, *, nothing: bool) -> Sequence[Step]:
    """Cancel the call at *step* and check everything; give the steps that it took all the same."""
    with World(kind) as world:
        given = operation.furnish(world)
        before, reserved, objects = world.state(), world.reserved(), _objects(world)
        trace = asyncio.run(_cancelled(world, operation, given, step))
        assert world.faults.broken == [step]
        world.check()
        operation.check_left(before, world.state(), CallerGone())
        if nothing:
            assert (world.state(), world.reserved(), _objects(world)) == (before, reserved, objects)
        assert world.staged() == [], "a cancelled call left something in staging"
        world.settle()
        operation.check_left(before, world.state(), CallerGone())
        if nothing:
            assert world.state() == before
    return trace


def _objects(world: World) -> Sequence[str]:
    return [*world.objects(), *world.objects("spare")]


async def _cancelled(world: World, operation: Operation, given: Any, step: Step) -> Sequence[Step]:
    loop, astore = asyncio.get_running_loop(), AsyncAudioStore(world.store, workers=1)
    calling = loop.create_task(astore._threads.call(lambda: operation.act(world, given)))

    async def cancel() -> None:
        calling.cancel()
        for _ in range(3):  # until the task has heard of it
            await asyncio.sleep(0)

    world.faults.begin({step: lambda: asyncio.run_coroutine_threadsafe(cancel(), loop).result()})
    with pytest.raises(asyncio.CancelledError):
        await calling
    trace = list(world.faults.trace)
    world.down.clear()
    await astore.close()
    return trace
