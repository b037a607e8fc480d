"""Bytes from the event loop to a thread: asked for, one chunk at a time, so that nothing piles up between the two."""

from __future__ import annotations

import inspect
import queue
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from typing import Any, cast

from audiostore.cancelling import Cancelled, check_cancelled
from audiostore.sources import base_name
from audiostore.streams import CHUNK


class Feed(Iterator[bytes]):
    """The chunks of an asynchronous source, iterated over in a thread while the source's own task serves them.

    What arrives in small pieces is gathered to ``CHUNK`` bytes, since each hand-over costs more than its copying.
    """

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = aiter(source)
        self._given: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        self._hungry = False
        self._ask: Callable[[], object] = lambda: None
        self._over: BaseException | None = None

    def __next__(self) -> bytes:
        check_cancelled()
        if self._over is not None:
            raise self._over
        self._hungry = True
        self._ask()
        given = self._given.get()
        if isinstance(given, BaseException):
            self._over = given
            raise given
        return given

    def on_hunger(self, ask: Callable[[], object]) -> None:
        """Call *ask* whenever the thread waits for bytes."""
        self._ask = ask

    async def serve(self) -> None:
        """Give the thread what it waits for, if it does. What the source raises is raised there."""
        if not self._hungry:
            return
        self._hungry = False
        try:
            chunk = await self._gather()
        except Exception as error:  # noqa: BLE001 - it is the caller's, and goes back to the caller by way of the put
            self._given.put(error)
        else:
            self._given.put(chunk or StopIteration())

    def stop(self) -> None:
        """Let a thread that waits go; there will be no more bytes."""
        self._given.put(Cancelled())

    async def _gather(self) -> bytes:
        pieces, size = list[bytes](), 0
        while size < CHUNK:
            piece = await anext(self._source, None)
            if piece is None:
                break
            if not isinstance(piece, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"a source gives bytes, not {type(piece).__name__}; open files in binary mode")
            pieces.append(bytes(piece))
            size += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def chunks_of(source: Any) -> AsyncIterable[bytes] | None:
    """Give *source* as chunks if it must be awaited, else None: then a thread can read it itself.

    A Starlette ``UploadFile`` holds a plain file, which is read in the thread. ``read`` comes before iteration: what
    has both (aiofiles, asyncio's own streams) iterates by line.
    """
    if callable(getattr(getattr(source, "file", None), "read", None)):
        return None
    read = getattr(source, "read", None)
    if inspect.iscoroutinefunction(read):
        return _reads(read)
    return cast("AsyncIterable[bytes]", source) if hasattr(source, "__aiter__") else None


def name_of(source: Any) -> str | None:
    """Give the name that an asynchronous file bears, if it does."""
    return base_name(getattr(source, "filename", None) or getattr(source, "name", None))


async def _reads(read: Callable[[int], Any]) -> AsyncIterator[bytes]:
    while chunk := await read(CHUNK):
        yield chunk
