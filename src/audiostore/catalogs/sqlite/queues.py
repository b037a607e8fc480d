"""A lock that is handed over in the order of asking."""

from __future__ import annotations

import threading
from collections import deque


class Queue:
    """Whoever asked first gets in first; a plain lock goes to who happens to be awake, and on a busy machine that is
    mostly the thread that has just left it.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        """Wait for one's turn, at most *timeout* seconds; tell whether it came."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        try:
            if called.acquire(timeout=timeout):
                return True
        except BaseException:
            if not self._leave(called):
                self.release()
            raise
        return not self._leave(called)

    def release(self) -> None:
        """Call the next one in."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _leave(self, called: threading.Lock) -> bool:
        """Stop waiting; False if the turn came at the last moment."""
        with self._guard:
            if called not in self._waiting:
                return False
            self._waiting.remove(called)
            return True
