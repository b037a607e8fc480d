-- Where the app has a table public.user_credits: storage_used_mb there follows the ledger, storage_quota_mb the quota
-- in force. A quota that an admin writes there becomes the owner's own; users can write neither.

-- Users with a role of an API may not touch the two columns, whatever the app's own policies let them do. Not a definer:
-- who asks is who counts.
create or replace function audiostore.guard_credits() returns trigger
language plpgsql set search_path = '' as $$
begin
    if current_user not in ('anon', 'authenticated') then
        return new;
    end if;
    if tg_op = 'INSERT' then
        new.storage_quota_mb := null;
    elsif (new.storage_quota_mb, new.storage_used_mb) is distinct from (old.storage_quota_mb, old.storage_used_mb) then
        raise exception 'storage_quota_mb and storage_used_mb are not for users to write' using errcode = '42501';
    end if;
    return new;
end $$;

-- The usage is what the ledger says, whoever writes; a quota that is not given is the one in force.
create or replace function audiostore.fill_credits() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if new.user_id is null then
        return new;
    end if;
    new.storage_used_mb := audiostore.megabytes(
        (select committed from audiostore.accounts where owner = new.user_id::text)
    );
    new.storage_quota_mb := coalesce(new.storage_quota_mb, audiostore.quota_mb(new.user_id::text));
    return new;
end $$;

-- Our own updates write what is in force; a number that is not in force is somebody's decision.
create or replace function audiostore.take_quota() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    shown integer;
begin
    if new.user_id is null then
        return null;
    end if;
    shown := audiostore.quota_mb(new.user_id::text);
    if new.storage_quota_mb = shown then
        return null;
    elsif tg_op = 'INSERT' or new.storage_quota_mb is distinct from old.storage_quota_mb then
        insert into audiostore.overrides as set_before (owner, numbers)
        values (
            new.user_id::text, jsonb_build_object('total', greatest(new.storage_quota_mb, 0)::bigint * 1048576)
        )
        on conflict (owner) do update
        set numbers = case
            when set_before.until <= audiostore.clock() then '{}' else set_before.numbers
        end || excluded.numbers, until = null;
    else
        perform audiostore.show_quota(new.user_id::text);
    end if;
    return null;
end $$;

