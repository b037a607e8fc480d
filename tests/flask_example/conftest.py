from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from audiostore import AudioStore, FixedQuota
from tests.flask_example.running import TAKE, Site, Visitor, running


class Clock:
    """A settable time for the links, in POSIX seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Generator[AudioStore]:
    quota = FixedQuota(total="1 MB", per_file="300 KB", types={"audio/*"})
    with AudioStore.local(tmp_path / "uploads", quota=quota, clock=clock) as store:
        yield store


@pytest.fixture
def site(store: AudioStore) -> Generator[Site]:
    with running(store) as site:
        yield site


@pytest.fixture
def alice(site: Site) -> Visitor:
    return site.visitor("alice")


@pytest.fixture
def bob(site: Site) -> Visitor:
    return site.visitor("bob")


@pytest.fixture(scope="session")
def recording() -> bytes:
    return TAKE.read_bytes()
