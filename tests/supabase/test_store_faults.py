"""A store over Supabase, and a fault on each route that its changes take: nothing is half, or charged twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatch

import pytest

from audiostore import AudioFile, AudioStore, AudioStoreError
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog
from audiostore.testing import SettableClock
from tests.supabase.operations import INFO, SOUND
from tests.supabase.project import KIB, Served
from tests.supabase.test_faults import FAULTS, HASTY

OTHER = SOUND[::-1] + b"more"
NEARLY_THE_SAME = {"400", "502", "504", "429", "an answer cut midway", "a slow drip"}


class Desk:
    """A store with one file on Supabase and one in another backend."""

    def __init__(self, project: Served) -> None:
        self.project = project
        self.clock = SettableClock()
        catalog, elsewhere = MemoryCatalog(clock=self.clock), MemoryBackend()
        remote = project.backend(tus_threshold=100 * KIB, chunk_size=60 * KIB)
        self.store = AudioStore(remote, catalog, backends=[elsewhere])
        self.here = self.store.put(SOUND, owner="alice", section="here")
        self.there = AudioStore(elsewhere, catalog, backends=[remote]).put(OTHER, owner="alice", section="there")

    def files(self) -> dict[str | None, bytes]:
        """Read every file that can be found, which also verifies its bytes, by its section."""
        return {file.section: self.store.get(file) for file in self.store.list(owner="alice")}

    def sweep(self) -> None:
        self.clock.advance(timedelta(days=1))
        self.store.sweep()
        self.clock.advance(timedelta(days=1))
        self.store.sweep()


@dataclass(frozen=True)
class Change:
    """``adds`` and ``removes`` are what a success changes, by section."""

    run: Callable[[Desk], object]
    routes: tuple[str, ...] = ()
    adds: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    removes: frozenset[str] = frozenset()


BEFORE = {"here": SOUND, "there": OTHER}
POST, DELETE = "POST /object/audio-files/*", "DELETE /object/*"
CREATE, PATCH = "POST /upload/resumable", "PATCH /upload/resumable/*"
LARGE = OTHER * 2


def _put(data: bytes) -> Callable[[Desk], AudioFile]:
    return lambda desk: desk.store.put(data, owner="alice", section="new")


CHANGES = {
    "put": Change(_put(OTHER), (POST, INFO), adds={"new": OTHER}),
    "put in chunks": Change(_put(LARGE), (CREATE, PATCH, INFO), adds={"new": LARGE}),
    "replace": Change(lambda desk: desk.store.replace(desk.here, OTHER), (POST, INFO, DELETE), adds={"here": OTHER}),
    "copy": Change(
        lambda desk: desk.store.copy(desk.here, section="new"), ("POST /object/copy", INFO), adds={"new": SOUND}
    ),
    "promote": Change(lambda desk: desk.store.promote(desk.there), (POST, INFO)),
    "move": Change(
        lambda desk: desk.store.move(desk.here, section="new"), adds={"new": SOUND}, removes=frozenset({"here"})
    ),
    "delete": Change(lambda desk: desk.store.delete(desk.here), (DELETE,), removes=frozenset({"here"})),
    "delete_project": Change(lambda desk: desk.store.delete_project("alice", "none")),
    "delete_owner": Change(
        lambda desk: desk.store.delete_owner("alice"), (DELETE,), removes=frozenset({"here", "there"})
    ),
    "url": Change(lambda desk: desk.store.url(desk.here), ("POST /object/sign/*",)),
    "get": Change(lambda desk: desk.store.get(desk.here), ("GET /object/audio-files/*",)),
    "exists": Change(lambda desk: desk.store.exists(desk.here), (INFO,)),
    "begin_upload": Change(
        lambda desk: desk.store.begin_upload(owner="alice", size=5), ("POST /object/upload/sign/*",)
    ),
    "sweep": Change(lambda desk: desk.store.sweep(orphans=True), ("POST /object/list-v2/*",)),
    "audit": Change(lambda desk: desk.store.audit(), ("POST /object/list-v2/*",)),
}
CELLS = [
    (name, route, fault)
    for name, change in CHANGES.items()
    for route in change.routes
    for fault in FAULTS
    if fault not in NEARLY_THE_SAME
]


@pytest.fixture
def desk(project: Served) -> Iterator[Desk]:
    project.timeouts = HASTY
    desk = Desk(project)
    project.fake.requests.clear()
    with closing(desk.store):
        yield desk


@pytest.mark.parametrize("name", CHANGES)
def test_the_matrix_has_every_route_that_a_change_takes(project: Served, desk: Desk, name: str) -> None:
    CHANGES[name].run(desk)
    taken = {f"{each.method} {each.path}" for each in project.fake.requests}
    routes = CHANGES[name].routes
    assert [each for each in taken if not any(fnmatch(each, route) for route in routes)] == []
    assert [route for route in routes if not any(fnmatch(each, route) for each in taken)] == []


@pytest.mark.parametrize(("name", "route", "fault"), CELLS)
def test_a_change_is_whole_or_not_at_all_and_charged_once(
    project: Served, desk: Desk, name: str, route: str, fault: str
) -> None:
    change = CHANGES[name]
    after = {key: data for key, data in {**BEFORE, **change.adds}.items() if key not in change.removes}
    project.fake.fail_next(route, **FAULTS[fault])
    error = None
    try:
        change.run(desk)
    except AudioStoreError as raised:
        error = raised
    project.fake._faults.clear()
    assert desk.files() == (after if error is None else BEFORE)
    most = sum(len(data) for data in {**BEFORE, **change.adds}.values())
    _check_charge(desk, at_most=most + 5 + (len(SOUND) if name == "replace" else 0))
    desk.sweep()
    assert desk.files() == (after if error is None else BEFORE)
    kept = sum(len(data) for data in desk.files().values())
    _check_charge(desk, at_most=kept)
    assert desk.store.audit().drift == ()
    assert len(project.keys()) == sum(each.backend == "supabase" for each in desk.store.list(owner="alice"))


def _check_charge(desk: Desk, *, at_most: int) -> None:
    kept = sum(len(data) for data in desk.files().values())
    usage = desk.store.usage("alice")
    assert kept <= usage.used + usage.reserved <= at_most
