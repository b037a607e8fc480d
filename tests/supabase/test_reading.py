"""Reads stream, go on where a connection broke, and are never a splice of two objects."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from audiostore.backends.supabase import SupabaseBackend
from audiostore.errors import ChecksumMismatch, NotFound, Unavailable
from audiostore.keys import Key
from tests.supabase.project import BUCKET, KIB, QUICK, Served

KEY = Key("alice/book.wav")
SOUND = random.Random(7).randbytes(1000 * KIB)


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


def test_a_row_without_bytes_is_unavailable_and_not_missing(project: Served, backend: SupabaseBackend) -> None:
    backend.write(KEY, project.stage(b"lost"))
    project.fake.lose_bytes(BUCKET, KEY)
    with pytest.raises(Unavailable):
        backend.read(KEY)
    assert backend.stat(KEY).size == 4
