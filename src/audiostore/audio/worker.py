"""The process in which hostile files are decoded: ``python -m audiostore.audio.worker``.

One request comes as a line of JSON on standard input, answers go as lines of JSON to standard output. Before the
first byte of the file is read, the process bounds itself: memory, CPU time, what it may write, and that it may open
nothing any more. It ends when its parent does.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from audiostore.audio.assembling import Wanted, Watch, assemble
from audiostore.audio.checking import check
from audiostore.audio.engine import opened, opened_container
from audiostore.audio.headers import examine
from audiostore.audio.levelling import write_at_level
from audiostore.audio.loudness import parse_preset
from audiostore.audio.parts import Part
from audiostore.audio.probing import describe, probe
from audiostore.audio.rules import Rules
from audiostore.audio.target import Target
from audiostore.audio.transcoding import convert_file, copy_without_tags
from audiostore.audio.waveform import draw
from audiostore.errors import AudioStoreError, UnsupportedAudio

Tell = Callable[[Mapping[str, Any]], None]
Files = Sequence[BinaryIO]

_CONSTANT_SIZE = 4 * 1024**3
_STEP = 0.01
_SPARE_FILES = 3
"""A muxer opens its output, and once more to put the tables in front; and what it copies may be an output before."""


def main() -> None:
    """Serve one request and end."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # which the app's thread may have blocked
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(answer: Mapping[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    try:
        with ExitStack() as stack:
            files = [stack.enter_context(file) for file in _opened(request["paths"])]
            _confine(request)
            tell({"done": _TASKS[request["task"]](files, request, tell)})
    except UnsupportedAudio as error:
        tell({"refused": [error.code, error.detail, error.part]})
    except AudioStoreError as error:
        # What the disk said, so that the parent can say it in its own words.
        tell({"failed": str(error), "errno": getattr(error.__cause__, "errno", None) or 0})
    except MemoryError:
        tell({"refused": ["memory", "it takes too much memory to read", None]})
    except OSError as error:
        tell({"errno": error.errno or 0, "failed": str(error)})


def _end_with_parent() -> None:
    with suppress(OSError):  # it ends in an error if the parent left answers unread
        os.read(0, 1)
    os._exit(1)


def _opened(paths: Sequence[str]) -> Iterator[BinaryIO]:
    # All before the first byte is read: nothing can be opened then.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = len(paths) + _highest_fd() + _SPARE_FILES + 1
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return (Path(path).open("rb") for path in paths)


def _confine(request: Mapping[str, Any]) -> None:
    """Bound this process for good: limits can only be lowered."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is EFBIG instead
    output = int(request["output"])
    bounds = {
        resource.RLIMIT_AS: _address_space() + int(request["memory"]),
        resource.RLIMIT_CPU: int(request["seconds"]) + 2,
        resource.RLIMIT_FSIZE: output,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _highest_fd() + 1 + (_SPARE_FILES if output else 0),
    }
    for limit, bound in bounds.items():
        _, hard = resource.getrlimit(limit)
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        # At the hard limit of CPU time comes SIGKILL, at the soft one a signal that says why.
        resource.setrlimit(limit, (max(1, most - 1) if limit == resource.RLIMIT_CPU else most, most))
    gc.collect()


def _address_space() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return _CONSTANT_SIZE  # no Linux: a bound all the same
    return pages * resource.getpagesize()


def _highest_fd() -> int:
    probe = os.dup(0)
    os.close(probe)
    return probe  # the lowest one that is free; all below are open


def _probe(files: Files, request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    looked = examine(files[0])
    with opened_container(files[0], looked) as reader:
        info = describe(reader, exact=bool(request["exact"]))
    return {"info": info.as_dict()}


def _check(files: Files, request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    return {"info": check(files[0], Rules.from_dict(request["rules"])).as_dict()}


def _convert(files: Files, request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    rules, target = Rules.from_dict(request["rules"]), Target.from_dict(request["target"])
    file = files[0]
    info = check(file, rules)
    output, loudness = Path(request["output_path"]), request["loudness"]
    if loudness is None and target.fits(info) and not target.must_lose_tags(info):
        return {"info": info.as_dict(), "written": False}
    progress = _throttled(tell)
    if loudness is not None:
        write_at_level(file, output, target, parse_preset(loudness), seconds=rules.max_duration, progress=progress)
    elif target.fits(info):
        with opened(file) as reader:
            copy_without_tags(reader, output)
    else:
        convert_file(file, output, target, seconds=rules.max_duration, progress=progress)
    with output.open("rb") as written:
        made = probe(written)
    return {"info": made.as_dict(), "written": True}


def _join(files: Files, request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    parts = [Part.from_dict(file, each) for file, each in zip(files, request["parts"], strict=True)]
    watch = Watch(_throttled(tell), None, "")
    made = assemble(parts, Wanted.from_dict(request["wanted"]), Path(request["folder"]), watch)
    return made.as_dict()


def _peaks(files: Files, request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    return draw(files[0], points=int(request["points"]), bits=int(request["bits"]), progress=_throttled(tell))


def _throttled(tell: Tell) -> Callable[[float], None]:
    last = 0.0

    def progress(share: float) -> None:
        nonlocal last
        if share - last >= _STEP:
            last = share
            tell({"share": round(share, 3)})

    return progress


_TASKS: dict[str, Callable[[Files, Mapping[str, Any], Tell], dict[str, Any]]] = {
    "probe": _probe,
    "check": _check,
    "convert": _convert,
    "join": _join,
    "peaks": _peaks,
}


if __name__ == "__main__":
    main()
