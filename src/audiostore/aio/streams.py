"""Bytes and records to the event loop: one chunk, or one page, from a thread at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from audiostore.aio.holding import Holding
from audiostore.errors import Unavailable
from audiostore.streams import ByteStream

if TYPE_CHECKING:
    from audiostore.aio.threads import Threads

_T = TypeVar("_T")


class AsyncByteStream(Holding[ByteStream], AsyncIterator[bytes]):
    """An asynchronous iterator of byte chunks, ``length`` bytes in all.

    It lets go of what is behind it at its end, by ``aclose()``, by ``async with``, when dropped, or when a read is
    cancelled: the chunk that was on its way is lost, so it can't go on then.
    """

    def __init__(self, stream: ByteStream, threads: Threads) -> None:
        super().__init__(stream, threads)
        self.length = stream.length
        self._lost = False

    async def __anext__(self) -> bytes:
        stream = self._held
        if self._lost:
            raise Unavailable("a read of this stream broke off, so there is a hole in it", retryable=True)
        if stream is None:
            raise StopAsyncIteration
        self._lost = True
        try:
            chunk: bytes | None = await self._threads.call(partial(next, stream, None))
        except Exception:
            raise  # it has let go of itself
        except GeneratorExit:
            raise  # the event loop is no more, so nobody can wait
        except BaseException:
            await self.aclose()
            raise
        self._lost = False
        if chunk is None:
            self._held = None
            raise StopAsyncIteration
        return chunk


@dataclass(frozen=True, slots=True)
class AsyncReply:
    """An answer over HTTP. ``body`` is an asynchronous iterator of bytes, to be closed even if it is not read.

    A framework's streaming response takes it as it is; elsewhere use ``async with reply:``. While it is read, ``body``
    may raise ``Unavailable``: break the connection off, as the status is out already.
    """

    status: int
    headers: dict[str, str]
    body: AsyncByteStream

    async def aclose(self) -> None:
        """Let go of what is behind the body; safe to call twice."""
        await self.body.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Pages(AsyncIterator[_T], Generic[_T]):
    """The items of an iterator that blocks, *page* at a time from a thread."""

    def __init__(self, begin: Callable[[], Iterator[_T]], threads: Threads, page: int) -> None:
        self._begin = begin
        self._threads = threads
        self._size = page
        self._rest: Iterator[_T] | None = None
        self._page: Iterator[_T] = iter(())
        self._lost = False

    async def __anext__(self) -> _T:
        for item in self._page:
            return item
        if self._lost:
            raise Unavailable("a page of this listing broke off, so there is a hole in it", retryable=True)
        self._lost = True
        page = await self._threads.call(self._next_page)
        self._lost = False
        if not page:
            raise StopAsyncIteration
        self._page = iter(page)
        return next(self._page)

    def _next_page(self) -> list[_T]:
        if self._rest is None:
            self._rest = self._begin()
        return list(islice(self._rest, self._size))
