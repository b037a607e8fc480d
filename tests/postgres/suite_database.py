"""The database of the catalog suite: all of our SQL, a clock that can be set, and no numbers of its own."""

from __future__ import annotations

from importlib import resources

from tests.postgres.databases import Database, Databases


def suite_template(databases: Databases) -> str:
    """Give the template; the suite brings its limits along, so the database's plans must not tighten them."""
    return databases.template("suite", _build, base=databases.supabase())


def _build(database: Database) -> None:
    folder = resources.files("audiostore.catalogs") / "sql" / "postgres"
    for script in sorted(folder.iterdir(), key=lambda each: each.name):
        database.run(script.read_text("utf-8"))
    database.make_clock_settable()
    without_plans(database)


def without_plans(database: Database) -> None:
    database.run("""
        create or replace function audiostore.plan_of(wanted text) returns text
        language plpgsql stable set search_path = '' as $$ begin return null; end $$
    """)
