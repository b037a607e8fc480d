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
from audiostore.errors import AudioStoreError, NotFound, ReservationExpired, Unavailable
from audiostore.keys import Key
from tests.crashes.breaking import record
from tests.crashes.faults import Step
from tests.crashes.operations import NEW, OPERATIONS, Effect, Operation, applied, gone, gone_alone, moved, nothing, replaced
from tests.crashes.worlds import LONG, File, State, World

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


def meet(operation: Operation, step: Step, intruder: Intruder, **defects: Any) -> None:
    with World("memory", **defects) as world:
        given = operation.furnish(world)
        before = world.state()
        happened: list[Effect] = []

        def intrude() -> None:
            file = given if isinstance(given, AudioFile) else NOBODYS
            with suppress(NotFound):
                intruder.act(world.second_store(), world, file)
                happened.append(intruder.effect(file))

        world.faults.begin({step: intrude})
        try:
            operation.act(world, given)
        except AudioStoreError as error:
            too_late = isinstance(error, NotFound | ReservationExpired | Unavailable)
            assert intruder.takes_away and too_late, f"{step}: {error!r}"
        else:
            happened.append(operation.effect)
        assert world.faults.broken == [step]
        world.check()
        world.settle()
        outcomes = [_in_turn(before, each) for each in (happened, happened[::-1])]
        assert _unnamed(world.state(), before) in outcomes, f"{step}: neither one nor the other went first"


def _in_turn(state: State, effects: Sequence[Effect]) -> Mapping[str, File]:
    for effect in effects:
        state = applied(state, effect(state))
    return _unnamed(state, state)


def _unnamed(after: State, before: State) -> Mapping[str, File]:
    return {each if each in before else NEW: file for each, file in after.items()}
