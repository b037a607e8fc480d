"""Cancelling a call from outside: a flag that goes with it, and is tested at each chunk and each page.

The flag is a context variable and no argument, so that what reads and writes bytes needs not be told of it, and so
that a caller's own threads can take it along (``contextvars.copy_context``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

_T = TypeVar("_T")


class CallerGone(BaseException):
    """The caller has gone. No ``Exception``, like ``KeyboardInterrupt``: nobody on the way may take it for a fault."""


class Cancellation:
    """One call that somebody may cancel, from any thread. Made within another one, it is cancelled with that.

    *calls* of the store may be several: then what one of them gave was somebody's, and is not taken back.
    """

    def __init__(self, *, calls: bool = False) -> None:
        self._cancelled = False
        self._takes_back = not calls
        self._around = _current.get()
        self._undo: list[Callable[[], object]] = []

    def run(self, call: Callable[[], _T]) -> _T:
        """Make *call*, under this flag. Raises CallerGone once the flag is set, at the next chunk or page."""
        token = _current.set(self)
        try:
            check_cancelled()
            return call()
        finally:
            _current.reset(token)

    def cancel(self) -> None:
        """Set the flag."""
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        return self._cancelled or (self._around is not None and self._around.cancelled)

    @property
    def has_made(self) -> bool:
        """Whether the call has made something that ``undo`` would take back."""
        return bool(self._undo)

    def undo(self) -> None:
        """Take back what the call made, now that it is over and nobody wants its result. Again does nothing."""
        while self._undo:
            self._undo.pop()()

    def made(self, undo: Callable[[], object]) -> None:
        """Take note of what takes back something that the call has made."""
        if self._takes_back:
            self._undo.append(undo)

    def keep(self) -> None:
        """Forget how to take back what the call has made."""
        self._undo.clear()


_current: ContextVar[Cancellation | None] = ContextVar("audiostore_cancellation", default=None)


def check_cancelled() -> None:
    """Raise CallerGone if whoever made this call has cancelled it. Call it only where the caller's undo is ready."""
    current = _current.get()
    if current is not None and current.cancelled:
        raise CallerGone


def undo_if_cancelled(undo: Callable[[], object]) -> None:
    """Tell what takes this call's result back, should its caller be gone by the time it is there."""
    current = _current.get()
    if current is not None:
        current.made(undo)


def keep_if_cancelled() -> None:
    """Tell that what this call has made is to stay, whoever has gone: from here on nothing else has its bytes."""
    current = _current.get()
    if current is not None:
        current.keep()


def cancelled_flag() -> Callable[[], bool]:
    """Give what tells, in any thread, whether this call is cancelled: a ``cancelled=`` for whatever takes one."""
    current = _current.get()
    return lambda: current is not None and current.cancelled
