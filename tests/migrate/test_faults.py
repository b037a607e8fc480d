"""Whatever goes wrong on the way, a migration finishes, or stops with a report that a second run completes."""

from __future__ import annotations

from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.migrate.faults import ROADS, SELDOM, SOME_FAULTS, Road, meet


def test_the_roads_are_those_that_a_migration_takes(tmp_path: Path) -> None:
    with ExitStack() as stack:
        road = Road(tmp_path, stack)
        road.fake.requests.clear()
        assert road.migration.run().report.ok
        taken = {f"{each.method} {each.path}" for each in road.fake.requests}
    assert [each for each in taken if not any(fnmatch(each, road) for road in (*ROADS, SELDOM))] == []
    assert [road for road in ROADS if not any(fnmatch(each, road) for each in taken)] == []


@pytest.mark.parametrize("fault", SOME_FAULTS)
@pytest.mark.parametrize("road", ROADS)
def test_the_second_run_makes_it_whole(road: str, fault: str) -> None:
    _, complaints = meet(road, fault)
    assert complaints == []
