from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres.databases import Database, Databases, shared_databases


@pytest.fixture(scope="session")
def databases() -> Databases:
    return shared_databases()


@pytest.fixture
def project(databases: Databases) -> Iterator[Database]:
    """A new Supabase project; nothing of audiostore's is in it."""
    with databases.made(databases.supabase()) as database:
        yield database


@pytest.fixture
def applied(databases: Databases) -> Iterator[Database]:
    """A new Supabase project with our schema in it."""
    with databases.made(databases.applied(databases.supabase())) as database:
        yield database


@pytest.fixture
def hand_made(databases: Databases) -> Iterator[Database]:
    """A project whose app tracks storage with SQL of its own."""
    with databases.made(databases.hand_made()) as database:
        yield database


@pytest.fixture
def upgraded(databases: Databases) -> Iterator[Database]:
    """Such a project, with our schema applied on top."""
    with databases.made(databases.applied(databases.hand_made())) as database:
        yield database


@pytest.fixture
def lived_in(databases: Databases) -> Iterator[Database]:
    """Such a project after a year, before our schema is applied."""
    with databases.made(databases.lived_in()) as database:
        yield database
