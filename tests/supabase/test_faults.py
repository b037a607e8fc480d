"""Whatever goes wrong on the way, an operation ends in one of three: done, refused with nothing changed, or unknown.

A cell of the matrix is a method of the Backend protocol, a route it takes, and a fault on that route.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatch
from typing import Any

import pytest

from audiostore.backends.supabase import SupabaseBackend
from audiostore.errors import AudioStoreError, NotFound, Unavailable
from audiostore.protocols import Backend
from tests.supabase.operations import ACTS, BEFORE, HERE, NEW, THERE, WITHOUT_REQUESTS, Act, State
from tests.supabase.project import BUCKET, QUICK, Served

HASTY = replace(
    QUICK, read=timedelta(seconds=0.3), total=timedelta(seconds=3), tries=3, pause=timedelta(milliseconds=2)
)
LATE = timedelta(seconds=0.6)

FAULTS: dict[str, dict[str, Any]] = {
    "400": {"status": 400},
    "403": {"status": 403},
    "429": {"status": 429, "retry_after": timedelta(0)},
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503, "retry_after": timedelta(0)},
    "504": {"status": 504},
    "a burst of 503": {"status": 503, "times": 2},
    "a request cut at once": {"cut_request_after": 0},
    "a request cut midway": {"cut_request_after": 30_000},
    "an answer cut at once": {"cut_response_after": 0},
    "an answer cut midway": {"cut_response_after": 20},
    "a lost answer": {"lose_response": True},
    "a broken answer": {"malformed": True},
    "a slow drip": {"drip": timedelta(milliseconds=2)},
    "an answer too late": {"latency": LATE},
    "500 for good": {"status": 500, "times": 1000},
    "429 for good": {"status": 429, "times": 1000},
    "lost answers for good": {"lose_response": True, "times": 1000},
    "broken answers for good": {"malformed": True, "times": 1000},
}
CELLS = [(name, route, fault) for name, act in ACTS.items() for route in act.routes for fault in FAULTS]


@pytest.fixture
def hasty(project: Served) -> Iterator[SupabaseBackend]:
    project.timeouts = HASTY
    with closing(project.backend(tus_threshold="1 MB")) as backend:
        yield backend


def begin(project: Served, backend: SupabaseBackend, act: Act) -> None:
    for key, data in BEFORE.items():
        backend.write(HERE if key == HERE else THERE, project.stage(data))
    act.prepare(project)
    assert state(project) == BEFORE
    project.fake.requests.clear()


def state(project: Served) -> State:
    there = project.keys()
    return {key: project.fake.read(BUCKET, key) for key in there}


@pytest.mark.parametrize("part", [Backend, SupabaseBackend])
def test_the_matrix_has_every_method(part: type) -> None:
    methods = {name for name, value in vars(part).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert methods - {act.method for act in ACTS.values()} == WITHOUT_REQUESTS


@pytest.mark.parametrize("name", ACTS)
def test_the_matrix_has_every_route_that_a_method_takes(project: Served, hasty: SupabaseBackend, name: str) -> None:
    act = ACTS[name]
    begin(project, hasty, act)
    act.run(project, hasty)
    taken = {(each.method, each.path) for each in project.fake.requests}
    cells = [route.split(" ") for route in act.routes]
    assert [each for each in taken if not any(each[0] == how and fnmatch(each[1], path) for how, path in cells)] == []
    assert [route for route in act.routes if not any(fnmatch(f"{how} {path}", route) for how, path in taken)] == []


@pytest.mark.parametrize(("name", "route", "fault"), CELLS)
def test_it_is_done_or_refused_or_unknown(
    project: Served, hasty: SupabaseBackend, name: str, route: str, fault: str
) -> None:
    act = ACTS[name]
    begin(project, hasty, act)
    project.fake.fail_next(route, **FAULTS[fault])
    began, error = time.monotonic(), None
    try:
        assert act.run(project, hasty) == act.gives
    except AudioStoreError as raised:
        error = raised
    assert time.monotonic() - began < HASTY.total.total_seconds() + 1
    _check(act, error, state(project))
    project.fake._faults.clear()  # pyright: ignore[reportPrivateUsage]
    _find_out(project, hasty, act, error)
    assert project.fake.service_key not in f"{error} {error!r} {error.__cause__!r}" if error else True


def _check(act: Act, error: AudioStoreError | None, now: State) -> None:
    if error is None:
        assert now == act.after
    elif isinstance(error, Unavailable):
        assert now in (BEFORE, act.after)
    else:
        assert now == BEFORE


def _find_out(project: Served, backend: SupabaseBackend, act: Act, error: AudioStoreError | None) -> None:
    """Look as the documentation says: ``stat`` tells what became of it, and a repeat then ends as it should."""
    if not isinstance(error, Unavailable):
        return
    for key in (HERE, NEW):
        try:
            assert backend.stat(key).size == len(state(project)[key])
        except NotFound:
            assert key not in state(project)
    if state(project) == BEFORE:
        assert act.run(project, backend) == act.gives
        assert state(project) == act.after
