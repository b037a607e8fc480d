from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres.databases import Database, Databases
from tests.postgres.server import shared_server


@pytest.fixture(scope="session")
def databases() -> Databases:
    return Databases(shared_server())


@pytest.fixture
def project(databases: Databases) -> Iterator[Database]:
    """A new Supabase project; nothing of audiostore's is in it."""
    with databases.made(databases.supabase()) as database:
        yield database
