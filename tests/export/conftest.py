from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audiostore import AudioStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AudioStore]:
    with AudioStore.local(tmp_path / "uploads") as store:
        yield store
