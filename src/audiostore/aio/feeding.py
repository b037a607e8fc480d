"""From the event loop to a thread: asked for one at a time, so that nothing piles up between the two."""

from __future__ import annotations

import inspect
import queue
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from audiostore.cancelling import CallerGone, check_cancelled
from audiostore.sources import base_name
from audiostore.streams import CHUNK

_T = TypeVar("_T")


class Feed(Iterator[_T]):
    """What an asynchronous source gives, iterated over in a thread while the source's own task serves it."""

    def __init__(self, fetch: Callable[[], Awaitable[_T]]) -> None:
        self._fetch = fetch
        self._given: queue.SimpleQueue[_T | _End] = queue.SimpleQueue()
        self._hungry = False
        self._ask: Callable[[], object] = lambda: None
        self._end: _End | None = None

    def __next__(self) -> _T:
        check_cancelled()
        if self._end is None:
            self._hungry = True
            self._ask()
            given = self._given.get()
            if not isinstance(given, _End):
                return given
            self._end = given
        raise self._end.error

    def on_hunger(self, ask: Callable[[], object]) -> None:
        """Call *ask* whenever the thread waits for something."""
        self._ask = ask

    async def serve(self) -> None:
        """Give the thread what it waits for, if it does. What the source raises is raised there."""
        if not self._hungry:
            return
        self._hungry = False
        try:
            self._given.put(await self._fetch())
        except StopAsyncIteration:
            self._given.put(_End(StopIteration()))
        except Exception as error:  # noqa: BLE001 - it is the caller's, and goes back to the caller by way of the call
            self._given.put(_End(error))

    def stop(self) -> None:
        """Let a thread that waits go; nothing more will come."""
        self._given.put(_End(CallerGone()))


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a feed, as the thread will see it."""

    error: BaseException


def bytes_from(source: AsyncIterable[bytes]) -> Feed[bytes]:
    """Feed a thread with bytes. Small pieces are gathered to ``CHUNK``: a hand-over costs more than their copying."""
    pieces = aiter(source)

    async def gather() -> bytes:
        got, size = list[bytes](), 0
        while size < CHUNK:
            piece = await anext(pieces, None)
            if piece is None:
                break
            if not isinstance(piece, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"a source gives bytes, not {type(piece).__name__}; open files in binary mode")
            got.append(bytes(piece))
            size += len(got[-1])
        if not got:
            raise StopAsyncIteration
        return got[0] if len(got) == 1 else b"".join(got)

    return Feed(gather)


def items_from(source: AsyncIterable[_T]) -> Feed[_T]:
    """Feed a thread with items, one by one."""
    return Feed(aiter(source).__anext__)


def bytes_of(source: Any) -> Feed[bytes] | None:
    """Give a feed of *source*'s bytes if it must be awaited, else None: then a thread can read it itself.

    A Starlette ``UploadFile`` holds a plain file, which is read in the thread. ``read`` comes before iteration: what
    has both (aiofiles, asyncio's own streams) iterates by line.
    """
    if callable(getattr(getattr(source, "file", None), "read", None)):
        return None
    read = getattr(source, "read", None)
    if inspect.iscoroutinefunction(read):
        return bytes_from(_reads(read))
    return bytes_from(cast("AsyncIterable[bytes]", source)) if hasattr(source, "__aiter__") else None


def name_of(source: Any) -> str | None:
    """Give the name that an asynchronous file bears, if it does."""
    return base_name(getattr(source, "filename", None) or getattr(source, "name", None))


async def _reads(read: Callable[[int], Any]) -> AsyncIterator[bytes]:
    while chunk := await read(CHUNK):
        yield chunk
