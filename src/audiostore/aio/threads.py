"""Blocking calls in threads of one's own: bounded, cancellable, and never left running behind their caller's back."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from audiostore.aio.feeding import Feed
from audiostore.cancelling import CallerGone, Cancellation
from audiostore.errors import AudioStoreError, Cancelled

_T = TypeVar("_T")
_log = logging.getLogger("audiostore")


class Threads:
    """Two pools: one for calls that only wait for storage, one for those that wait for what the event loop brings.

    A single pool could lock up: full of uploads that wait for chunks, which only another thread could fetch.
    """

    def __init__(self, workers: int, uploads: int) -> None:
        if min(workers, uploads) < 1:
            raise ValueError("workers and uploads must be at least 1")
        self._sizes = {"call": workers, "upload": uploads}
        # By process: threads don't survive a fork.
        self._pools: dict[tuple[int, str], ThreadPoolExecutor] = {}

    async def call(self, function: Callable[[], _T]) -> _T:
        """Run *function* in a thread, in the caller's context.

        Cancelled, it sets the flag that *function* meets at its next chunk or page, and returns only when that is over,
        undone or done; what had been made by then is taken back. Raises what *function* raises.
        """
        return await self._run("call", function, None)

    async def call_all(self, function: Callable[[], _T]) -> _T:
        """Run a *function* that makes calls of its own: what they gave it is its own to take back."""
        return await self._run("call", function, None, calls=True)

    async def feed(self, feed: Feed[Any], function: Callable[[], _T]) -> _T:
        """Run *function*, which iterates over *feed*; its source is read here, in the caller's task."""
        return await self._run("upload", function, feed)

    def dropping(self) -> Callable[[Callable[[], object]], None]:
        """Give what lets go, in a thread and for nobody, of what a dropped object holds; for its ``__del__``.

        That may run at any moment, in the event loop's thread, under any lock: so it only leaves word with the loop.
        """
        loop = asyncio.get_running_loop()

        def let_go(close: Callable[[], object]) -> None:
            self._pool("call").submit(close)

        def drop(close: Callable[[], object]) -> None:
            try:
                loop.call_soon_threadsafe(let_go, close)
            except RuntimeError:  # the loop is over
                close()

        return drop

    async def close(self, last: Callable[[], object]) -> None:
        """Wait for all that is running, end the threads, and run *last*; the next call makes new threads."""
        pools = [self._pools.pop(key) for key in list(self._pools) if key[0] == os.getpid()]

        def end() -> None:
            for pool in pools:
                pool.shutdown()
            last()

        with ThreadPoolExecutor(1, "audiostore-close") as closing:
            ended = closing.submit(end)
            gone = await _settled(ended)
        ended.result()
        if gone is not None:
            raise gone

    async def _run(self, kind: str, function: Callable[[], _T], feed: Feed[Any] | None, *, calls: bool = False) -> _T:
        cancellation, woken = Cancellation(calls=calls), _Waker()
        if feed is not None:
            feed.on_hunger(woken.wake)
        job = self._pool(kind).submit(copy_context().run, partial(cancellation.run, function))
        job.add_done_callback(woken.wake)
        try:
            while not job.done():
                await woken.wait()
                if feed is not None:
                    await feed.serve()
        except BaseException as gone:
            job.cancel()  # if it has not begun, it never will
            cancellation.cancel()
            if feed is not None:
                feed.stop()
            if isinstance(gone, GeneratorExit):
                raise  # the event loop is no more: nobody can wait
            await _settled(job)
            await self._undo(cancellation, job, gone)
            raise
        return job.result()

    async def _undo(self, cancellation: Cancellation, job: Future[Any], gone: BaseException) -> None:
        """Take back what a call made that was over before it heard of its end; tell what failed otherwise."""
        error = None if job.cancelled() else job.exception()
        if error is None and cancellation.has_made:
            undoing = self._pool("call").submit(copy_context().run, cancellation.undo)
            await _settled(undoing)
            error = undoing.exception()
        if error is None or isinstance(error, CallerGone | Cancelled):
            return
        gone.add_note(f"and the call that was cancelled failed: {error!r}")
        if not isinstance(error, AudioStoreError):
            _log.error("a cancelled call failed", exc_info=error)

    def _pool(self, kind: str) -> ThreadPoolExecutor:
        key = (os.getpid(), kind)
        if key not in self._pools:
            # Without a lock, which a fork could leave locked for ever; one too many has no threads yet.
            self._pools.setdefault(key, ThreadPoolExecutor(self._sizes[kind], f"audiostore-{kind}"))
        return self._pools[key]


class _Waker:
    """Wakes one task of one event loop, from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self, _: object = None) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()


async def _settled(job: Future[Any]) -> asyncio.CancelledError | None:
    """Wait until *job* is over, however often somebody cancels the wait; give the last one who did."""
    woken, gone = _Waker(), None
    job.add_done_callback(woken.wake)
    with shielded():
        while not job.done():
            try:
                await woken.wait()
            except asyncio.CancelledError as error:
                gone = error
    return gone


def shielded() -> AbstractContextManager[object]:
    """Keep AnyIO, where an app runs on it, from cancelling again at every turn of the loop: it would spin meanwhile."""
    # Unless its asyncio half is loaded nobody can be in a scope of it, and asking for one would load it here and now.
    anyio: Any = sys.modules.get("anyio") if "anyio._backends._asyncio" in sys.modules else None
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)
