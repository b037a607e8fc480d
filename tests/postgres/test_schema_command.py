"""audiostore schema: what it prints, writes and applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiostore.catalogs.postgres import schema
from tests.cli.terminal import Terminal
from tests.postgres.databases import Database


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path)


def test_applying_then_checking_a_database(terminal: Terminal, project: Database) -> None:
    before = terminal.run("schema", "check", "--dsn", project.dsn, code=6).stdout
    assert "0001_ledger" in before
    assert f"{len(schema.shipped())} scripts to apply" in before
    assert "applied 0001_ledger" in terminal.run("schema", "apply", "--dsn", project.dsn).stdout
    assert terminal.run("schema", "apply", "--dsn", project.dsn).stdout == "nothing to do\n"
    told = terminal.json("schema", "check", "--dsn", project.dsn)
    assert (told["ok"], told["watches_objects"]) == (True, False)
    assert {each["state"] for each in told["scripts"]} == {"applied"}


def test_the_database_may_come_from_the_settings(terminal: Terminal, project: Database) -> None:
    env = terminal.folder / ".env"
    env.write_text(f"DATABASE_URL={project.dsn}\nFREE_USER_QUOTA_MB=7\nMAX_FILE_SIZE_MB=3\nSUPABASE_BUCKET=takes\n")
    told = terminal.json("schema", "apply", "--env-file", env)
    assert len(told["applied"]) == len(schema.shipped())
    assert project.rows("select total, per_file from audiostore.plans where name = 'free'") == [(7 * 2**20, 3 * 2**20)]
    assert project.value("select audiostore.bucket()") == "takes"


def test_without_a_database_it_says_what_to_give(terminal: Terminal) -> None:
    assert "DATABASE_URL" in terminal.error("schema", "apply", code=2)["message"]


def test_a_database_that_is_not_there_is_unavailable(terminal: Terminal) -> None:
    told = terminal.error("schema", "check", "--dsn", "postgresql://u:geheim@127.0.0.1:9/x", code=5)
    assert told["error"] == "Unavailable"
    assert "geheim" not in str(told)


def test_uploads_can_be_watched_and_left_alone_again(terminal: Terminal, project: Database) -> None:
    terminal.run("schema", "apply", "--watch-objects", "--dsn", project.dsn)
    assert terminal.json("schema", "check", "--dsn", project.dsn)["watches_objects"]
    assert "are held to their reservations" in terminal.run("schema", "check", "--dsn", project.dsn).stdout
    terminal.run("schema", "apply", "--no-watch-objects", "--dsn", project.dsn)
    assert not terminal.json("schema", "check", "--dsn", project.dsn)["watches_objects"]


def test_what_it_prints_can_be_run_by_psql(terminal: Terminal, project: Database) -> None:
    script = terminal.folder / "all.sql"
    script.write_text(terminal.run("schema", "show").stdout)
    project.psql(script)
    assert terminal.json("schema", "check", "--dsn", project.dsn)["ok"]
    project.psql(script)
    told = terminal.json("schema", "show")["scripts"]
    assert [each["version"] for each in told] == [each.version for each in schema.shipped()]


def test_migrations_are_written_once_under_names_that_stay(terminal: Terminal, project: Database) -> None:
    folder = terminal.folder / "supabase" / "migrations"
    folder.mkdir(parents=True)
    (folder / "20250101000000_mine.sql").write_text("select 1;")
    first = terminal.json("schema", "write")["written"]
    assert first[0] == "20261122000001_audiostore_0001_ledger.sql"
    assert terminal.json("schema", "write")["written"] == []
    assert sorted(each.name for each in folder.iterdir()) == ["20250101000000_mine.sql", *first]
    project.psql(*sorted(folder.iterdir()))
    assert terminal.json("schema", "check", "--dsn", project.dsn)["ok"]


def test_a_migration_that_somebody_changed_is_not_overwritten(terminal: Terminal) -> None:
    (name, *rest) = terminal.json("schema", "write", "--dir", "migrations")["written"]
    changed, missing = terminal.folder / "migrations" / name, terminal.folder / "migrations" / rest[0]
    changed.write_text("-- mine")
    missing.unlink()
    assert name in terminal.error("schema", "write", "--dir", "migrations", code=2)["message"]
    assert changed.read_text() == "-- mine"
    assert not missing.exists()
