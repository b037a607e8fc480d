"""Gives out processes that have a decoder loaded: ``python -m audiostore.audio.forkserver``, its input a socket.

It waits there for somebody who wants one, and forks; its own memory holds nothing but modules, since it never
sees a request. A byte on the socket brings two descriptors: what the new process reads its request from and answers
to, and a line on which its end is told. It ends when the socket is closed, and its processes with it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from audiostore.audio import worker


def main(work: Callable[[], object] = worker.main) -> None:
    """Serve until nobody is left who could ask; each new process does *work* once."""
    # Whoever stops the app stops this: a signal to the whole group must not end what the app still waits for.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # which the app's thread may have blocked
    # Each process that it has costs it a descriptor.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()  # a collection in a new process would copy the pages that all share
    with socket.socket(fileno=os.dup(0)) as control:
        _Nursery(control, work).run()


class _Nursery:
    def __init__(self, control: socket.socket, work: Callable[[], object]) -> None:
        self._control = control
        self._work = work
        self._lines: dict[int, socket.socket] = {}
        self._woken, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        for each in (self._woken, self._wake):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, _ignore)  # else there is no wake-up
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        try:
            while self._turn():
                pass
        finally:
            for pid in self._lines:
                os.kill(pid, signal.SIGKILL)

    def _turn(self) -> bool:
        for key, _ in self._selector.select():
            if key.fileobj is self._control:
                if not self._answer():
                    return False
            elif key.fileobj is self._woken:
                with suppress(BlockingIOError):
                    self._woken.recv(4096)
            else:  # whoever held the other end of a line is gone, or has had enough
                self._selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
        self._reap()
        return True

    def _answer(self) -> bool:
        asked, handed, _, _ = socket.recv_fds(self._control, 1, 2)
        if not asked:
            return False
        if len(handed) != 2:  # noqa: PLR2004 - no room for more: who asked hears that his line is closed
            for each in handed:
                os.close(each)
            return True
        channel, line = handed
        try:
            pid = os.fork()
        except OSError as error:
            with socket.socket(fileno=line) as told:
                _tell(told, f"errno {error.errno}")
        else:
            if not pid:
                self._become(channel)
            self._lines[pid] = socket.socket(fileno=line)
            self._selector.register(self._lines[pid], selectors.EVENT_READ, pid)
            _tell(self._lines[pid], "started")
        os.close(channel)
        return True

    def _reap(self) -> None:
        # Until here the numbers of those that have ended are not given to others, so no stranger could be killed.
        for pid in list(self._lines):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                line = self._lines.pop(pid)
                with suppress(KeyError):
                    self._selector.unregister(line)
                _tell(line, f"ended {os.waitstatus_to_exitcode(status)}")
                line.close()

    def _become(self, channel: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(each, signal.SIG_DFL)
            _die_with_parent()
            os.dup2(channel, 0)
            os.dup2(channel, 1)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            self._work()
            code = 0
        finally:
            os._exit(code)


def _die_with_parent() -> None:
    # A server that is killed can't kill: prctl(2), PR_SET_PDEATHSIG.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _ignore(number: int, frame: FrameType | None) -> None: ...


def _tell(line: socket.socket, news: str) -> None:
    with suppress(OSError):
        line.sendall(news.encode() + b"\n")


if __name__ == "__main__":
    main()
