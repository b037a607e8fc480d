"""Tests to inherit for parts of your own, and parts to test with."""

from __future__ import annotations

try:
    import pytest
except ModuleNotFoundError as missing:
    if missing.name != "pytest":
        raise
    raise ModuleNotFoundError(
        'audiostore.testing needs pytest: pip install "audiostore[testing]"', name="pytest"
    ) from missing

# The suites' asserts are to explain themselves as well as those of a test file; this must come before their import.
pytest.register_assert_rewrite(
    "audiostore.testing.backend_suite",
    "audiostore.testing.object_tests",
    "audiostore.testing.bench",
    "audiostore.testing.catalog_suite",
    "audiostore.testing.customer",
    "audiostore.testing.path_suite",
    "audiostore.testing.record_tests",
    "audiostore.testing.reservation_tests",
)

from audiostore.testing.backend_suite import BackendSuite  # noqa: E402
from audiostore.testing.bench import Bench, stage_bytes  # noqa: E402
from audiostore.testing.catalog_suite import CatalogSuite, SettableClock  # noqa: E402
from audiostore.testing.path_suite import PathBuilderSuite  # noqa: E402

__all__ = ["BackendSuite", "Bench", "CatalogSuite", "PathBuilderSuite", "SettableClock", "stage_bytes"]
