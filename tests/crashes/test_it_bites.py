"""The crash tests are tests only if a store that is wrong fails them: here are wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from audiostore import AudioFile, AudioStore, Limits
from audiostore.ids import new_id
from audiostore.models import Removal, Reservation
from audiostore.protocols import Backend, Catalog, Request, Written
from tests.crashes.breaking import break_at, plans, record
from tests.crashes.operations import OPERATIONS
from tests.crashes.test_interleaved import INTRUDERS, meet, share_the_last_bytes


class CommitsFirst(AudioStore):
    def _keep_in(self, backend: Backend, staged: Any, wanted: Any, operation: Any) -> AudioFile:
        reservation = self.catalog.reserve(self._request(new_id(), backend, staged, wanted))
        written = Written(size=staged.size, sha256=staged.sha256, content_type=staged.content_type)
        try:
            file, _ = self.catalog.commit(reservation.id, written, limits=wanted.limits)
            backend.write(reservation.key, staged)
        except BaseException as error:
            self._undo(reservation, error, resumable=False)
            raise
        return file


class NeverUndoes(AudioStore):
    def _undo(self, reservation: Reservation, error: BaseException, **options: Any) -> None:
        pass


class ErasesBeforeItHides(AudioStore):
    def delete(self, file: AudioFile | str, *, owner: str | None = None) -> None:
        record = self._resolve(file, owner)
        self.backend.delete([record.key])
        self.catalog.forget([each.id for each in self.catalog.hide(record.owner, [record.id])])


class ForgetsBeforeItErases(AudioStore):
    def _erase(self, removals: Iterable[Removal], *, forget: bool = True) -> list[Removal]:
        removals = list(removals)
        self.catalog.forget([each.id for each in removals])
        self.backend.delete([each.key for each in removals])
        return []


class Wrapped:
    """A part of which a subclass gets something wrong."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


class SweepsTheQueueOnly(Wrapped):
    def claim(self, limit: int, lease: timedelta) -> Sequence[Removal]:
        claimed: Sequence[Removal] = self._part.claim(limit, lease)
        self._part.forget([each.id for each in claimed])
        return claimed


class DoesNotCountWhatIsReserved(Wrapped):
    def reserve(self, request: Request) -> Reservation:
        usage = self._part.usage(request.owner, request.limits)
        limits = Limits(total=usage.quota + usage.reserved)
        return cast("Reservation", self._part.reserve(replace(request, limits=limits)))


class LetsExpiredObjectsLie(Wrapped):
    def expire(self, limit: int) -> int:
        expired: int = self._part.expire(limit)
        if expired:
            self._part.forget([each.id for each in self._part.claim(limit, timedelta(days=1))])
        return expired


class ForgetsTheReplacedObject(Wrapped):
    def commit(self, *args: Any, **options: Any) -> tuple[AudioFile, Sequence[Removal]]:
        file, removals = self._part.commit(*args, **options)
        self._part.forget([each.id for each in removals])
        return file, ()


class DoesNotErase(Wrapped):
    def delete(self, keys: Any) -> frozenset[Any]:
        return frozenset(keys)


def as_catalog(wrong: type[Wrapped]) -> Callable[[Catalog], Catalog]:
    return lambda part: cast("Catalog", wrong(part))


def as_backend(wrong: type[Wrapped]) -> Callable[[Backend], Backend]:
    return lambda part: cast("Backend", wrong(part))


WRONG: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "commits before it writes": ("put", {"store": CommitsFirst}),
    "never undoes": ("put", {"store": NeverUndoes}),
    "erases before it hides": ("delete", {"store": ErasesBeforeItHides}),
    "forgets before it erases": ("delete", {"store": ForgetsBeforeItErases}),
    "sweeps the queue only": ("sweep", {"catalog": as_catalog(SweepsTheQueueOnly)}),
    "lets expired objects lie": ("put", {"catalog": as_catalog(LetsExpiredObjectsLie)}),
    "forgets the replaced object": ("replace", {"catalog": as_catalog(ForgetsTheReplacedObject)}),
    "does not erase": ("delete", {"backend": as_backend(DoesNotErase)}),
}


def try_every_step(name: str, **defects: Any) -> None:
    for plan in plans(record("memory", OPERATIONS[name])):
        break_at("memory", OPERATIONS[name], plan, **defects)


def meet_at_every_step(name: str, intruder: str, **defects: Any) -> None:
    for step in record("memory", OPERATIONS[name]):
        meet(OPERATIONS[name], step, INTRUDERS[intruder], **defects)


def share_at_every_step(**defects: Any) -> None:
    for step in record("memory", OPERATIONS["put"]):
        share_the_last_bytes(step, **defects)


@pytest.mark.parametrize("what", WRONG)
def test_a_store_that_is_wrong_is_found_out(what: str) -> None:
    name, defect = WRONG[what]
    with pytest.raises(AssertionError):
        try_every_step(name, **defect)


def test_a_catalog_that_does_not_count_what_is_reserved_is_found_out() -> None:
    with pytest.raises(AssertionError):
        share_at_every_step(catalog=as_catalog(DoesNotCountWhatIsReserved))


def test_a_store_that_never_undoes_is_found_out_by_who_comes_between() -> None:
    with pytest.raises(AssertionError):
        meet_at_every_step("put", "a long sleep, and a sweep", store=NeverUndoes)
