"""What answering a player's requests costs: ``serve`` beside Starlette's ``FileResponse``, on the same file.

    python -m benchmarks.serve_ranges --size="100 MB" --rounds=7

In this process, without a network: each is asked as its framework asks it, and its body is taken to the end. ``serve``
also verifies the link and asks the catalog whether the file is still there. "read" is the floor: open, seek, read.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse

from audiostore import AudioStore, Unlimited, serve
from audiostore.sizes import format_size, parse_size
from benchmarks._wire import spread, zeros

BLOCK = 256 * 1024
REQUESTS = {"64 KiB out of the middle": 200, "1 MiB out of the middle": 50, "all of it": 3}


async def from_starlette(path: Path, span: str | None) -> int:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "headers": [(b"range", span.encode())] if span else [],
        "extensions": {},
    }
    taken = 0

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # the caller stays
        raise AssertionError

    async def send(message: Any) -> None:
        nonlocal taken
        taken += len(message.get("body", b""))

    await FileResponse(path)(scope, receive, send)
    return taken


def from_us(store: AudioStore, token: str, span: str | None) -> int:
    with serve(store, token, "GET", {"Range": span} if span else {}) as reply:
        return sum(map(len, reply.body))


def plainly(path: Path, start: int, length: int) -> int:
    taken = 0
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while taken < length:
            taken += len(file.read(min(BLOCK, length - taken)))
    return taken


def milliseconds(work: Callable[[], int], times: int, length: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        assert work() == length
    return 1000 * (time.perf_counter() - began) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="100 MB")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    size = parse_size(options.size)
    lengths = dict(zip(REQUESTS, (64 * 1024, 1024 * 1024, size), strict=True))
    print(f"{format_size(size)}, {options.rounds} rounds, interleaved; milliseconds, least / median / most\n")
    print("| request | read | FileResponse | serve | serve / FileResponse |\n|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        zeros(size) as source,
        AudioStore.local(folder, quota=Unlimited()) as store,
        asyncio.Runner() as loop,
    ):
        file = store.put(source, owner="bench")
        path, token = Path(folder, str(file.key)), store.url(file).rpartition("/")[2]
        for what, times in REQUESTS.items():
            length = lengths[what]
            start = 0 if length == size else size // 2
            span = None if length == size else f"bytes={start}-{start + length - 1}"

            def theirs(span: str | None = span) -> int:
                return loop.run(from_starlette(path, span))

            rounds = [
                (
                    milliseconds(lambda start=start, length=length: plainly(path, start, length), times, length),  # type: ignore[misc]
                    milliseconds(theirs, times, length),
                    milliseconds(lambda span=span: from_us(store, token, span), times, length),  # type: ignore[misc]
                )
                for _ in range(options.rounds)
            ]
            columns = [spread(column) for column in zip(*rounds, strict=True)]
            ratio = spread([ours / theirs for _, theirs, ours in rounds])
            print(f"| {what} | {' | '.join(columns)} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
