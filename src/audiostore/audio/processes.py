"""Processes to decode in. Each is for one file, and dies with whoever asked for it.

On Linux they are forked from a process of ours that has the decoder loaded and sees no request: that takes a few
milliseconds, where starting one takes a tenth of a second. It stays for as long as this process does. Elsewhere each
is started anew: what other systems load along with a decoder may not survive a fork.
"""

from __future__ import annotations

import atexit
import errno
import os
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from audiostore.errors import AudioStoreError, Unavailable, from_os_error

FORKS = sys.platform == "linux"
WORKER, SERVER = "audiostore.audio.worker", "audiostore.audio.forkserver"
_PATIENCE: Final = 60.0
"""Seconds for a process to come. The first one waits for the decoder to be loaded, on a machine that may be busy."""
_GRACE: Final = 10.0
_STARTED, _ENDED, _FAILED = "started", "ended", "errno"
_UNKNOWN: Final = 1


class Process(ABC):
    """A process that reads its request from the other end of ``channel``, and answers there; left, it is ended."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    @abstractmethod
    def is_over(self) -> bool:
        """Tell whether it has ended. A forked copy of us may hold the other end of its channel open."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Give it *seconds* to end by itself."""

    @abstractmethod
    def end(self) -> int:
        """Kill it unless it is over; return when it is. Gives its exit code, or minus the signal that ended it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self.channel.close()


def start() -> Process:
    """Give a process with nothing of ours: no environment, so no keys, and no memory of other requests.

    Raises:
        Unavailable: the machine can't start one now.

    """
    with ExitStack() as failed:
        ours, theirs = map(failed.enter_context, socket.socketpair())
        try:
            process = Forked(ours, theirs) if FORKS else Started(ours, theirs)
        except AudioStoreError:
            raise  # some of them are OSErrors too
        except OSError as error:
            raise from_os_error(error, "a process to decode in") from error
        failed.pop_all()
        theirs.close()
        return process


def stop() -> None:
    """End the process that others are forked from, and these with it; the next one that is needed starts it again."""
    _server.stop()


class Started(Process):
    """One that was started for its file."""

    def __init__(self, channel: socket.socket, theirs: socket.socket) -> None:
        self._process = _python(WORKER, stdin=theirs.fileno(), stdout=theirs.fileno())
        super().__init__(channel)

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def end(self) -> int:
        self._process.kill()
        return self._process.wait()


class Forked(Process):
    """One that was forked for its file."""

    def __init__(self, channel: socket.socket, theirs: socket.socket) -> None:
        self._line = _server.fork(theirs)
        self._code: int | None = None
        super().__init__(channel)

    def is_over(self) -> bool:
        self.wait(0)
        return self._code is not None

    def wait(self, seconds: float) -> None:
        if self._code is None and (news := self._line.news(seconds)) is not None:
            word, _, code = news.partition(" ")
            self._code = int(code) if word == _ENDED else _UNKNOWN  # the server is gone

    def end(self) -> int:
        self._line.hang_up()
        self.wait(_GRACE)
        if self._code is None:  # somebody halted the server, which so can't kill it; it dies with the server
            _server.stop(self._line.control)
            self.wait(_GRACE)
        self._line.close()
        self._code = _UNKNOWN if self._code is None else self._code
        return self._code


class _Line:
    """What the server tells of one process: that it has started, and how it ended."""

    def __init__(self, end: socket.socket, control: socket.socket) -> None:
        self.control = control
        self._end = end
        self._heard = b""

    def news(self, seconds: float) -> str | None:
        """Give the next line; an empty one when no more can come, None if none came within *seconds*."""
        self._end.settimeout(seconds)
        while b"\n" not in self._heard:
            try:
                block = self._end.recv(256)
            except (TimeoutError, BlockingIOError):
                return None
            except ConnectionError:
                return ""
            if not block:
                return ""
            self._heard += block
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def hang_up(self) -> None:
        """Have the process killed. News can still come. A shutdown, as a forked copy of us may hold this end too."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._end.close()


class _ForkServer:
    """The process that is forked from: started when it is first asked, and again when it was killed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal's handler may fork while its thread is in here
        self._control: socket.socket | None = None
        self._standing: tuple[object, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def fork(self, channel: socket.socket) -> _Line:
        for _ in range(2):  # it may have been killed since it was asked last
            control = self._reach()
            ours, theirs = socket.socketpair()
            line = _Line(ours, control)
            try:
                with theirs, suppress(ConnectionError):  # it is gone
                    socket.send_fds(control, [b"+"], [channel.fileno(), theirs.fileno()])
                news = line.news(_PATIENCE)
            except OSError as error:
                line.close()
                if error.errno == errno.EBADF:  # it was stopped just now
                    continue
                raise
            if news == _STARTED:
                return line
            line.hang_up()
            line.close()
            if news is not None and news.startswith(_FAILED):
                number = int(news.partition(" ")[2])
                raise OSError(number, os.strerror(number))
            self.stop(control)
            if news is None:
                raise Unavailable("no process to decode in came in time", retryable=True)
        raise Unavailable("the process that others are forked from ended twice", retryable=True)

    def stop(self, control: socket.socket | None = None) -> None:
        """End it, and all that was forked from it; if *control* is given, only the one that was asked over that."""
        with self.lock:
            ours, process = self._control, self._process
            if ours is None or process is None or control not in {None, ours}:
                return
            self._control = self._process = None
        ours.close()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # somebody halted it
            process.kill()
            process.wait()

    def forget(self) -> None:
        """Leave it to the process that this one was forked from, whose fork took the lock."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.returncode = _UNKNOWN  # no child of this process, which so has none to wait for
        self._control = self._process = None
        self.lock.release()

    def _reach(self) -> socket.socket:
        standing = _standing()
        with self.lock:
            if self._standing != standing:
                self.stop()
            if self._control is None:
                ours, theirs = socket.socketpair()
                with theirs:
                    try:
                        self._process = _python(SERVER, stdin=theirs.fileno())
                    except BaseException:
                        ours.close()
                        raise
                ours.settimeout(_PATIENCE)
                self._control, self._standing = ours, standing
            return self._control


def _standing() -> tuple[object, ...]:
    """What this process may do. A server of other times, as whom it was before it gave that up, must not be used."""
    told = Path("/proc/self/status").read_text(encoding="utf-8")
    mask = next((line for line in told.splitlines() if line.startswith("Umask:")), "")
    return os.getresuid(), os.getresgid(), os.getgroups(), mask


def _python(module: str, *, stdin: int, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    # Our own search path, since the process gets no environment; -P: the current folder is not searched.
    searched = os.pathsep.join(each for each in sys.path if each)
    return subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, "-P", "-W", "ignore", "-m", module],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": searched, "PYTHONIOENCODING": "utf-8", "MALLOC_ARENA_MAX": "1"},
        cwd="/",
    )


_server = _ForkServer()
atexit.register(stop)
# A forked process starts a server of its own; and no fork comes while ours is being started.
os.register_at_fork(
    before=_server.lock.acquire,
    after_in_parent=_server.lock.release,
    after_in_child=_server.forget,
)
