"""Rules that hold for every test."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# A machine that is busy is no defect: examples have no deadline, the runner has one.
settings.register_profile("audiostore", deadline=None, print_blob=True)
settings.load_profile("audiostore")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything can be installed, a browser test that skips has not done its work."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and item.get_closest_marker("browser"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but CI must run it: {report.longrepr}"
    return report
