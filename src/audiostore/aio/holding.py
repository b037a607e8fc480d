"""What holds something that blocks to be closed, and lets go of it in a thread."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from audiostore.aio.threads import Threads


class Closable(Protocol):
    """A file, or a stream."""

    def close(self) -> object: ...


_Held = TypeVar("_Held", bound=Closable)


class Holding(Generic[_Held]):
    """Holds *held* until ``aclose()``, the end of ``async with``, or when it is dropped."""

    def __init__(self, held: _Held, threads: Threads) -> None:
        self._held: _Held | None = held
        self._threads = threads
        self._drop = threads.dropping()

    async def aclose(self) -> None:
        """Let go of the file or connection behind it; safe to call twice."""
        held, self._held = self._held, None
        if held is not None:
            await self._threads.call(held.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        held = getattr(self, "_held", None)
        if held is not None:
            self._drop(held.close)
