"""The runner: every script once, in order, by whoever comes first; and what ``check`` tells."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from audiostore.catalogs.postgres import schema
from audiostore.catalogs.postgres.schema import Script
from audiostore.errors import ConfigurationError, PermissionDenied, Unavailable
from audiostore.models import Limits
from tests.postgres.databases import Database

ONE = Script(version=1, name="one", text="create table if not exists public.runs (script int);")
TWO = Script(version=2, name="two", text="insert into public.runs values (2);")
THREE = Script(version=3, name="three", text="insert into public.runs values (3);")
SCRIPTS = (ONE, TWO, THREE)


def states(database: Database, scripts: Sequence[Script] = SCRIPTS) -> list[str]:
    return [each.state for each in schema.check(database.dsn, scripts=scripts)]


def runs(database: Database) -> list[int]:
    return [each for (each,) in database.rows("select script from public.runs order by ctid")]


def test_scripts_run_in_order_and_once(project: Database) -> None:
    assert states(project) == ["pending"] * 3
    assert schema.apply(project.dsn, scripts=SCRIPTS) == [ONE, TWO, THREE]
    assert schema.apply(project.dsn, scripts=SCRIPTS) == []
    assert states(project) == ["applied"] * 3
    assert runs(project) == [2, 3]


def test_four_at_once_run_each_script_once(project: Database) -> None:
    slow = [replace(each, text=f"{each.text} select pg_sleep(0.05);") for each in SCRIPTS]
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(schema.apply, project.dsn, scripts=slow) for _ in range(4)]
    assert sorted(each.version for call in calls for each in call.result()) == [1, 2, 3]
    assert runs(project) == [2, 3]


def test_checking_changes_nothing(project: Database) -> None:
    states(project)
    assert project.value("select to_regnamespace('audiostore')") is None


def test_a_script_that_fails_leaves_nothing_and_those_before_it_stay(project: Database) -> None:
    broken = replace(TWO, text=f"{TWO.text} select 1 / 0;")
    with pytest.raises(ConfigurationError, match="0002_two: division by zero"):
        schema.apply(project.dsn, scripts=(ONE, broken, THREE))
    assert states(project) == ["applied", "pending", "pending"]
    assert runs(project) == []
    assert schema.apply(project.dsn, scripts=SCRIPTS) == [TWO, THREE]


def test_a_large_table_may_take_its_time_but_not_keep_the_app_waiting(project: Database) -> None:
    project.run(f"alter database {project.name} set statement_timeout = '1min'")
    noted = replace(ONE, text="""
        create table public.noted as
        select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock;
    """)  # fmt: skip
    schema.apply(project.dsn, scripts=[noted])
    assert project.rows("select statement, lock from public.noted") == [("0", "20s")]
    assert project.value("show lock_timeout") == "0"


def test_a_changed_script_runs_again_and_so_do_those_after_it(project: Database) -> None:
    schema.apply(project.dsn, scripts=SCRIPTS)
    changed = (ONE, replace(TWO, text="insert into public.runs values (22);"), THREE)
    assert states(project, changed) == ["applied", "changed", "applied"]
    assert [each.version for each in schema.apply(project.dsn, scripts=changed)] == [2, 3]
    assert runs(project) == [2, 3, 22, 3]
    assert states(project, changed) == ["applied"] * 3


def test_a_database_that_is_newer_is_left_alone(project: Database) -> None:
    schema.apply(project.dsn, scripts=SCRIPTS)
    assert states(project, SCRIPTS[:2]) == ["applied", "applied", "unknown"]
    with pytest.raises(ConfigurationError, match=r"0003_three.+upgrade audiostore"):
        schema.apply(project.dsn, scripts=SCRIPTS[:2])


def test_plain_psql_writes_down_what_it_ran(project: Database, tmp_path: Path) -> None:
    for each in SCRIPTS:
        file = tmp_path / each.migration
        file.write_text(each.whole)
        file.chmod(0o644)
        assert project.psql(file).count("ERROR") == 0
    assert states(project) == ["applied"] * 3
    assert schema.apply(project.dsn, scripts=SCRIPTS) == []


def test_a_role_that_may_not_is_told_so(project: Database) -> None:
    with pytest.raises(PermissionDenied, match="0001_one"):
        schema.apply(project.dsn_of("app_user"), scripts=SCRIPTS)


def test_a_role_that_may_not_change_anything_may_ask_for_what_is_there(project: Database) -> None:
    schema.apply(project.dsn, scripts=SCRIPTS)
    project.run("grant usage on schema audiostore to app_user; grant select on audiostore.schema_versions to app_user")
    project.run("create policy look on audiostore.schema_versions for select to app_user using (true)")
    assert schema.apply(project.dsn_of("app_user"), scripts=SCRIPTS) == []


@pytest.mark.parametrize("dsn", ["postgresql://u:geheim@[bad", "postgresql://u:geheim@localhost:1/x", "geheim"])
def test_no_message_repeats_a_connection_string(dsn: str) -> None:
    with pytest.raises((ConfigurationError, Unavailable)) as caught:
        schema.check(dsn)
    assert "geheim" not in str(caught.value)


def test_plans_begin_with_the_numbers_of_the_settings_and_are_the_databases_from_then_on(project: Database) -> None:
    plans = {"free": Limits(total=1000, per_file=10), "paid": Limits(total=None, per_file=10)}
    schema.apply(project.dsn, plans=plans)
    asked = "select name, total, per_file from audiostore.plans where name in ('free', 'paid') order by name"
    assert project.rows(asked) == [("free", 1000, 10), ("paid", None, 10)]
    project.run("update audiostore.plans set total = 2000 where name = 'free'")
    project.run("delete from audiostore.schema_versions")
    schema.apply(project.dsn, plans=plans)
    assert project.rows(asked)[0] == ("free", 2000, 10)


def test_what_ships_runs_again_and_again(project: Database) -> None:
    for _ in range(3):
        schema.apply(project.dsn)
        project.run("delete from audiostore.schema_versions")


def test_what_ships_needs_no_more_rights_than_a_project_gives(project: Database) -> None:
    assert project.value("select current_user") == "postgres"
    schema.apply(project.dsn)
    owners = project.rows("select distinct tableowner from pg_tables where schemaname = 'audiostore'")
    assert owners == [("postgres",)]


def test_a_connection_that_is_cut_in_the_middle_leaves_nothing_half_done(project: Database) -> None:
    cut = replace(TWO, text=f"{TWO.text} select pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(Unavailable):
        schema.apply(project.dsn, scripts=(ONE, cut))
    with psycopg.connect(project.dsn) as connection:
        assert connection.execute("select count(*) from public.runs").fetchone() == (0,)


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"audiostore\[postgres\]"):
        schema.check("postgresql://localhost/x")
