"""The side door for bytes from elsewhere: checked before they are recorded, under an id of the caller's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from audiostore import AudioStore, Limits, UnsupportedAudio
from audiostore.errors import ChecksumMismatch, Unavailable
from audiostore.ids import new_id
from audiostore.models import ObjectStat, Place, Removal, Reservation, Staged
from audiostore.protocols import Progress
from audiostore.store.arriving import take_over
from audiostore.store.writing import Wanted
from audiostore.testing.bench import stage_bytes

SOUND = b"RIFF\0\0\1\0WAVE" + bytes(500)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AudioStore]:
    with AudioStore.local(tmp_path / "store") as store:
        yield store


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    return stage_bytes(SOUND, tmp_path)


def test_a_file_gets_the_id_that_was_asked_for_and_no_processor_runs(tmp_path: Path, staged: Staged) -> None:
    def refuse(_: Staged) -> Staged:
        raise UnsupportedAudio("type", "nothing is good enough")

    with AudioStore.local(tmp_path / "strict", process=refuse) as store:
        wanted = Wanted(owner="alice", place=Place("p"), id=new_id())
        file = take_over(store, staged, wanted)
        assert (file.id, file.owner, file.project) == (wanted.id, "alice", "p")
        assert store.get(file) == SOUND


def test_what_does_not_pass_the_check_is_not_recorded_and_not_kept(store: AudioStore, staged: Staged) -> None:
    def check(reservation: Reservation, stored: ObjectStat | None, progress: Progress) -> None:
        progress(1, None)
        assert store.backend.stat(reservation.key) == stored
        raise ChecksumMismatch(reservation.key, expected="a", actual="b")

    with pytest.raises(ChecksumMismatch):
        take_over(store, staged, Wanted(owner="alice", place=Place(), check=check))
    usage = store.usage("alice")
    assert (usage.files, usage.used, usage.reserved, list(store.backend.list())) == (0, 0, 0, [])


def test_a_check_that_could_not_be_made_is_made_by_the_next_call(store: AudioStore, staged: Staged) -> None:
    tries: list[str] = []
    seen: list[bool] = []

    def check(reservation: Reservation, stored: ObjectStat | None, progress: Progress) -> None:
        tries.append(reservation.id)
        seen.append(stored is not None)
        if len(tries) == 1:
            raise Unavailable("the bytes")

    first = Wanted(owner="alice", place=Place(), check=check, idempotency_key="k", hold=timedelta(0), id=new_id())
    with pytest.raises(Unavailable):
        take_over(store, staged, first)
    second = Wanted(owner="alice", place=Place(), check=check, idempotency_key="k", hold=timedelta(0), id=new_id())
    assert take_over(store, staged, second).id == first.id
    assert tries == [first.id, first.id]
    assert seen == [True, False]  # the second call has not written, so nothing has been looked at for it
    assert len(list(store.backend.list())) == 1


def test_rules_of_type_and_room_hold(tmp_path: Path, staged: Staged) -> None:
    mp3 = Limits(types=frozenset({"audio/mpeg"}))
    with AudioStore.local(tmp_path / "mp3", quota=lambda _: mp3) as store, pytest.raises(UnsupportedAudio):
        take_over(store, staged, Wanted(owner="alice", place=Place()))


def test_whoever_replaces_may_keep_the_old_bytes(store: AudioStore, staged: Staged) -> None:
    old = store.put(b"RIFF\0\0\1\0WAVEold", owner="alice")
    taken: list[Removal] = []

    def supersede(removals: Sequence[Removal]) -> None:
        taken.extend(removals)

    wanted = Wanted(owner="alice", place=old.place, replaces=old, only_over=old.key, supersede=supersede)
    assert take_over(store, staged, wanted).id == old.id
    assert [each.key for each in taken] == [old.key]
    assert store.backend.stat(old.key).size == old.size
