"""Fixtures for pytest. Every project that has audiostore loads this, so it imports next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from audiostore.testing.supabase import FakeSupabase, Server


@pytest.fixture
def fake_supabase() -> Iterator[FakeSupabase]:
    """Put a new, empty fake in the place of Supabase for one test; see ``audiostore.testing.supabase.FakeSupabase``."""
    from audiostore.testing.supabase import mock_supabase

    with mock_supabase() as fake:
        yield fake


@pytest.fixture
def served_supabase(fake_supabase: FakeSupabase) -> Iterator[Server]:
    """Serve the fake of this test on 127.0.0.1, for browsers and other processes."""
    with fake_supabase.serve() as server:
        yield server
