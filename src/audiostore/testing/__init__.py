"""Tests to inherit for parts of your own, and parts to test with.

The suites need pytest; ``FakeSupabase`` and ``mock_supabase`` do not.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiostore.testing.backend_suite import BackendSuite
    from audiostore.testing.bench import Bench, stage_bytes
    from audiostore.testing.catalog_suite import CatalogSuite, SettableClock
    from audiostore.testing.path_suite import PathBuilderSuite
    from audiostore.testing.supabase import FakeSupabase, mock_supabase

__all__ = [
    "BackendSuite",
    "Bench",
    "CatalogSuite",
    "FakeSupabase",
    "PathBuilderSuite",
    "SettableClock",
    "mock_supabase",
    "stage_bytes",
]

_HOMES = {
    "BackendSuite": "backend_suite",
    "Bench": "bench",
    "CatalogSuite": "catalog_suite",
    "FakeSupabase": "supabase",
    "PathBuilderSuite": "path_suite",
    "SettableClock": "catalog_suite",
    "mock_supabase": "supabase",
    "stage_bytes": "bench",
}

# The suites' asserts are to explain themselves as well as those of a test file; this must come before their import.
if _pytest := sys.modules.get("pytest"):
    _pytest.register_assert_rewrite(
        "audiostore.testing.backend_suite",
        "audiostore.testing.object_tests",
        "audiostore.testing.bench",
        "audiostore.testing.catalog_suite",
        "audiostore.testing.customer",
        "audiostore.testing.path_suite",
        "audiostore.testing.record_tests",
        "audiostore.testing.reservation_tests",
    )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as missing:
        if missing.name != "pytest":
            raise
        raise ModuleNotFoundError(
            'audiostore.testing needs pytest: pip install "audiostore[testing]"', name="pytest"
        ) from missing
