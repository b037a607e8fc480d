"""A life of many calls, broken wherever Hypothesis likes, against a model of what was acknowledged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]
)

from audiostore import AudioFile
from audiostore.cancelling import CallerGone, Cancellation
from audiostore.errors import AudioStoreError, NotFound, QuotaExceeded, ReservationExpired, Unavailable
from audiostore.models import Place, UploadGrant
from tests.crashes.faults import AppError, Death
from tests.crashes.operations import NEW, NO_CHANGE, applied, known
from tests.crashes.worlds import HOLD, LONG, OWNERS, QUOTA, File, World
from tests.shares import amount

Change: TypeAlias = Mapping[str, File | None]
Break: TypeAlias = tuple[int, str] | None
"""The how manieth crossing of a seam is broken, and how."""

breaks = st.none() | st.tuples(st.integers(0, 40), st.sampled_from(["error", "death", "cancel"]))
owners = st.sampled_from(OWNERS)
sizes = st.sampled_from([1, 90, 250, 400, QUOTA, QUOTA + 1])
picks = st.integers(0, 99)
projects = st.sampled_from(["p1", "p2"])

LATE = (NotFound, ReservationExpired)
"""What may be answered to somebody who comes too late."""


class Lives(RuleBasedStateMachine):
    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.kind)
        self.world.configure(fallback=True)
        self.files: dict[str, File] = {}
        self.grants: list[tuple[UploadGrant, File]] = []
        self.count = 0

    @rule(owner=owners, size=sizes, project=projects, at=breaks)
    def put(self, owner: str, size: int, project: str, at: Break) -> None:
        file = self._file(owner, size, project)
        self._do(lambda: self._put(file), {NEW: file}, at, takes=size)

    @rule(owner=owners, number=st.integers(0, 2), at=breaks)
    def put_with_an_idempotency_key(self, owner: str, number: int, at: Break) -> None:
        file = File(owner, Place("p1"), f"{owner}'s {number}".encode().ljust(100))
        stored = self._do(lambda: self._put(file, idempotency_key=f"key {number}"), {NEW: file}, at, takes=100)
        assert stored is None or stored.id in self.files

    @precondition(lambda self: self.files)
    @rule(pick=picks, size=sizes, at=breaks)
    def replace(self, pick: int, size: int, at: Break) -> None:
        file, old = self._pick(pick)
        new = File(old.owner, old.place, self._content(size))
        act = lambda: self.world.store.replace(file, new.content, owner=old.owner)  # noqa: E731
        self._do(act, {file: new}, at, takes=size - len(old.content))

    @precondition(lambda self: self.files)
    @rule(pick=picks, at=breaks)
    def delete(self, pick: int, at: Break) -> None:
        file, old = self._pick(pick)
        self._do(lambda: self.world.store.delete(file, owner=old.owner), {file: None}, at)

    @precondition(lambda self: self.files)
    @rule(pick=picks, project=projects, at=breaks)
    def move(self, pick: int, project: str, at: Break) -> None:
        file, old = self._pick(pick)
        new = File(old.owner, Place(project), old.content)
        self._do(lambda: self.world.store.move(file, owner=old.owner, project=project), {file: new}, at)

    @precondition(lambda self: self.files)
    @rule(pick=picks, at=breaks)
    def copy(self, pick: int, at: Break) -> None:
        file, old = self._pick(pick)
        self._do(lambda: self.world.store.copy(file, owner=old.owner), {NEW: old}, at, takes=len(old.content))

    @precondition(lambda self: self.files)
    @rule(pick=picks, at=breaks)
    def promote(self, pick: int, at: Break) -> None:
        file, old = self._pick(pick)
        self._do(lambda: self.world.store.promote(file, owner=old.owner), {}, at)

    @rule(owner=owners, size=sizes, project=projects, at=breaks)
    def begin_upload(self, owner: str, size: int, project: str, at: Break) -> None:
        file = self._file(owner, size, project)
        act = lambda: self.world.store.begin_upload(owner=owner, size=size, project=project)  # noqa: E731
        grant = self._do(act, {}, at, takes=size)
        if grant is not None:
            self.grants.append((grant, file))

    @precondition(lambda self: self.grants)
    @rule(pick=picks, at=breaks)
    def send(self, pick: int, at: Break) -> None:
        grant, file = self.grants[pick % len(self.grants)]
        self._do(lambda: self.world.send(grant, len(file.content), iter([file.content])), {}, at)

    @precondition(lambda self: self.grants)
    @rule(pick=picks, at=breaks)
    def finish_upload(self, pick: int, at: Break) -> None:
        grant, file = self.grants[pick % len(self.grants)]
        self._do(lambda: self.world.store.finish_upload(grant, owner=file.owner), {NEW: file}, at, may_fail=LATE)

    @rule(owner=owners, project=projects, at=breaks)
    def delete_project(self, owner: str, project: str, at: Break) -> None:
        gone = {each: None for each, file in self.files.items() if (file.owner, file.place.project) == (owner, project)}
        self._do(lambda: self.world.store.delete_project(owner, project), gone, at)

    @rule(at=breaks)
    def sweep(self, at: Break) -> None:
        self._do(self.world.store.sweep, {}, at)

    @rule(by=st.sampled_from([timedelta(seconds=1), HOLD, timedelta(minutes=2), LONG]))
    def let_time_pass(self, by: timedelta) -> None:
        self.world.pass_time(by)

    @rule(down=st.booleans())
    def lose_or_regain_the_backend(self, down: bool) -> None:
        self.world.down.clear()
        self.world.down.update({"main"} if down else set[str]())

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        self.world.check()
        assert self.world.state() == self.files

    def teardown(self) -> None:
        try:
            self.world.settle()
            assert self.world.state() == self.files
        finally:
            self.world.close()

    def _do(
        self,
        act: Callable[[], Any],
        change: Change,
        at: Break,
        *,
        takes: int = 0,
        may_fail: tuple[type[Exception], ...] = (),
    ) -> Any:
        """Act, broken or cancelled as told; then take over what is seen, if it is the old or the new."""
        cancellation = Cancellation()
        before, answer, allowed, done = self.files, None, [change, NO_CHANGE], False
        error: BaseException | None = None
        self.world.faults.begin(nth=at, cancel=cancellation.cancel)
        try:
            answer = cancellation.run(act)
            done = True
            # Again the same file: the same idempotency key, or the same upload.
            again = NEW in change and isinstance(answer, AudioFile) and answer.id in before
            allowed = [NO_CHANGE] if again else [change]
            if cancellation.cancelled:  # too late to stop it: its caller takes back what nobody else can know of
                taken_back = cancellation.has_made
                cancellation.undo()
                answer, allowed = None, [NO_CHANGE] if taken_back else allowed
        except (AudioStoreError, AppError, Death, CallerGone) as raised:
            error = raised
        if isinstance(error, QuotaExceeded):
            assert error.used + error.reserved + takes > QUOTA, f"refused although it fits: {error}"
            allowed = [NO_CHANGE]
        elif error is not None and not (self.world.faults.broken or cancellation.cancelled):
            assert isinstance(error, (Unavailable, *may_fail)), f"it failed with {error!r}"
        if self.world.faults.dead:
            self.world.restart()
        seen = self.world.state()
        if not done and len(change) > 1:
            self._check_each(before, known(seen, before), change)
        else:
            assert known(seen, before) in [applied(before, each) for each in allowed], "neither old nor new"
        self.files = dict(seen)
        return answer

    def _check_each(self, before: Mapping[str, File], seen: Mapping[str, File], change: Change) -> None:
        for each in {*before, *seen, *change}:
            assert seen.get(each) in {before.get(each), change.get(each, before.get(each))}, "neither old nor new"

    def _put(self, file: File, **options: Any) -> AudioFile:
        return self.world.store.put(file.content, owner=file.owner, project=file.place.project, **options)

    def _pick(self, pick: int) -> tuple[str, File]:
        return sorted(self.files.items())[pick % len(self.files)]

    def _file(self, owner: str, size: int, project: str) -> File:
        return File(owner, Place(project), self._content(size))

    def _content(self, size: int) -> bytes:
        self.count += 1
        return f"{self.count}.".encode().ljust(size, b"~")[:size]


class LivesOnDisk(Lives):
    kind = "disk"


class LivesOnSupabase(Lives):
    kind = "cloud"


SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@pytest.mark.parametrize(
    ("lives", "examples"),
    [
        pytest.param(Lives, amount(80, 2000), marks=pytest.mark.slow),
        pytest.param(LivesOnDisk, amount(12, 300), marks=pytest.mark.slow),
        pytest.param(LivesOnSupabase, amount(4, 100), marks=pytest.mark.slow),
    ],
)
def test_whatever_breaks_nothing_acknowledged_is_lost_and_nothing_else_is_left(
    lives: type[Lives], examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    course = settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=SLOW)
    run_state_machine_as_test(lives, settings=course)
