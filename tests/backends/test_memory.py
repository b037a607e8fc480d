"""MemoryBackend keeps what every backend keeps."""

from __future__ import annotations

import pytest

from audiostore.backends.memory import MemoryBackend
from audiostore.testing import BackendSuite


class TestMemoryBackend(BackendSuite):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()


def test_its_name_can_be_chosen() -> None:
    assert MemoryBackend(name="primary").name == "primary"


def test_a_name_that_no_record_could_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        MemoryBackend(name="")
