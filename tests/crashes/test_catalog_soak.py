"""Short soaks of each catalog: clients by the dozen, killed and cut off; the long ones are a command."""

from __future__ import annotations

import pytest

from tests.crashes.catalog_clients import LIMITS
from tests.crashes.catalog_soak import Report, soak
from tests.shares import amount

pytestmark = pytest.mark.slow


def _check(report: Report) -> None:
    assert report.wrong == []
    assert report.samples > 20
    assert report.acknowledged > 50
    assert report.fullest > 0.97 * (LIMITS.total or 0), "there was no race"
    assert report.refused, "there was no race"


def test_clients_of_postgres_that_are_cut_off_and_killed_leave_it_true() -> None:
    report = soak("postgres", clients=64, seconds=amount(5, 60))
    _check(report)
    assert report.cut > 20
    assert report.killed


def test_clients_of_sqlite_that_are_killed_leave_it_true() -> None:
    report = soak("sqlite", clients=32, seconds=amount(5, 60))
    _check(report)
    assert report.killed


def test_threads_on_one_catalog_in_memory_leave_it_true() -> None:
    _check(soak("memory", clients=16, seconds=2))
