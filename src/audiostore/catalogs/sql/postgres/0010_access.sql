-- Who may do what. Owners read their own records and usage, and write nothing; everything else goes through the
-- server's key. A database that is not Supabase's may have none of these roles, and then nobody to be kept out.

-- As long as users may write records, any of them may say that somebody's file is theirs. Such rows are set aside, not
-- charged and not seen, once: when that ends.
do $$
begin
    if exists (
        select from pg_policies where schemaname = 'public' and tablename = 'file_uploads'
            and policyname = 'Users can insert own file uploads'
    ) then
        update public.file_uploads as file set upload_status = 'foreign'
        where upload_status in ('completed', 'deleting') and user_id is not null
            and split_part(storage_path, '/', 1) <> user_id::text
            and exists (select from auth.users where id = audiostore.as_uuid(split_part(file.storage_path, '/', 1)));
    end if;
end $$;

drop policy if exists "Users can view own file uploads" on public.file_uploads;
drop policy if exists "Users can insert own file uploads" on public.file_uploads;
drop policy if exists "Users can update own file uploads" on public.file_uploads;
drop policy if exists "Users can delete own file uploads" on public.file_uploads;

-- The private tables are for our functions alone. The policy says so in so many words; it lets nobody in.
do $$
declare
    each text;
begin
    for each in select tablename from pg_tables where schemaname = 'audiostore' loop
        execute format('alter table audiostore.%I enable row level security', each);
        execute format('drop policy if exists "audiostore: nobody" on audiostore.%I', each);
        execute format('create policy "audiostore: nobody" on audiostore.%I for select using (false)', each);
    end loop;
end $$;

-- Take back what a project grants on everything new in `public`, and what Postgres grants on every function.
do $$
declare
    role text;
begin
    revoke all on all tables in schema audiostore from public;
    revoke all on all functions in schema audiostore from public;
    revoke all on public.file_uploads from public;
    foreach role in array array['anon', 'authenticated', 'service_role'] loop
        if to_regrole(role) is not null then
            execute format('revoke all on schema audiostore from %I', role);
            execute format('revoke all on all tables in schema audiostore from %I', role);
            execute format('revoke all on all functions in schema audiostore from %I', role);
            execute format('revoke all on public.file_uploads from %I', role);
        end if;
    end loop;
    -- Older backends read and write records with the server's key.
    if to_regrole('service_role') is not null then
        grant select, insert, update, delete on public.file_uploads to service_role;
    end if;
    if to_regrole('authenticated') is not null then
        grant usage on schema audiostore to authenticated;
        grant select on public.file_uploads to authenticated;
    end if;
end $$;

drop policy if exists "audiostore: owners read their records" on public.file_uploads;
drop view if exists public.audiostore_my_usage;
do $do$
begin
    if to_regrole('authenticated') is null or to_regprocedure('auth.uid()') is null then
        return;
    end if;
    create policy "audiostore: owners read their records" on public.file_uploads
        for select to authenticated using (owner = (select auth.uid())::text);

    -- Takes no argument: whoever asks is told about themselves.
    create or replace function audiostore.my_usage() returns table (
        owner text, used bigint, reserved bigint, files bigint, quota bigint, storage_used_mb numeric,
        storage_quota_mb integer
    )
    language plpgsql stable security definer set search_path = '' as $f$
    declare
        me text := auth.uid()::text;
        account audiostore.accounts;
    begin
        if me is null then
            return;
        end if;
        select * into account from audiostore.accounts where accounts.owner = me;
        return query select
            me, coalesce(account.committed, 0), coalesce(account.reserved, 0), coalesce(account.files, 0),
            audiostore.quota_of(me), audiostore.megabytes(account.committed), audiostore.quota_mb(me);
    end $f$;
    revoke all on function audiostore.my_usage() from public;
    grant execute on function audiostore.my_usage() to authenticated;

    create view public.audiostore_my_usage with (security_invoker = true) as select * from audiostore.my_usage();
    revoke all on public.audiostore_my_usage from public, authenticated;
    grant select on public.audiostore_my_usage to authenticated;
    if to_regrole('anon') is not null then
        revoke all on public.audiostore_my_usage from anon;
    end if;
    if to_regrole('service_role') is not null then
        revoke all on public.audiostore_my_usage from service_role;
    end if;
end $do$;

-- Usage and quota as older readers know them.
create or replace function audiostore.megabytes(bytes bigint) returns numeric
language plpgsql immutable set search_path = '' as $$
begin
    return least(round(coalesce(bytes, 0) / 1048576.0, 2), 99999999.99);
end $$;

-- The bytes that an owner may keep: null is unlimited; no quota at all, or a plan that does not exist, is nothing.
create or replace function audiostore.quota_of(wanted text) returns bigint
language plpgsql stable set search_path = '' as $$
declare
    limits jsonb;
begin
    limits := audiostore.limits_of(wanted, null, audiostore.clock()); -- here, where what it raises is caught
    if limits is null then
        return 0;
    end if;
    return least((limits ->> 'total')::numeric, 9223372036854775807);
exception
    when sqlstate 'AS001' then
        return 0;
end $$;

-- In whole megabytes, since the column is an integer; unlimited is the largest there is.
create or replace function audiostore.quota_mb(wanted text) returns integer
language plpgsql stable set search_path = '' as $$
begin
    return least(audiostore.quota_of(wanted) / 1048576, 2147483647);
end $$;
revoke all on function audiostore.megabytes(bigint), audiostore.quota_of(text), audiostore.quota_mb(text) from public;
