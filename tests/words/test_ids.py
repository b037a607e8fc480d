"""Ids are unique, and sort by age whatever the clock does."""

from __future__ import annotations

import os
import re
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from audiostore import ids
from audiostore.ids import new_id


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test does to the clock must not keep the ids of the next one in the future."""
    monkeypatch.setattr(ids, "_last", ids._last)


def test_an_id_is_a_uuid_of_version_7_that_holds_the_time() -> None:
    before = time.time_ns() // 1_000_000
    parsed = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before <= parsed.int >> 80 <= after + 1
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", new_id())


def test_two_hundred_thousand_ids_differ_also_in_their_random_part() -> None:
    made = [new_id() for _ in range(200_000)]
    assert len(set(made)) == len(made)
    assert len({each[-17:] for each in made}) == len(made)
    assert made == sorted(made)


def test_ids_of_eight_threads_differ_and_each_thread_sees_them_grow() -> None:
    with ThreadPoolExecutor(8) as pool:
        by_thread = list(pool.map(_some, [5_000] * 8))
    assert all(made == sorted(made) for made in by_thread)
    assert len({each for made in by_thread for each in made}) == 40_000


def _some(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


def test_threads_that_take_turns_within_a_call_never_share_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()

    def slow_clock() -> int:
        # Long enough for other threads to get their turn in the middle of a call.
        return now + sum(range(50)) * 0

    monkeypatch.setattr(time, "time_ns", slow_clock)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            made = [each for some in pool.map(_some, [2_000] * 8) for each in some]
    finally:
        sys.setswitchinterval(interval)
    assert len({each[:18] for each in made}) == len(made)


def test_an_id_sorts_after_one_that_another_thread_had_made_before() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(new_id).result() for _ in range(2_000)]
    assert made == sorted(made)


def test_ids_grow_even_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    clock = iter([now, now, now - 3_600 * 10**9, 0, now - 1, now + 10**9])
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    made = [new_id() for _ in range(6)]
    assert made == sorted(made)
    assert len(set(made)) == 6


def test_a_clock_that_stands_still_gives_different_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len({each[:18] for each in made}) == len(made), "the time part alone tells them apart"


def test_a_fork_in_the_middle_of_another_threads_id_does_not_block_the_child() -> None:
    with ids._lock:  # as another thread would hold it at the moment of the fork
        child = os.fork()
        if child == 0:
            os._exit(0 if ids.new_id() else 1)
        assert os.waitpid(child, 0)[1] == 0
