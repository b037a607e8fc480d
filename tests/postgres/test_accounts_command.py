"""audiostore usage and quota on a database: what the app's own tables show, and what people see, are one number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audiostore import AudioStore, QuotaExceeded
from audiostore.catalogs.postgres import schema
from tests.cli.terminal import Terminal
from tests.postgres.databases import Database, Databases

ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"
MB = 2**20
Run = Callable[..., str]


@pytest.fixture
def env(tmp_path: Path, upgraded: Database) -> dict[str, str]:
    return {"DATABASE_URL": upgraded.dsn, "UPLOAD_FOLDER": str(tmp_path / "uploads")}


@pytest.fixture
def run(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    terminal, file = Terminal(tmp_path), tmp_path / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in env.items()))

    def run(*words: str, code: int = 0) -> str:
        return terminal.run(*words, "--env-file", file, code=code).stdout

    return run


def shown(database: Database, owner: str) -> int:
    """Give what old readers see."""
    found: int = database.value("select storage_quota_mb from public.user_credits where user_id = %s", owner)
    return found


def test_a_quota_that_is_set_is_seen_at_once_wherever_it_is_looked_at(
    run: Run, upgraded: Database, env: dict[str, str]
) -> None:
    assert (shown(upgraded, ALICE), shown(upgraded, BOB)) == (500, 5000)
    run("quota", "set", ALICE, "--total", "2 MB")
    assert (shown(upgraded, ALICE), shown(upgraded, BOB)) == (2, 5000)
    with AudioStore.from_env(env) as store:
        assert store.usage(ALICE).quota == 2 * MB
        store.put(bytes(MB), owner=ALICE)
        with pytest.raises(QuotaExceeded):
            store.put(bytes(MB + 1), owner=ALICE)
        store.put(bytes(MB), owner=ALICE)
    run("quota", "clear", ALICE)
    assert shown(upgraded, ALICE) == 500
    used = upgraded.value("select storage_used_mb from public.user_credits where user_id = %s", ALICE)
    assert used == 2


def test_an_app_that_writes_the_column_and_the_command_show_the_same(run: Run, upgraded: Database) -> None:
    upgraded.run("update public.user_credits set storage_quota_mb = 750 where user_id = %s", ALICE)
    title, total, per_file, _ = run("quota", "show", ALICE).splitlines()
    assert title == ALICE
    assert total.split() == ["total", "750.0", "MB", "own", "(plan:", "500.0", "MB)"]
    assert per_file.split() == ["per", "file", "50.0", "MB", "plan"]


def test_the_plan_is_the_databases_also_while_an_owner_has_numbers_of_its_own(run: Run, upgraded: Database) -> None:
    upgraded.run("update audiostore.plans set files = 9 where name = 'paid'")
    run("quota", "set", BOB, "--total", "1 GB", "--files", "3")
    assert [line.split()[1:] for line in run("quota", "show", BOB).splitlines()[1:]] == [
        ["1.0", "GB", "own", "(plan:", "4.9", "GB)"],
        ["file", "50.0", "MB", "plan"],
        ["3", "own", "(plan:", "9)"],
    ]


def test_a_plan_that_does_not_exist_is_told_and_shows_nothing(run: Run, upgraded: Database) -> None:
    upgraded.run("delete from audiostore.plans where name = 'free'")
    run("quota", "show", ALICE, code=2)


def test_what_each_project_takes_comes_from_the_database(run: Run, env: dict[str, str]) -> None:
    with AudioStore.from_env(env) as store:
        for project, size in (("p1", MB), ("p1", 2 * MB), ("p2", MB), (None, 7)):
            store.put(bytes(size), owner=ALICE, project=project)
        assert {each: (of.used, of.files) for each, of in store.usage_by_project(ALICE).items()} == {
            "p1": (3 * MB, 2),
            "p2": (MB, 1),
            None: (7, 1),
        }
    lines = run("usage", ALICE, "--projects").splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["p1", "3.0", "MB", "0.6", "%", "in", "2", "files"],
        ["p2", "1.0", "MB", "0.2", "%", "in", "1", "file"],
        ["(no", "project)", "7", "B", "0.0", "%", "in", "1", "file"],
    ]


def test_an_app_without_plans_has_the_policys_numbers(databases: Databases, tmp_path: Path) -> None:
    with databases.made(databases.supabase()) as database:
        schema.apply(database.dsn)
        database.run(
            "create or replace function audiostore.plan_of(wanted text) returns text language sql as 'select null'"
        )
        env = {"DATABASE_URL": database.dsn, "UPLOAD_FOLDER": str(tmp_path), "FREE_USER_QUOTA_MB": "7"}
        with AudioStore.from_env(env, tier_of=lambda _: "free") as store:
            quota = store.set_quota("carol", per_file=9)
            assert quota.policy is not None
            assert (quota.policy.total, quota.limits.per_file) == (7 * MB, 9)
