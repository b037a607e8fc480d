"""Everything that can be asked of a store, once: what must be there before, the call, and what it is to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, TypeAlias

from audiostore.errors import AudioStoreError, Unavailable
from audiostore.models import AudioFile, Place, UploadGrant
from tests.crashes.faults import AppError, Death, Step
from tests.crashes.worlds import LONG, File, State, World

NEW = "new"
"""Stands for the id of a file that there was not before."""

Effect: TypeAlias = Callable[[State], Mapping[str, File | None]]
"""What changes: files by id (``NEW``: one more), None for those that go."""


NO_CHANGE: Mapping[str, File | None] = {}


def nothing(state: State) -> Mapping[str, File | None]:
    return NO_CHANGE


def ignore(done: int, resume: str | None) -> None:
    """Take what a progress callback is told, and go on."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call of the facade on a world that *prepare* has furnished.

    *repeatable*: make it again, and it is done once. *keeps_room*: after an error, for whoever makes it again.
    """

    prepare: Callable[[World], Any]
    act: Callable[[World, Any], object]
    effect: Effect = nothing
    repeatable: bool = True
    keeps_room: bool = False
    options: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def furnish(self, world: World) -> Any:
        world.configure(**self.options)
        return self.prepare(world)

    def check_done(self, before: State, after: State) -> None:
        """Check that all has changed that was to change, and nothing else."""
        assert known(after, before) == applied(before, self.effect(before)), "it was done, but not as asked"

    def check_left(self, before: State, after: State, error: BaseException) -> None:
        """Check what a failed call left: for each file the old or the new, never half, never nothing."""
        changes = self.effect(before)
        if _tells_that_nothing_changed(error):
            changes = NO_CHANGE
        seen, target = known(after, before), applied(before, changes)
        for each in {*before, *seen, *target}:
            allowed = {before.get(each), target.get(each)}
            assert seen.get(each) in allowed, f"{each} is neither old nor new"


def _tells_that_nothing_changed(error: BaseException) -> bool:
    return isinstance(error, AppError) or (isinstance(error, AudioStoreError) and not isinstance(error, Unavailable))


def known(after: State, before: State) -> Mapping[str, File]:
    fresh = [each for each in after if each not in before]
    assert len(fresh) <= 1, "stored more than once"
    return {each if each in before else NEW: file for each, file in after.items()}


def applied(before: State, changes: Mapping[str, File | None]) -> Mapping[str, File]:
    return {each: file for each, file in {**before, **changes}.items() if file is not None}


HOME = Place("p1", "1", "2")
OLD, FRESH = b"alice's first take ".ljust(120, b"."), b"alice's second take ".ljust(200, b":")


def put_old(world: World) -> AudioFile:
    return world.plain.put(OLD, owner="alice", project="p1", chapter=1, section=2, filename="take.wav")


def _chunks(world: World) -> Iterator[bytes]:
    return world.faults.items("source", iter([FRESH[:100], FRESH[100:]]))


def _put(world: World, _: Any = None, **options: Any) -> AudioFile:
    return world.store.put(
        _chunks(world), owner="alice", project="p1", chapter=1, section=2, filename="take.wav", **options
    )


def _put_with_progress(world: World, _: Any) -> AudioFile:
    return _put(world, progress=world.faults.calls("progress", ignore))


def _put_into_spare(world: World) -> AudioFile:
    world.down.add("main")
    file = world.store.put(OLD, owner="alice", project="p1", chapter=1, section=2, filename="take.wav")
    world.down.clear()
    world.pass_time(LONG)
    world.plain.sweep()
    return file


def _begin(world: World) -> UploadGrant:
    return world.store.begin_upload(
        owner="alice", size=len(FRESH), filename="take.wav", project="p1", chapter=1, section=2
    )


def _send(world: World, grant: UploadGrant) -> None:
    status = world.send(grant, len(FRESH), _chunks(world))
    if status >= 500:
        raise Unavailable(f"answer {status}")


def _sent(world: World) -> UploadGrant:
    grant = _begin(world)
    _send(world, grant)
    return grant


def _library(world: World) -> AudioFile:
    file = put_old(world)
    world.plain.put(b"another section", owner="alice", project="p1", chapter=2)
    world.plain.put(b"another book", owner="alice", project="p2")
    world.plain.put(b"another owner", owner="bob", project="p1")
    _sent(world)
    return file


_MESSING: Sequence[Callable[[World, AudioFile], object]] = (
    lambda world, _: world.store.put(b"put", owner="alice"),
    lambda world, file: world.store.replace(file, b"other", owner="alice"),
    lambda world, file: world.store.delete(file, owner="alice"),
)


def _mess(world: World) -> None:
    """Leave what dead processes leave."""
    for act, step in _deaths():
        _die(world, act, step)
    world.pass_time(LONG)


@cache
def _deaths() -> Sequence[tuple[Callable[[World, AudioFile], object], Step]]:
    """Find the deaths that leave something to sweep up, one for each kind of rest."""
    found: dict[object, tuple[Callable[[World, AudioFile], object], Step]] = {}
    for act in _MESSING:
        with World("memory") as world:
            file = world.plain.put(b"old", owner="alice")
            world.faults.begin()
            act(world, file)
            steps = world.faults.trace
        for step in steps:
            with World("memory") as world:
                _die(world, act, step)
                world.pass_time(LONG)
                objects, report = len(world.objects()), world.plain.sweep()
                if report.expired or report.erased:
                    found[act, report, objects] = act, step
    return list(found.values())


def _die(world: World, act: Callable[[World, AudioFile], object], step: Step) -> None:
    file = world.plain.put(b"old", owner="alice")
    world.faults.begin({step: world.faults.die})
    with suppress(Death):
        act(world, file)
    world.restart()


def _orphan(world: World) -> AudioFile:
    world.write_orphan(b"nobody knows me")
    return put_old(world)


def _look(world: World, file: AudioFile) -> None:
    store = world.store
    assert store.get(file) == OLD
    assert [each.id for each in store.list(owner="alice")] == [file.id]
    assert store.exists(file)
    assert store.url(file)
    assert store.find(path=file.key, owner="alice") == file
    assert store.audit().ok


def replaced(content: bytes, only: str | None = None) -> Effect:
    return lambda state: {
        each: File("alice", file.place, content) for each, file in state.items() if only in {None, each}
    }


def moved(only: str | None = None) -> Effect:
    return lambda state: {
        each: File("alice", Place("p1", "9", "2"), file.content) for each, file in state.items() if only in {None, each}
    }


def _copied(state: State) -> Mapping[str, File | None]:
    taken = next(iter(state.values()), None)
    return {} if taken is None else {NEW: File("alice", Place("p1", taken.place.chapter, "7"), taken.content)}


def _added(content: bytes) -> Effect:
    return lambda state: {NEW: File("alice", HOME, content)}


def gone(project: str | None = None) -> Effect:
    return lambda state: {
        each: None for each, file in state.items() if file.owner == "alice" and project in {None, file.place.project}
    }


def gone_alone(only: str) -> Effect:
    return lambda state: {only: None}


def _none(world: World) -> None:
    """Furnish nothing."""


OPERATIONS: Mapping[str, Operation] = {
    "put": Operation(prepare=_none, act=_put, effect=_added(FRESH), repeatable=False),
    "put with progress": Operation(prepare=_none, act=_put_with_progress, effect=_added(FRESH), repeatable=False),
    "put that lasts": Operation(
        prepare=_none, act=_put, effect=_added(FRESH), repeatable=False, options={"slow": True}
    ),
    "put processed": Operation(
        prepare=_none,
        act=_put,
        effect=_added(FRESH.upper() + b"!"),
        repeatable=False,
        options={"processing": True},
    ),
    "put with an idempotency key": Operation(
        prepare=_none, act=lambda world, _: _put(world, idempotency_key="once"), effect=_added(FRESH), keeps_room=True
    ),
    "put beside a fallback": Operation(
        prepare=_none, act=_put, effect=_added(FRESH), repeatable=False, options={"fallback": True}
    ),
    "put into the fallback": Operation(
        prepare=lambda world: world.down.add("main"),
        act=_put,
        effect=_added(FRESH),
        repeatable=False,
        options={"fallback": True},
    ),
    "replace": Operation(
        prepare=put_old,
        act=lambda world, file: world.store.replace(file, _chunks(world), owner="alice"),
        effect=replaced(FRESH),
    ),
    "replace with less": Operation(
        prepare=put_old,
        act=lambda world, file: world.store.replace(file, b"less", owner="alice", idempotency_key="once"),
        effect=replaced(b"less"),
        keeps_room=True,
    ),
    "delete": Operation(
        prepare=put_old, act=lambda world, file: world.store.delete(file, owner="alice"), effect=gone()
    ),
    "move": Operation(
        prepare=put_old, act=lambda world, file: world.store.move(file, owner="alice", chapter=9), effect=moved()
    ),
    "copy": Operation(
        prepare=put_old,
        act=lambda world, file: world.store.copy(file, owner="alice", section=7),
        effect=_copied,
        repeatable=False,
    ),
    "promote": Operation(
        prepare=_put_into_spare,
        act=lambda world, file: world.store.promote(file, owner="alice"),
        options={"fallback": True},
    ),
    "begin upload": Operation(prepare=_none, act=lambda world, _: _begin(world), repeatable=False),
    "receive": Operation(prepare=_begin, act=_send),
    "finish upload": Operation(
        prepare=_sent,
        act=lambda world, grant: world.store.finish_upload(grant, owner="alice"),
        effect=_added(FRESH),
    ),
    "finish upload, processed": Operation(
        prepare=_sent,
        act=lambda world, grant: world.store.finish_upload(grant, owner="alice"),
        effect=_added(FRESH.upper() + b"!"),
        options={"processing": True},
    ),
    "cancel upload": Operation(prepare=_sent, act=lambda world, grant: world.store.cancel_upload(grant, owner="alice")),
    "delete project": Operation(
        prepare=_library, act=lambda world, _: world.store.delete_project("alice", "p1"), effect=gone("p1")
    ),
    "delete owner": Operation(prepare=_library, act=lambda world, _: world.store.delete_owner("alice"), effect=gone()),
    "sweep": Operation(prepare=_mess, act=lambda world, _: world.store.sweep()),
    "sweep of orphans": Operation(
        prepare=_orphan,
        act=lambda world, _: world.store.sweep(orphans=True, grace=timedelta(0)),
        options={"orphans": True},
    ),
    "audit that repairs": Operation(
        prepare=_orphan, act=lambda world, _: world.store.audit(repair=True), options={"orphans": True}
    ),
    "get": Operation(prepare=put_old, act=lambda world, file: world.store.get(file, owner="alice")),
    "look": Operation(prepare=put_old, act=_look, repeatable=False),
}
