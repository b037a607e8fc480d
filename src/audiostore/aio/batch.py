"""Many calls at once, no more than so many: each with its own outcome, and none left running when the batch is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from audiostore.aio.streams import Pages
from audiostore.aio.threads import Threads, shielded
from audiostore.reports import Batch, Outcome

_I = TypeVar("_I")
_T = TypeVar("_T")


class Batches:
    """Batches of calls to one store."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def each(
        self,
        items: AsyncIterable[_I] | Iterable[_I],
        act: Callable[[_I], Coroutine[Any, Any, _T]],
        workers: int,
        progress: Callable[[Outcome[_T]], object] | None,
    ) -> Batch[_T]:
        """Do *act* with each item, in up to *workers* tasks; an ``Exception`` is an outcome, anything else ends it."""
        if workers < 1:
            raise ValueError("workers must be at least 1")
        outcomes, running, count = dict[int, Outcome[_T]](), set[asyncio.Task[Outcome[_T]]](), 0

        async def settle(most: int) -> None:
            nonlocal running
            while len(running) > most:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for outcome in [task.result() for task in done]:
                    outcomes[outcome.index] = outcome
                    if progress is not None:
                        progress(outcome)

        try:
            async for item in self._iterate(items):
                running.add(asyncio.create_task(_one(act, item, count)))
                count += 1
                del item  # a window of them is all that stays in memory
                await settle(workers - 1)
            await settle(0)
        except BaseException as gone:
            for task in running:
                task.cancel()
            if not isinstance(gone, GeneratorExit):
                await _all_over(running)
            raise
        return Batch(outcomes[index] for index in range(len(outcomes)))

    def _iterate(self, items: AsyncIterable[_I] | Iterable[_I]) -> AsyncIterator[_I]:
        if isinstance(items, AsyncIterable):
            return aiter(items)
        # An iterator of the caller's may block, so it is asked in a thread.
        return _at_hand(items) if isinstance(items, Sequence) else Pages(lambda: iter(items), self._threads, 1)


async def _at_hand(items: Sequence[_I]) -> AsyncIterator[_I]:
    for item in items:
        yield item


async def _one(act: Callable[[_I], Coroutine[Any, Any, _T]], item: _I, index: int) -> Outcome[_T]:
    try:
        return Outcome(index=index, result=await act(item))
    except Exception as error:  # noqa: BLE001 - it is told, whatever it is
        return Outcome(index=index, error=error)


async def _all_over(tasks: set[asyncio.Task[Outcome[_T]]]) -> None:
    with shielded():
        while not all(task.done() for task in tasks):
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError:
                continue  # the first one is on its way up already
