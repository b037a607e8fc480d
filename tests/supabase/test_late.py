"""A request that arrives after its caller has given up: what it stores is nobody's, and does not stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from audiostore import AudioStore
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.errors import Unavailable
from audiostore.testing import SettableClock
from tests.supabase.operations import SOUND
from tests.supabase.project import Served
from tests.supabase.test_faults import HASTY

DAY = timedelta(days=1)
LONGER_THAN_ANYBODY_WAITS = timedelta(seconds=2)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(params=["alone", "beside a fallback"])
def store(request: pytest.FixtureRequest, project: Served, clock: SettableClock) -> Iterator[AudioStore]:
    project.timeouts = HASTY
    fallback = None if request.param == "alone" else MemoryBackend(name="fallback")
    with closing(AudioStore(project.backend(), MemoryCatalog(clock=clock), fallback=fallback)) as store:
        yield store


def arrive_late(project: Served, route: str) -> None:
    """Let the next request of *route* take its time; nobody can learn what became of it, but deleting works."""
    project.fake.fail_next(route, latency=LONGER_THAN_ANYBODY_WAITS)
    for others in ("POST *", "GET *", "HEAD *"):
        project.fake.fail_next(others, status=503, times=1000)


def wait_for(there: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not there():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def test_a_put_that_arrives_after_its_end_is_erased_by_a_later_sweep(
    project: Served, store: AudioStore, clock: SettableClock
) -> None:
    arrive_late(project, "POST /object/audio-files/*")
    kept = 0
    try:
        kept = store.put(SOUND, owner="alice").size
    except Unavailable:
        assert store.fallback is None
    project.fake._faults.clear()
    store.sweep()
    wait_for(project.keys)
    assert store.usage("alice").used == kept
    clock.advance(DAY)
    store.sweep()
    assert project.keys() == []
    assert store.audit().ok


def test_so_is_a_copy(project: Served, store: AudioStore, clock: SettableClock) -> None:
    file = store.put(SOUND, owner="alice")
    arrive_late(project, "POST /object/copy")
    with pytest.raises(Unavailable):
        store.copy(file, section="new")
    project.fake._faults.clear()
    store.sweep()
    wait_for(lambda: len(project.keys()) == 2)
    clock.advance(DAY)
    store.sweep()
    assert project.keys() == [file.key]
    assert store.usage("alice").used == file.size
    assert store.audit().ok
