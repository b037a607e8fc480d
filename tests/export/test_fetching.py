"""Fetching ahead: several at a time, no more on the disk than is allowed, and nothing left."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from audiostore import Cancelled, Unavailable
from audiostore.export.fetching import Fetching
from audiostore.export.references import Heard
from tests.export.shelf import names_in


class Store:
    """Downloads by writing as many bytes as the record's size, when the test lets it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.most = 0
        self.together: threading.Barrier | None = None
        self.asked: list[str] = []
        self.away = False

    def download_to(self, file: Any, path: Path, *, owner: str, progress: Any) -> Path:
        assert owner == "alice"
        self.asked.append(path.name)
        if self.together is not None:
            self.together.wait(timeout=30)
        progress(0, None)
        if self.away:
            raise Unavailable("the backend", retryable=True)
        path.write_bytes(bytes(int(file)))
        total = 0
        for each in self.folder.iterdir():
            with suppress(FileNotFoundError):  # gone since it was listed: it lies there no more
                total += each.stat().st_size
        self.most = max(self.most, total)
        return path


def batches(*sizes: list[int]) -> list[list[Heard]]:
    return [
        [
            Heard(chapter=chapter, section=section, size=size, mark="", stored=size)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            for section, size in enumerate(batch)
        ]
        for chapter, batch in enumerate(sizes)
    ]


def fetching(store: Store, wanted: list[list[Heard]], *, workers: int = 2, ahead: int = 100, **more: Any) -> Fetching:
    given: dict[str, Any] = {"cancelled": lambda: False, **more}
    return Fetching(store, wanted, store.folder, owner="alice", workers=workers, ahead=ahead, **given)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_sections_come_several_at_a_time(store: Store) -> None:
    store.together = threading.Barrier(3)  # breaks unless three are under way at once
    with fetching(store, batches([1, 2, 3]), workers=3) as fetched:
        assert [path.stat().st_size for _, path in fetched.take(0) if isinstance(path, Path)] == [1, 2, 3]


def test_no_more_lies_on_the_disk_than_is_allowed(store: Store) -> None:
    wanted = batches([40, 40], [30, 30], [90], [10], [10])
    with fetching(store, wanted, workers=4, ahead=100) as fetched:
        for number, batch in enumerate(wanted):
            assert [each.section for each, _ in fetched.take(number)] == [each.section for each in batch]
            fetched.release(number)
            assert not [name for name in names_in(store.folder) if name.startswith(f"{number}-")]
    # Never more than is allowed ahead: the batch that is taken, and what there is room for beside it.
    assert store.most <= 140
    assert names_in(store.folder) == []


def test_a_batch_that_is_larger_than_is_allowed_comes_all_the_same(store: Store) -> None:
    with fetching(store, batches([80, 80], [1]), ahead=10) as fetched:
        assert len(fetched.take(0)) == 2
        assert len(store.asked) == 2, "nothing is fetched beyond it"


def test_what_turns_out_not_to_be_needed_is_not_fetched(store: Store) -> None:
    with fetching(store, batches([60], [60], [60]), workers=1, ahead=60) as fetched:
        fetched.release(0)
        fetched.release(1)
        fetched.take(2)
    assert set(store.asked) <= {"1-0", "2-0"}


def test_an_outage_is_told_and_nothing_is_left(store: Store) -> None:
    store.away = True
    with pytest.raises(Unavailable), fetching(store, batches([1, 2])) as fetched:
        fetched.take(0)
    assert names_in(store.folder) == []


def test_whoever_stops_in_the_middle_leaves_nothing(store: Store) -> None:
    with fetching(store, batches([1, 2], [3])) as fetched:
        for number in (0, 1):
            fetched.take(number)
        assert len(names_in(store.folder)) == 3
    assert names_in(store.folder) == []


def test_who_cancels_does_not_wait_for_downloads(store: Store) -> None:
    with pytest.raises(Cancelled), fetching(store, batches([1]), cancelled=lambda: True) as fetched:
        fetched.take(0)
    assert names_in(store.folder) == []
