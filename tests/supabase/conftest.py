from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audiostore.backends.supabase import SupabaseBackend
from tests.supabase.project import Served, served


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "staged"
    folder.mkdir()
    with served(folder) as project:
        yield project


@pytest.fixture
def backend(project: Served) -> Iterator[SupabaseBackend]:
    backend = project.backend()
    yield backend
    backend.close()
