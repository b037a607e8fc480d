"""Decoding in another process, which is killed when it takes too long or too much.

Each file has a process of its own, with nothing of ours but the path: no environment, so no keys, and no memory of
other requests. It costs some milliseconds (see ``processes``). What it costs to be wrong about a decoder is more.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audiostore.audio import processes
from audiostore.errors import AudioStoreError, ConfigurationError, Unavailable, UnsupportedAudio, from_os_error

MEMORY = 192 * 1024 * 1024
"""Bytes that a decoder may take above what the process has when it starts (some 60 MB)."""
TIMEOUT = timedelta(seconds=60)
_LONGEST_ANSWER = 16 * 1024 * 1024
"""In bytes; a million points of a waveform take 14 MB."""
_TICK = 0.2
_GRACE = 5.0
_LONGEST_WAIT = 24 * 3600.0
_SENSELESS = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What reading an answer can raise that no decoder of ours has given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one file may take: ``timeout`` of wall time and of CPU time, ``memory`` and ``output`` in bytes."""

    timeout: timedelta = TIMEOUT
    memory: int = MEMORY
    output: int = 0

    def __post_init__(self) -> None:
        if self.timeout <= timedelta(0) or self.memory <= 0 or self.output < 0:
            raise ConfigurationError("timeout and memory must be more than nothing")


def require_engine() -> None:
    """Tell a missing extra when a processor is made, and not when the first file comes."""
    if find_spec("av") is None:
        raise ConfigurationError('audio needs PyAV: pip install "audiostore[audio]"')


def run(
    task: str,
    paths: Sequence[Path],
    request: Mapping[str, Any],
    *,
    bounds: Bounds,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Do *task* with the files at *paths* in a process of its own, and give its answer.

    *progress* is called with the share that is done, and at least five times a second with the last one; whatever it
    raises kills the process and goes through.

    Raises:
        UnsupportedAudio: refused; or ``timeout``, ``memory``, ``crashed``.
        StorageFull, Unavailable: the machine, and not the file, is to blame.

    """
    seconds = bounds.timeout.total_seconds()
    whole = {**request, "task": task, "paths": [os.fspath(path.absolute()) for path in paths]}
    whole |= {"memory": bounds.memory, "output": bounds.output, "seconds": seconds}
    deadline = time.monotonic() + seconds
    with processes.start() as process:
        answer = _converse(process, whole, deadline, progress)
        if answer is None:
            process.wait(max(0.0, min(_GRACE, deadline - time.monotonic())))  # how it ended tells why
            raise _ended(process.end())
    try:
        return _told(answer)
    except AudioStoreError:
        raise
    except _SENSELESS as error:
        raise _nonsense() from error


def _converse(
    process: processes.Process,
    request: Mapping[str, Any],
    deadline: float,
    progress: Callable[[float], None] | None,
) -> dict[str, Any] | None:
    """Send the request, and give the last answer; ``None`` if the process ended without one."""
    channel = process.channel
    if not _sent(channel, request, deadline):
        return None
    share, pending, total = 0.0, b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise UnsupportedAudio("timeout", "it takes too long to read")
            ready = selector.select(min(_TICK, left))
            if progress is not None:
                progress(share)
            if not ready:
                if process.is_over() and not selector.select(0):
                    return None
                continue
            block = _received(channel)
            total += len(block)
            if not block or total > _LONGEST_ANSWER:
                return None
            *lines, pending = (pending + block).split(b"\n")
            for answer in map(_parsed, lines):
                if "share" not in answer:
                    return answer
                share = answer["share"]


def _sent(channel: socket.socket, request: Mapping[str, Any], deadline: float) -> bool:
    channel.settimeout(min(_LONGEST_WAIT, max(0.001, deadline - time.monotonic())))
    try:
        channel.sendall(json.dumps(request).encode() + b"\n")
    except TimeoutError:
        raise UnsupportedAudio("timeout", "it takes too long to read") from None
    except ConnectionError:
        return False
    return True


def _received(channel: socket.socket) -> bytes:
    try:
        return channel.recv(65536)
    except ConnectionError:  # it ended before it had read all of the request
        return b""


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(line)
        return {**answer, "share": float(answer["share"])} if "share" in answer else {**answer}
    except _SENSELESS as error:
        raise _nonsense() from error


def _nonsense() -> UnsupportedAudio:
    return UnsupportedAudio("crashed", "what the decoder answers makes no sense")


def _told(answer: Mapping[str, Any]) -> dict[str, Any]:
    if "done" in answer:
        done: dict[str, Any] = answer["done"]
        return {**done}
    if "refused" in answer:
        code, detail, part = answer["refused"]
        raise UnsupportedAudio(code, detail, part=part)
    if answer.get("errno"):
        raise from_os_error(OSError(answer["errno"], os.strerror(answer["errno"])), "the audio's work folder")
    raise Unavailable(f"the audio could not be worked on: {answer.get('failed', '')}", retryable=True)


def _ended(code: int) -> AudioStoreError:
    if code == -signal.SIGXCPU:
        return UnsupportedAudio("timeout", "it takes too long to read")
    if code < 0:
        return UnsupportedAudio("crashed", f"the decoder was ended by signal {-code}")
    return Unavailable("the process that decodes ended without an answer", retryable=True)
