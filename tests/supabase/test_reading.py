"""Reads stream, go on where a connection broke, and are never a splice of two objects."""

from __future__ import annotations

import io
import random
import socket
import threading
import wave
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from audiostore import AudioStore
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.sqlite import SQLiteCatalog
from audiostore.errors import ChecksumMismatch, NotFound, Unavailable
from audiostore.keys import Key
from audiostore.streams import AHEAD
from audiostore.testing.bench import differs_at
from audiostore.transport import STRAIGHT
from tests.supabase.project import BUCKET, KIB, QUICK, Served, served

KEY = Key("alice/book.wav")
SOUND = random.Random(7).randbytes(1000 * KIB)
LONG = SOUND * (STRAIGHT // len(SOUND) + 2)
"""So much that its bytes are read past the HTTP client; ``SOUND`` is not."""


@pytest.fixture(scope="module")
def holding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project that holds ``LONG``."""
    with served(tmp_path_factory.mktemp("holding")) as project:
        with closing(project.backend(tus_threshold=len(LONG))) as backend:
            backend.write(KEY, project.stage(LONG))
        yield project


@pytest.mark.parametrize(("start", "end"), [(0, None), (5, None), (0, 700 * KIB), (100, 900 * KIB)])
@pytest.mark.parametrize("cut", [0, 1, 300 * KIB])
def test_a_broken_read_goes_on_at_the_byte_where_it_broke(
    project: Served, backend: SupabaseBackend, start: int, end: int | None, cut: int
) -> None:
    backend.write(KEY, project.stage(SOUND))
    project.fake.requests.clear()
    project.fake.fail_next("GET /object/*", cut_response_after=cut)
    with backend.read(KEY, start, end) as stream:
        assert b"".join(stream) == SOUND[start:end]
    first, second = (each for each in project.fake.requests if each.method == "GET")
    last = "" if cut == 0 and end is None else len(SOUND) - 1 if end is None else end - 1
    if cut:
        assert second.headers["range"] == f"bytes={start + cut}-{last}"
    assert first.path == second.path


def test_a_read_that_breaks_often_but_moves_on_arrives(project: Served, backend: SupabaseBackend) -> None:
    backend.write(KEY, project.stage(SOUND))
    project.fake.fail_next("GET /object/*", cut_response_after=100 * KIB, times=9)
    with backend.read(KEY) as stream:
        assert b"".join(stream) == SOUND


def test_a_read_that_never_moves_on_ends(project: Served, backend: SupabaseBackend) -> None:
    backend.write(KEY, project.stage(SOUND))
    project.fake.requests.clear()
    project.fake.fail_next("GET /object/*", cut_response_after=300 * KIB)
    with backend.read(KEY) as stream:
        got = next(stream)
        project.fake.fail_next("GET /object/*", status=503, times=100)
        with pytest.raises(Unavailable) as raised:
            list(stream)
    assert SOUND.startswith(got)
    assert raised.value.retryable
    assert len(project.fake.requests) <= 1 + QUICK.tries


@pytest.mark.parametrize("change", ["replaced", "shrunk", "removed"])
def test_an_object_that_changed_meanwhile_is_an_error(project: Served, backend: SupabaseBackend, change: str) -> None:
    backend.write(KEY, project.stage(SOUND))
    project.fake.fail_next("GET /object/*", cut_response_after=600 * KIB)
    expected = NotFound if change == "removed" else ChecksumMismatch
    with backend.read(KEY) as stream:
        got = next(stream)
        backend.delete([KEY])
        if change != "removed":
            backend.write(KEY, project.stage(bytes(len(SOUND) if change == "replaced" else 5)))
        with pytest.raises(expected):
            list(stream)
    assert SOUND.startswith(got)


def test_a_stream_that_is_dropped_frees_its_connection(project: Served) -> None:
    with closing(project.backend()) as backend:
        backend.write(KEY, project.stage(SOUND))
        for _ in range(100):
            with backend.read(KEY) as stream:
                next(stream)


@pytest.mark.parametrize(
    ("start", "end", "cut"),
    [
        (0, None, None),
        (5, None, 1),
        (0, None, 300 * KIB),
        (100, len(LONG) - 100, 5_000 * KIB + 1),
    ],
)
def test_a_long_read_goes_on_at_the_byte_where_it_broke(
    holding: Served, start: int, end: int | None, cut: int | None
) -> None:
    holding.fake.requests.clear()
    if cut is not None:
        holding.fake.fail_next("GET /object/*", cut_response_after=cut)
    with closing(holding.backend()) as backend, backend.read(KEY, start, end) as stream:
        assert differs_at(b"".join(stream), LONG[start:end]) is None
    went_on = [each.headers["range"].partition("-")[0] for each in holding.fake.requests[1:]]
    assert went_on == ([] if cut is None else [f"bytes={start + cut}"])


def test_a_long_read_outlives_the_end_of_its_connections(holding: Served) -> None:
    with closing(holding.backend()) as backend, backend.read(KEY) as stream:
        got = [next(stream) for _ in range(9)]
        backend.close()
        assert differs_at(b"".join([*got, *stream]), LONG) is None


def test_a_long_stream_that_is_dropped_frees_its_connection(holding: Served) -> None:
    with closing(holding.backend()) as backend:
        for _ in range(70):  # more than the pool has
            with backend.read(KEY) as stream:
                assert LONG.startswith(next(stream) + next(stream))


def test_a_long_read_that_stalls_ends_in_time() -> None:
    timeouts = replace(QUICK, read=timedelta(milliseconds=50), tries=2)
    with stalling(b"x" * 300 * KIB) as url, closing(SupabaseBackend(url, "key", timeouts=timeouts)) as backend:
        got: list[bytes] = []
        with backend.read(KEY) as stream, pytest.raises(Unavailable, match="in time"):
            got.extend(stream)
        assert sum(map(len, got)) == 300 * KIB


@contextmanager
def stalling(content: bytes) -> Generator[str]:
    """Serve a long answer once that stops after *content*; after that nobody is served."""
    over = threading.Event()

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(64 * KIB)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LONG) + content)
            over.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def test_an_open_file_is_fetched_as_it_is_read(project: Served, backend: SupabaseBackend, tmp_path: Path) -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as written:
        written.setparams((1, 2, 8000, 0, "NONE", ""))
        written.writeframes(SOUND * 4)
    with AudioStore(backend, SQLiteCatalog(tmp_path / "catalog.db")) as store:
        file = store.put(sound.getvalue(), owner="alice", filename="take.wav")
        project.fake.requests.clear()
        with store.open(file) as opened, wave.open(opened) as read:
            read.setpos(read.getnframes() - 10)
            assert differs_at(read.readframes(10), SOUND[-20:]) is None
        assert len(ranges(project)) == 2
        assert sum(end - start for start, end in ranges(project)) <= 2 * AHEAD
        project.fake.requests.clear()
        with store.open(file) as opened:
            got = iter(partial(opened.read, 100), b"")
            assert differs_at(b"".join(got), sound.getvalue()) is None
        assert len(ranges(project)) <= 8, "small reads must share their requests"


def ranges(project: Served) -> list[tuple[int, int]]:
    told = [each.headers["range"].removeprefix("bytes=").split("-") for each in project.fake.requests]
    return [(int(first), int(last) + 1) for first, last in told]


def test_a_row_without_bytes_is_unavailable_and_not_missing(project: Served, backend: SupabaseBackend) -> None:
    backend.write(KEY, project.stage(b"lost"))
    project.fake.lose_bytes(BUCKET, KEY)
    with pytest.raises(Unavailable):
        backend.read(KEY)
    assert backend.stat(KEY).size == 4