create or replace function audiostore.show_quota(wanted text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if audiostore.as_uuid(wanted) is not null and audiostore.shows_credits() then
        update public.user_credits set storage_quota_mb = audiostore.quota_mb(wanted)
        where user_id = wanted::uuid and storage_quota_mb is distinct from audiostore.quota_mb(wanted);
    end if;
end $$;

-- Is there such a table, and is it in step? (An app may drop it.)
create or replace function audiostore.shows_credits() returns boolean
language plpgsql stable set search_path = '' as $$
begin
    return exists (
        select from pg_catalog.pg_trigger
        where tgrelid = to_regclass('public.user_credits') and tgname = 'audiostore_fill'
    );
end $$;

create or replace function audiostore.follow_account() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if audiostore.as_uuid(new.owner) is null or not audiostore.shows_credits() then
        return null;
    end if;
    update public.user_credits set storage_used_mb = audiostore.megabytes(new.committed)
    where user_id = new.owner::uuid and storage_used_mb is distinct from audiostore.megabytes(new.committed);
    if exists (select from audiostore.overrides where owner = new.owner and until <= audiostore.clock()) then
        perform audiostore.show_quota(new.owner); -- a quota for a while has ended, and nothing else would tell
    end if;
    return null;
end $$;

create or replace function audiostore.follow_override() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform audiostore.show_quota(coalesce(new.owner, old.owner));
    return null;
end $$;

create or replace function audiostore.follow_plans() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if audiostore.shows_credits() then
        update public.user_credits set storage_quota_mb = audiostore.quota_mb(user_id::text)
        where user_id is not null and storage_quota_mb is distinct from audiostore.quota_mb(user_id::text);
    end if;
    return null;
end $$;

do $do$
declare
    knows_payment boolean;
    hand_set boolean;
begin
    if not exists (
        select from information_schema.columns
        where table_schema = 'public' and table_name = 'user_credits' and column_name = 'user_id' and udt_name = 'uuid'
    ) then
        return; -- run this again when the app has one
    end if;
    knows_payment := exists (
        select from information_schema.columns
        where table_schema = 'public' and table_name = 'user_credits' and column_name = 'total_purchased'
    );
    -- The body tells whose it is; a comment on the function would outlive the app's own version of it.
    if knows_payment and exists (
        select from pg_proc where oid = to_regprocedure('audiostore.plan_of(text)') and (
            prosrc like '%audiostore default%' or regexp_replace(prosrc, '\s', '', 'g') = 'beginreturn''free'';end'
        )
    )
    then
        create or replace function audiostore.plan_of(wanted text) returns text
        language plpgsql stable set search_path = '' as $f$
        begin
            -- audiostore default
            return case when exists (
                select from public.user_credits
                where user_id = audiostore.as_uuid(wanted) and total_purchased > 0
            ) then 'paid' else 'free' end;
        end $f$;
        comment on function audiostore.plan_of(text) is 'audiostore default: whoever has bought something is paid';
    end if;

    hand_set := not audiostore.shows_credits() and exists (
        select from information_schema.columns
        where table_schema = 'public' and table_name = 'user_credits' and column_name = 'storage_quota_mb'
    );
    -- No defaults: a number that stands there is then somebody's decision, and one that doesn't is nobody's.
    alter table public.user_credits
        add column if not exists storage_quota_mb integer,
        add column if not exists storage_used_mb numeric(10, 2);
    alter table public.user_credits
        alter column storage_quota_mb drop default,
        alter column storage_used_mb drop default;
    -- The first time only. 500, and 5000 for who paid, is what everybody was given, so nobody's decision.
    if hand_set then
        insert into audiostore.overrides (owner, numbers)
        select distinct on (user_id) user_id::text,
            jsonb_build_object('total', greatest(storage_quota_mb, 0)::bigint * 1048576)
        from public.user_credits
        where user_id is not null and storage_quota_mb <> 500
            and not (storage_quota_mb = 5000 and audiostore.plan_of(user_id::text) = 'paid')
        on conflict (owner) do nothing;
    end if;

    create or replace trigger audiostore_a_guard before insert or update on public.user_credits
        for each row execute function audiostore.guard_credits();
    create or replace trigger audiostore_fill before insert or update on public.user_credits
        for each row execute function audiostore.fill_credits();
    create or replace trigger audiostore_quota_given after insert on public.user_credits
        for each row execute function audiostore.take_quota();
    if knows_payment then
        create or replace trigger audiostore_quota_changed after update on public.user_credits for each row
            when (
                new.storage_quota_mb is distinct from old.storage_quota_mb
                or new.total_purchased is distinct from old.total_purchased
            )
            execute function audiostore.take_quota();
    else
        create or replace trigger audiostore_quota_changed after update on public.user_credits for each row
            when (new.storage_quota_mb is distinct from old.storage_quota_mb)
            execute function audiostore.take_quota();
    end if;
    create or replace trigger audiostore_begun after insert on audiostore.accounts
        for each row execute function audiostore.follow_account();
    create or replace trigger audiostore_charged after update on audiostore.accounts
        for each row when (new.committed <> old.committed) execute function audiostore.follow_account();
    create or replace trigger audiostore_set after insert or update or delete on audiostore.overrides
        for each row execute function audiostore.follow_override();
    create or replace trigger audiostore_planned after insert or update or delete on audiostore.plans
        for each statement execute function audiostore.follow_plans();
    update public.user_credits set storage_used_mb = null, storage_quota_mb = audiostore.quota_mb(user_id::text)
    where user_id is not null and (
        storage_quota_mb is distinct from audiostore.quota_mb(user_id::text)
        or storage_used_mb is distinct from audiostore.megabytes(
            (select committed from audiostore.accounts where owner = user_id::text)
        )
    );
end $do$;

do $$
declare
    routine text;
begin
    foreach routine in array array[
        'guard_credits()', 'fill_credits()', 'take_quota()', 'show_quota(text)', 'shows_credits()', 'follow_account()',
        'follow_override()', 'follow_plans()', 'plan_of(text)'
    ] loop
        execute format('revoke all on function audiostore.%s from public', routine);
    end loop;
end $$;
