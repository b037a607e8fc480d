"""Each test that takes a ``site`` runs against both apps on both backends."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from audiostore import AudioStore
from tests.apps.running import TAKE, App, Backend, Site, Visitor, running

OWN_SITES = {"test_schema.py"}
"""Files with a ``site`` fixture of their own."""
CROSSED: list[tuple[App, Backend]] = [("flask", "disk"), ("fastapi", "supabase")]
ALL: list[tuple[App, Backend]] = [*CROSSED, ("flask", "supabase"), ("fastapi", "disk")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test with a ``site`` see both apps and both backends; one that is marked ``everywhere`` all four pairs."""
    if "site" in metafunc.fixturenames and metafunc.definition.path.name not in OWN_SITES:
        worlds = ALL if metafunc.definition.get_closest_marker("everywhere") else CROSSED
        metafunc.parametrize("site", worlds, ids=["-".join(each) for each in worlds], indirect=True)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Site]:
    """The running app; ``@pytest.mark.settings(NAME="value")`` gives it further settings."""
    app, backend = request.param
    marker = request.node.get_closest_marker("settings")
    more: dict[str, Any] = {} if marker is None else marker.kwargs
    with running(app, tmp_path, backend=backend, **more) as site:
        yield site


@pytest.fixture
def store(site: Site) -> AudioStore:
    return site.store


@pytest.fixture
def alice(site: Site) -> Visitor:
    return site.visitor("alice")


@pytest.fixture
def bob(site: Site) -> Visitor:
    return site.visitor("bob")


@pytest.fixture(scope="session")
def recording() -> bytes:
    return TAKE.read_bytes()
