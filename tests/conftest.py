"""Rules that hold for every test."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# No test leaves this machine, so nobody's certificate is checked; but each HTTP client loads a hundred authorities,
# for longer than most tests take. Here, and in the processes that tests start, there is one, and it is nobody's.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("nobody.pem"))

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
