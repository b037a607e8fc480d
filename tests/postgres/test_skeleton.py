"""The stand-in for a Supabase project is as strict as the real one, where it matters here."""

from __future__ import annotations

import psycopg
import pytest

from tests.postgres.databases import Database

ALICE = "aaaaaaaa-0000-4000-8000-000000000001"


def test_postgres_is_no_superuser_and_does_not_own_the_storage_tables(project: Database) -> None:
    assert project.value("select rolsuper from pg_roles where rolname = 'postgres'") is False
    assert project.value("select tableowner from pg_tables where tablename = 'objects'") == "supabase_storage_admin"


@pytest.mark.parametrize(
    "statement",
    [
        "alter table storage.objects add column mine text",
        "create index mine on storage.objects (created_at)",
        "create function storage.mine() returns int language sql as 'select 1'",
        "alter table storage.objects disable trigger all",
        "create role mine superuser",
    ],
)
def test_postgres_may_not_change_the_storage_tables(project: Database, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        project.run(statement)


def test_postgres_may_make_and_drop_policies_and_triggers_there(project: Database) -> None:
    project.run("""
        create policy mine on storage.objects for select to authenticated using (true);
        create function public.mine() returns trigger language plpgsql as 'begin return null; end';
        create trigger mine after insert on storage.objects for each row execute function public.mine();
        drop trigger mine on storage.objects;
        drop policy mine on storage.objects;
    """)


def test_whatever_is_made_in_public_is_everyones(project: Database) -> None:
    project.run("create table notes (id int); create function mine() returns int language sql as 'select 1'")
    assert project.value("select has_function_privilege('anon', 'mine()', 'execute')") is True
    assert project.value("select has_table_privilege('anon', 'notes', 'insert')") is True


def test_a_claim_says_who_the_user_is(project: Database) -> None:
    with project.acting("authenticated", ALICE) as connection:
        assert connection.execute("select auth.uid()::text, auth.role(), current_user").fetchall() == [
            (ALICE, "authenticated", "authenticated")
        ]
    with project.acting("anon") as connection:
        assert connection.execute("select auth.uid(), auth.jwt() ->> 'role'").fetchall() == [(None, "anon")]


def test_objects_are_not_deleted_by_sql(project: Database) -> None:
    project.run("insert into storage.objects (bucket_id, name) values ('audio-files', 'a/b.wav')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        project.run("delete from storage.objects")
    project.run("begin; set local storage.allow_delete_query = 'true'; delete from storage.objects; commit")
