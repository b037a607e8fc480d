"""What Supabase's database linter looks for, asked of our tables and functions; and that the questions bite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres.databases import Database, Databases

OURS = "n.nspname = 'audiostore' or p.proname like 'audiostore%'"
LINTS = {
    "a definer's search_path is fixed": f"""
        select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where ({OURS} or n.nspname = 'public')
            and not coalesce(p.proconfig @> array['search_path=""'], false) and p.prolang <> 12
    """,
    "no definer is open to users": """
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.prosecdef
            and (has_function_privilege('anon', p.oid, 'execute')
                 or has_function_privilege('authenticated', p.oid, 'execute'))
    """,
    "row level security is on": """
        select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'audiostore') and c.relkind = 'r' and not c.relrowsecurity
    """,
    "row level security has policies": """
        select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'audiostore') and c.relkind = 'r'
            and not exists (select from pg_policy where polrelid = c.oid)
    """,
    "views are their caller's": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'v'
            and not coalesce(c.reloptions @> array['security_invoker=true'], false)
    """,
    "auth.users is in no view": """
        select viewname from pg_views where schemaname in ('public', 'audiostore') and definition like '%auth.users%'
    """,
    "policies ask who it is once, not for each row": """
        select policyname from pg_policies
        where policyname like 'audiostore%' and (coalesce(qual, '') || coalesce(with_check, '')) ~ 'auth\\.uid\\(\\)'
            and (coalesce(qual, '') || coalesce(with_check, '')) !~* 'select auth\\.uid\\(\\)'
    """,
    "one policy for one role and verb": """
        select tablename || cmd from pg_policies
        where policyname like 'audiostore%' group by schemaname, tablename, cmd, roles having count(*) > 1
    """,
    "foreign keys have an index": """
        select conrelid::regclass::text from pg_constraint
        where contype = 'f' and connamespace = 'public'::regnamespace and not exists (
            select from pg_index where indrelid = conrelid and indkey[0] = conkey[1]
        )
    """,
    "no index is there twice": """
        select min(indexrelid::regclass::text) from pg_index join pg_class on pg_class.oid = indrelid
        where relnamespace in ('public'::regnamespace, 'audiostore'::regnamespace)
        group by indrelid, indkey::text, indclass::text, pg_get_expr(indpred, indrelid), indisunique having count(*) > 1
    """,
    "every table has a primary key": """
        select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'audiostore') and c.relkind = 'r'
            and not exists (select from pg_index where indrelid = c.oid and indisprimary)
    """,
}

MISTAKES = {
    "a definer's search_path is fixed": "create function audiostore.loose() returns int language sql as 'select 1'",
    "no definer is open to users": "create function loose() returns int language sql security definer as 'select 1'",
    "row level security is on": "create table audiostore.loose (id int primary key)",
    "row level security has policies": 'drop policy "audiostore: nobody" on audiostore.plans',
    "views are their caller's": "create view loose as select 1",
    "auth.users is in no view": "create view loose as select email from auth.users",
    "policies ask who it is once, not for each row": (
        'create policy "audiostore: slow" on file_uploads for update using (auth.uid() = user_id)'
    ),
    "one policy for one role and verb": (
        'create policy "audiostore: two" on file_uploads for select to authenticated using (true)'
    ),
    "foreign keys have an index": "drop index idx_file_uploads_user_id",
    "no index is there twice": "create index again on audiostore.removals (due)",
    "every table has a primary key": "create table audiostore.loose (id int)",
}


@pytest.fixture(scope="module")
def looked_at(databases: Databases) -> Iterator[Database]:
    with databases.made(databases.applied(databases.hand_made())) as database:
        yield database


@pytest.mark.parametrize("lint", LINTS)
def test_the_linter_finds_nothing(looked_at: Database, lint: str) -> None:
    assert looked_at.rows(LINTS[lint]) == []


@pytest.mark.parametrize("lint", LINTS)
def test_the_linter_would_find_it(looked_at: Database, lint: str) -> None:
    with looked_at.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(MISTAKES[lint].encode())
        assert connection.execute(LINTS[lint].encode()).fetchall() != []


def test_the_linter_finds_what_the_app_had_written_itself(hand_made: Database) -> None:
    found: set[str] = set()
    for lint, query in LINTS.items():
        # There is no schema of ours yet; any other will do.
        if hand_made.rows(query.replace("'audiostore'::regnamespace", "'storage'::regnamespace")):
            found.add(lint)
    assert found >= {"a definer's search_path is fixed", "no definer is open to users"}
