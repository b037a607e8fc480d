"""doctor, where the catalog is a real Postgres: by its address, and behind a project's REST API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audiostore.catalogs.postgres import schema
from audiostore.cli.trip import OWNER
from audiostore.testing.supabase import FakeSupabase
from tests.cli.cloud import BUCKET, Cloud, cloud_of
from tests.cli.terminal import Terminal
from tests.postgres.databases import Database

INSERT = 'create policy "Anyone uploads" on storage.objects for insert to authenticated with check (%s)'
BROKEN = """
    create or replace function audiostore.%s(request jsonb) returns jsonb language plpgsql as
    $$ begin raise exception 'broken'; end $$
"""
NEWEST = schema.shipped()[-1]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.chdir(tmp_path)
    with cloud_of(Terminal(tmp_path)) as cloud:
        cloud.run("bucket", "ensure", "--yes")
        yield cloud


@pytest.fixture
def sound(cloud: Cloud, applied: Database) -> Cloud:
    cloud.env["DATABASE_URL"] = applied.dsn
    return cloud


def test_a_sound_database_is_ok_and_an_owner_goes_through_all(sound: Cloud, applied: Database) -> None:
    checks = sound.doctor("--deep")
    assert all(each["ok"] for each in checks.values())
    assert checks["catalog"]["detail"].startswith(f"in Postgres, {applied.name} on this machine, version 1")
    assert checks["schema"]["detail"] == f"all {len(schema.shipped())} scripts are applied"
    assert checks["direct uploads"]["detail"].startswith("level 1: users' tokens can upload what was reserved")
    assert checks["left behind"]["detail"] == "nothing"
    assert sound.fake.keys(BUCKET) == []
    assert applied.rows("select owner from public.file_uploads") == []
    assert applied.rows("select owner from audiostore.accounts where committed + reserved + files + pending > 0") == []
    assert applied.rows("select owner from audiostore.overrides where owner <> %s", OWNER) == []


def test_with_the_bytes_on_a_disk_it_is_the_same_without_a_project(sound: Cloud) -> None:
    sound.env |= {"STORAGE_BACKEND": "local", "SUPABASE_URL": "", "SUPABASE_SERVICE_KEY": "", "SUPABASE_ANON_KEY": ""}
    checks = sound.doctor("--deep")
    assert all(each["ok"] for each in checks.values())
    assert "direct uploads" not in checks, "they are the app's own links, which bind the size"
    assert not {"sqlite", "integrity"} & checks.keys()
    assert checks["folder"]["ok"]


def test_over_the_rest_api_it_says_what_it_can_see(applied: Database, tmp_path: Path) -> None:
    fake = FakeSupabase(database=applied.dsn_of("authenticator"))
    with cloud_of(Terminal(tmp_path), fake) as cloud:
        cloud.run("bucket", "ensure", "--yes")
        checks = cloud.doctor("--deep")
        assert all(each["ok"] for each in checks.values())
        assert checks["schema"]["detail"] == f"version {NEWEST.version}, the newest"
        assert checks["direct uploads"]["detail"].startswith("level 0 or 1: policies can't be seen over the REST API")
        schema.watch_objects(applied.dsn, wanted=True)
        assert cloud.doctor()["direct uploads"]["detail"].startswith("level 2")
        applied.run("delete from audiostore.schema_versions where version = %s", NEWEST.version)
        assert "-> audiostore schema apply --dsn ..., or audiostore schema write" in cloud.wrong()["schema"]
        applied.run("insert into audiostore.schema_versions (version, name, sha256) values (99, 'x', 'x')")
        assert f"version 99, this audiostore has {NEWEST.version} -> upgrade audiostore" in cloud.wrong()["schema"]


# --- what is missing --------------------------------------------------------------------------------------------------


def test_tables_that_were_never_made(cloud: Cloud, project: Database) -> None:
    cloud.env["DATABASE_URL"] = project.dsn
    wrong = cloud.wrong("--deep")
    assert list(wrong) == ["schema"], "one mistake, told once"
    assert "0001_ledger (pending)" in wrong["schema"]
    assert wrong["schema"].endswith("-> audiostore schema apply")
    cloud.run("schema", "apply")
    assert cloud.doctor()["schema"]["ok"]


def test_over_the_rest_api_too(project: Database, tmp_path: Path) -> None:
    with cloud_of(Terminal(tmp_path), FakeSupabase(database=project.dsn_of("authenticator"))) as cloud:
        cloud.run("bucket", "ensure", "--yes")
        wrong = cloud.wrong("--deep")
        assert list(wrong) == ["schema"]
        assert wrong["schema"].endswith("or audiostore schema write and supabase db push")


def test_scripts_that_are_missing_changed_or_unknown(sound: Cloud, applied: Database) -> None:
    applied.run("update audiostore.schema_versions set sha256 = 'x' where version = 7")
    applied.run("delete from audiostore.schema_versions where version = 13")
    assert sound.wrong()["schema"] == (
        "to apply: 0007_reading (changed), 0013_storage_objects (pending) -> audiostore schema apply"
    )
    sound.run("schema", "apply")
    applied.run("insert into audiostore.schema_versions (version, name, sha256) values (99, 'later', 'x')")
    assert "0099_later, which this audiostore does not know -> upgrade audiostore" in sound.wrong()["schema"]


@pytest.mark.parametrize(
    "url", ["postgresql://u:geheim@127.0.0.1:9/x", "postgresql://u:geheim@[::1/x", "host=x geheim"]
)
def test_a_database_that_does_not_answer_is_one_line_without_its_password(sound: Cloud, url: str) -> None:
    sound.env["DATABASE_URL"] = f"'{url}'"
    ran = sound.run("doctor", "--deep", code=6)
    assert [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("fix")] == ["catalog"]
    assert "geheim" not in ran.output


@pytest.mark.parametrize(("function", "line"), [("commit", "put"), ("hide", "delete"), ("audit", "audit")])
def test_a_function_that_fails_is_a_line_and_what_was_begun_is_taken_back(
    sound: Cloud, applied: Database, function: str, line: str
) -> None:
    applied.run(BROKEN % function)
    wrong = sound.wrong("--deep")
    assert "the database failed (P0001)" in wrong[line]
    sound.run("schema", "apply", "--again")
    sound.doctor("--deep")
    rows = "select owner from public.file_uploads union select pending_owner from audiostore.reservations"
    left = {owner for (owner,) in applied.rows(rows) if owner is not None}
    # Where nothing can be deleted it stays for a later doctor; of the trip before the walk, a reservation for a while.
    assert function == "hide" or left <= {OWNER}


# --- what holds direct uploads ----------------------------------------------------------------------------------------


def test_levels_of_protection_are_told(sound: Cloud, applied: Database) -> None:
    applied.run('drop policy "audiostore: owners upload what was reserved" on storage.objects')
    assert sound.doctor()["direct uploads"]["detail"].startswith("level 0: users' tokens can upload nothing")
    sound.run("schema", "apply", "--watch-objects")
    assert sound.doctor()["direct uploads"]["detail"].startswith("level 2: the storage server itself")


def test_a_policy_that_lets_users_write_what_they_like_is_found(sound: Cloud, applied: Database) -> None:
    applied.run(INSERT % "bucket_id = 'pictures'")
    assert sound.doctor()["direct uploads"]["ok"], "it is about another bucket"
    applied.run('drop policy "Anyone uploads" on storage.objects')
    applied.run(INSERT % "bucket_id = 'audio-files'")
    assert "what was not reserved: 'Anyone uploads' -> drop them" in sound.wrong()["direct uploads"]
    sound.run("schema", "apply", "--watch-objects")
    assert sound.doctor()["direct uploads"]["ok"], "the trigger looks at each, whatever the policies say"


def test_a_bucket_that_the_database_does_not_know_is_found(sound: Cloud, applied: Database) -> None:
    applied.run("update audiostore.settings set value = '\"takes\"' where name = 'bucket'")
    assert (
        "holds bucket 'takes' to its reservations, SUPABASE_BUCKET is 'audio-files'" in sound.wrong()["direct uploads"]
    )


# --- fallback ---------------------------------------------------------------------------------------------------------


def test_a_fallback_is_told_and_the_secret_that_it_needs(sound: Cloud) -> None:
    assert sound.doctor()["fallback"]["detail"].startswith("none: while supabase is away, new files are refused")
    sound.env["STORAGE_FALLBACK"] = "local"
    assert "links to what it takes in need a secret -> set AUDIOSTORE_SECRET" in sound.wrong()["fallback"]
    sound.env["AUDIOSTORE_SECRET"] = "a-secret-of-the-tests-which-is-long-enough"
    assert sound.doctor()["fallback"]["detail"].startswith("local: takes new files in while supabase is away")
