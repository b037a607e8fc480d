"""SupabaseBackend keeps what every backend keeps, in one request and in chunks."""

from __future__ import annotations

import pytest

from audiostore.backends.supabase import SupabaseBackend
from audiostore.testing import BackendSuite
from tests.supabase.project import KIB, Served


class TestInOneRequest(BackendSuite):
    creates_once = False

    @pytest.fixture
    def backend(self, project: Served) -> SupabaseBackend:
        return project.backend(tus_threshold="64 MB")


class TestInChunks(BackendSuite):
    creates_once = False
    many = 30

    @pytest.fixture
    def backend(self, project: Served) -> SupabaseBackend:
        return project.backend(chunk_size=100 * KIB, tus_threshold=0)
