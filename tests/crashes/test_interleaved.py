"""At every step of every operation, another process gets in and does something to the same file.

What comes out must be what comes out when one of the two goes first. That holds for a process that stood still for
so long that its reservation was swept away: it fails, and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from audiostore import AudioFile, AudioStore
from audiostore.errors import AudioStoreError, NotFound, QuotaExceeded, ReservationExpired, Unavailable
from audiostore.keys import Key
from tests.crashes.breaking import record
from tests.crashes.faults import Step
from tests.crashes.operations import (
    FRESH,
    NEW,
    OPERATIONS,
    Effect,
    Operation,
    applied,
    gone,
    gone_alone,
    moved,
    nothing,
    replaced,
)
from tests.crashes.worlds import HOLD, LONG, QUOTA, File, State, World

NOBODYS = AudioFile(
    id="nobody's",
    owner="alice",
    project=None,
    chapter=None,
    section=None,
    filename="take.wav",
    key=Key("nobody/take.wav"),
    backend="main",
    size=1,
    sha256=None,
    content_type="audio/wav",
    duration=None,
    created_at=datetime.now(UTC),
)
TOO_LATE = (NotFound, QuotaExceeded, ReservationExpired, Unavailable)
THIRD = b"alice's third take ".ljust(90, b"-")


@dataclass(frozen=True, kw_only=True)
class Intruder:
    """What another process does meanwhile; *takes_away*: the operation may find that it came too late."""

    act: Callable[[AudioStore, World, AudioFile], object]
    effect: Callable[[AudioFile], Effect] = lambda file: nothing
    takes_away: bool = False


def _stand_still(store: AudioStore, world: World, file: AudioFile) -> None:
    world.pass_time(LONG)
    store.sweep()


INTRUDERS: Mapping[str, Intruder] = {
    "a delete": Intruder(
        act=lambda store, world, file: store.delete(file, owner="alice"),
        effect=lambda file: gone_alone(file.id),
        takes_away=True,
    ),
    "a replace": Intruder(
        act=lambda store, world, file: store.replace(file, THIRD, owner="alice"),
        effect=lambda file: replaced(THIRD, file.id),
    ),
    "a move": Intruder(
        act=lambda store, world, file: store.move(file, owner="alice", chapter=9),
        effect=lambda file: moved(file.id),
    ),
    "a promote": Intruder(act=lambda store, world, file: store.promote(file, owner="alice")),
    "a delete of the owner": Intruder(
        act=lambda store, world, file: store.delete_owner("alice"), effect=lambda file: gone(), takes_away=True
    ),
    "a sweep": Intruder(act=lambda store, world, file: store.sweep()),
    "a long sleep, and a sweep": Intruder(act=_stand_still, takes_away=True),
}


@pytest.mark.parametrize("intruder", INTRUDERS)
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "look"])
def test_it_is_as_if_one_had_gone_first(name: str, intruder: str) -> None:
    for step in record("memory", OPERATIONS[name]):
        meet(OPERATIONS[name], step, INTRUDERS[intruder])


def meet(operation: Operation, step: Step, intruder: Intruder, kind: str = "memory", **defects: Any) -> None:
    with World(kind, **defects) as world:
        given = operation.furnish(world)
        before = world.state()
        happened: list[Effect] = []

        def intrude() -> None:
            file = given if isinstance(given, AudioFile) else NOBODYS
            with suppress(NotFound):
                intruder.act(world.second_store(), world, file)
                happened.append(intruder.effect(file))

        world.faults.begin({step: intrude})
        error: AudioStoreError | None = None
        try:
            operation.act(world, given)
            happened.append(operation.effect)
        except AudioStoreError as raised:
            error = raised
        if error is not None:
            assert intruder.takes_away, f"{step}: {error!r}"
            assert isinstance(error, TOO_LATE)
        assert world.faults.broken == [step]
        world.check()
        world.settle()
        outcomes = [_in_turn(before, each) for each in (happened, happened[::-1])]
        assert _unnamed(world.state(), before) in outcomes, f"{step}: neither one nor the other went first"


def _in_turn(before: State, effects: Sequence[Effect]) -> Mapping[str, File]:
    state = before
    for effect in effects:
        state = applied(state, effect(state))
    return _unnamed(state, before)


def _unnamed(after: State, before: State) -> Mapping[str, File]:
    fresh = [each for each in after if each not in before]
    names = {each: f"{NEW} {number}" for number, each in enumerate(fresh)}
    return {names.get(each, each): file for each, file in after.items()}


def test_of_two_that_do_not_both_fit_one_gets_in() -> None:
    for step in record("memory", OPERATIONS["put"]):
        share_the_last_bytes(step)


def share_the_last_bytes(step: Step, kind: str = "memory", **defects: Any) -> None:
    with World(kind, **defects) as world:
        got_in: list[object] = []

        def intrude() -> None:
            with suppress(QuotaExceeded):
                got_in.append(world.second_store().begin_upload(owner="alice", size=QUOTA - len(FRESH) + 1))
            world.check()

        world.faults.begin({step: intrude})
        with suppress(QuotaExceeded):
            got_in.append(OPERATIONS["put"].act(world, None))
        world.check()
        assert len(got_in) == 1
        world.settle()


def test_a_second_try_while_the_first_one_sleeps_stores_it_once() -> None:
    operation = OPERATIONS["put with an idempotency key"]
    for step in record("memory", operation):
        _try_twice(operation, step)


def _try_twice(operation: Operation, step: Step, kind: str = "memory") -> None:
    with World(kind) as world:
        operation.furnish(world)
        given: list[object] = []

        def try_again() -> None:
            world.faults.begin()
            world.pass_time(2 * HOLD)
            given.append(operation.act(world, None))

        world.faults.begin({step: try_again})
        with suppress(ReservationExpired):
            given.append(operation.act(world, None))
        world.settle()
        assert given
        assert given == list(world.plain.list(owner="alice")) * len(given)


def _moments(name: str) -> Sequence[Step]:
    """Give the steps of an operation between which something is different: what is after one is before the next."""
    return [each for each in record("cloud", OPERATIONS[name]) if each.when == "before"]


@pytest.mark.slow
class TestOnSupabase:
    """Each moment is met by one intruder, the next moment by the next one: all pairs take minutes."""

    @pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "look"])
    def test_it_is_as_if_one_had_gone_first(self, name: str) -> None:
        first = list(OPERATIONS).index(name)
        for moment, step in enumerate(_moments(name), first):
            meet(OPERATIONS[name], step, list(INTRUDERS.values())[moment % len(INTRUDERS)], "cloud")

    def test_of_two_that_do_not_both_fit_one_gets_in(self) -> None:
        for step in _moments("put"):
            share_the_last_bytes(step, "cloud")

    def test_a_second_try_while_the_first_one_sleeps_stores_it_once(self) -> None:
        name = "put with an idempotency key"
        for step in _moments(name):
            _try_twice(OPERATIONS[name], step, "cloud")
