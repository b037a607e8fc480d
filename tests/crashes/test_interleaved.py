"""At every step of every operation, another process gets in and does something to the same file.

What comes out must be what comes out when one of the two goes first. That holds for a process that stood still for
so long that its reservation was swept away: it fails, and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from audiostore import AudioFile, AudioStore
from audiostore.errors import AudioStoreError, NotFound, ReservationExpired, Unavailable
from tests.crashes.breaking import record
from tests.crashes.faults import Step
from tests.crashes.operations import NEW, OPERATIONS, Effect, Operation, applied, gone, moved, nothing, replaced
from tests.crashes.worlds import LONG, File, State, World

THIRD = b"alice's third take ".ljust(90, b"-")


@dataclass(frozen=True, kw_only=True)
class Intruder:
    """What another process does meanwhile; *takes_away*: the operation may find that it came too late."""

    act: Callable[[AudioStore, World, AudioFile], object]
    effect: Effect = nothing
    takes_away: bool = False


def _stand_still(store: AudioStore, world: World, file: AudioFile) -> None:
    world.pass_time(LONG)
    store.sweep()


INTRUDERS: Mapping[str, Intruder] = {
    "a delete": Intruder(
        act=lambda store, world, file: store.delete(file, owner="alice"), effect=gone(), takes_away=True
    ),
    "a replace": Intruder(
        act=lambda store, world, file: store.replace(file, THIRD, owner="alice"), effect=replaced(THIRD)
    ),
    "a move": Intruder(act=lambda store, world, file: store.move(file, owner="alice", chapter=9), effect=moved),
    "a promote": Intruder(act=lambda store, world, file: store.promote(file, owner="alice")),
    "a delete of the owner": Intruder(
        act=lambda store, world, file: store.delete_owner("alice"), effect=gone(), takes_away=True
    ),
    "a sweep": Intruder(act=lambda store, world, file: store.sweep()),
    "a long sleep, and a sweep": Intruder(act=_stand_still, takes_away=True),
}


@pytest.mark.parametrize("intruder", INTRUDERS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_it_is_as_if_one_had_gone_first(name: str, intruder: str) -> None:
    for step in record("memory", OPERATIONS[name]):
        _meet(OPERATIONS[name], step, INTRUDERS[intruder])


def _meet(operation: Operation, step: Step, intruder: Intruder) -> None:
    with World("memory") as world:
        given = operation.furnish(world)
        file = given if isinstance(given, AudioFile) else None
        before = world.state()
        intrusion = _Intrusion(world, intruder, file)
        world.faults.begin({step: intrusion})
        error = _attempt(lambda: operation.act(world, given))
        assert world.faults.broken == [step]
        if error is not None:
            may_fail = intruder.takes_away and isinstance(error, NotFound | ReservationExpired)
            assert may_fail, f"{step}: it failed with {error!r}"
        world.check()
        world.settle()
        orders = _orders(operation.effect if error is None else nothing, intrusion.effect)
        assert _anonymous(world.state(), before) in [_in_order(before, each) for each in orders], step


class _Intrusion:
    """The intruder's call, from within the operation's."""

    def __init__(self, world: World, intruder: Intruder, file: AudioFile | None) -> None:
        self.effect = nothing
        self._world, self._intruder, self._file = world, intruder, file

    def __call__(self) -> None:
        files = [self._file] if self._file else list(self._world.plain.list(owner="alice"))
        for file in files[:1] or [_nobodys()]:
            with suppress(NotFound):
                self._intruder.act(self._world.second_store(), self._world, file)
                self.effect = self._intruder.effect
