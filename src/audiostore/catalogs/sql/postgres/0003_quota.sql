-- Whose numbers count, and whether something fits.

-- The plan of an owner; null: the database has no numbers for it. An app may put a function of its own in its place,
-- and what an app has put there stays.
do $do$
begin
    if to_regprocedure('audiostore.plan_of(text)') is null then
        create function audiostore.plan_of(wanted text) returns text
        language plpgsql stable set search_path = '' as $f$
        begin
            return 'free';
        end $f$;
        comment on function audiostore.plan_of(text) is 'audiostore default: everybody is free';
    end if;
end $do$;

-- The override in force, or null.
create or replace function audiostore.override_of(wanted text, at timestamptz) returns audiostore.overrides
language plpgsql stable set search_path = '' as $$
declare
    found_one audiostore.overrides;
begin
    select * into found_one from audiostore.overrides where owner = wanted and (until is null or until > at);
    return found_one;
end $$;

-- The plan of an owner with its numbers; null if it is on none.
create or replace function audiostore.numbers_of_plan(wanted text) returns audiostore.plans
language plpgsql stable set search_path = '' as $$
declare
    plan_name text := audiostore.plan_of(wanted);
    plan audiostore.plans;
begin
    select * into plan from audiostore.plans where name = plan_name;
    if plan_name is not null and not found then
        perform audiostore.refuse('unconfigured', jsonb_build_object(
            'what', format('audiostore.plans has no plan %L, which %L is on', plan_name, wanted)
        ));
    end if;
    return plan;
end $$;

-- The limits in force: the plan's, tightened by those that were asked for, under the owner's override. Null: there are
-- none, which refuses. A plan that does not exist refuses too, whatever else is known.
create or replace function audiostore.limits_of(wanted text, asked jsonb, at timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    plan audiostore.plans := audiostore.numbers_of_plan(wanted);
    numbers jsonb := (audiostore.override_of(wanted, at)).numbers;
begin
    asked := nullif(asked, 'null');
    if plan.name is null and asked is null and not coalesce(numbers ? 'total', false) then
        return null;
    end if;
    return jsonb_build_object(
        'total', least((asked ->> 'total')::numeric, plan.total),
        'per_file', least((asked ->> 'per_file')::numeric, plan.per_file),
        'files', least((asked ->> 'files')::numeric, plan.files),
        'types', asked -> 'types'
    ) || coalesce(numbers, '{}');
end $$;

create or replace function audiostore.plan(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    plan audiostore.plans := audiostore.numbers_of_plan(request ->> 'owner');
begin
    if plan.name is null then
        return null;
    end if;
    return jsonb_build_object('total', plan.total, 'per_file', plan.per_file, 'files', plan.files, 'types', null);
end $$;

create or replace function audiostore.limits_in_force(wanted text, asked jsonb, at timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    limits jsonb := audiostore.limits_of(wanted, asked, at);
begin
    if limits is null then
        perform audiostore.refuse('quota_exceeded', jsonb_build_object(
            'owner', wanted, 'kind', 'unset', 'limit', null, 'used', 0, 'reserved', 0, 'needed', 0
        ));
    end if;
    return limits;
end $$;

create or replace function audiostore.check_one_file(size bigint, limits jsonb) returns void
language plpgsql stable set search_path = '' as $$
begin
    if size > (limits ->> 'per_file')::numeric then
        perform audiostore.refuse('file_too_large', jsonb_build_object('limit', limits -> 'per_file', 'size', size));
    end if;
end $$;

-- Why so many more bytes and files do not fit, as facts; null if they do. What takes nothing, fits.
create or replace function audiostore.refusal(wanted text, limits jsonb, takes numeric, new_files integer)
returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    account audiostore.accounts;
    -- More than a bigint can't be counted, whatever the quota.
    total numeric := least((limits ->> 'total')::numeric, 9223372036854775807);
    files numeric := (limits ->> 'files')::numeric;
begin
    select * into account from audiostore.accounts where owner = wanted;
    if takes > 0 and account.committed::numeric + account.reserved + takes > total then
        return jsonb_build_object(
            'owner', wanted, 'kind', 'bytes', 'limit', total, 'used', account.committed,
            'reserved', account.reserved, 'needed', takes
        );
    end if;
    if new_files > 0 and account.files + account.pending + new_files > files then
        return jsonb_build_object(
            'owner', wanted, 'kind', 'files', 'limit', files, 'used', account.files,
            'reserved', account.pending, 'needed', new_files
        );
    end if;
    return null;
end $$;
