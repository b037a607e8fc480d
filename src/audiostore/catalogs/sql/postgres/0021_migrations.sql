-- The journal of migrations: one row for each file and owner, leased to the workers of any number of machines.
create table if not exists audiostore.migration_items (
    id text primary key,
    job text not null,
    address text not null,
    owner text not null,
    turn text not null,
    size bigint not null,
    state text not null check (state in ('open', 'copied', 'done', 'left', 'undone')),
    outcome text not null,
    refs jsonb not null,
    attempts jsonb not null,
    fence bigint not null default 0,
    worker text,
    leased_until timestamptz,
    file text,
    key text,
    sha256 text,
    detail text,
    facts jsonb not null
);
create unique index if not exists migration_items_known on audiostore.migration_items (job, address, owner);
create index if not exists migration_items_turn on audiostore.migration_items (job, state, turn, id);
create index if not exists migration_items_page on audiostore.migration_items (job, id);
create index if not exists migration_items_twins on audiostore.migration_items (job, owner, sha256)
    where sha256 is not null;
create index if not exists migration_items_leased on audiostore.migration_items (worker) where worker is not null;

alter table audiostore.migration_items enable row level security;
drop policy if exists "audiostore: nobody" on audiostore.migration_items;
create policy "audiostore: nobody" on audiostore.migration_items for select using (false);

create or replace function audiostore.migration_json(item audiostore.migration_items) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
    return jsonb_build_object(
        'id', item.id, 'address', item.address, 'owner', item.owner, 'size', item.size, 'state', item.state,
        'outcome', item.outcome, 'references', item.refs, 'attempts', item.attempts, 'fence', item.fence,
        'file', item.file, 'key', item.key, 'sha256', item.sha256, 'detail', item.detail, 'facts', item.facts
    );
end $$;

-- Add what was planned. What is there already gets the references that are new, and begins anew where that is due.
create or replace function audiostore.migration_plan(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    the_job text := request ->> 'job';
    planned jsonb;
    known audiostore.migration_items;
    news jsonb;
    again boolean;
begin
    -- In one order, so that two that plan the same never wait for one another in a circle.
    for planned in
        select item from jsonb_array_elements(request -> 'items') as item order by item ->> 'address', item ->> 'owner'
    loop
        if planned ->> 'owner' <> '' then
            delete from audiostore.migration_items
            where job = the_job and address = planned ->> 'address' and owner = '';
        end if;
        insert into audiostore.migration_items (
            id, job, address, owner, turn, size, state, outcome, refs, attempts, detail, facts
        ) values (
            planned ->> 'id', the_job, planned ->> 'address', planned ->> 'owner',
            coalesce(planned #>> '{references,0,project}', planned ->> 'owner'), (planned ->> 'size')::bigint,
            planned ->> 'state', planned ->> 'outcome', planned -> 'references', planned -> 'attempts',
            planned ->> 'detail', planned -> 'facts'
        ) on conflict (job, address, owner) do nothing;
        continue when found;
        select * into known from audiostore.migration_items
        where job = the_job and address = planned ->> 'address' and owner = planned ->> 'owner' for update;
        select coalesce(jsonb_agg(each), '[]') into news from jsonb_array_elements(planned -> 'references') as each
        where not known.refs @> jsonb_build_array(each);
        -- What is done begins anew if a plan names more, or was made when it was done already: else somebody finished
        -- it meanwhile, and the plan says what projects said before.
        again := known.state in ('left', 'undone') or (known.state = 'done' and (
            news <> '[]' or (planned -> 'references' <> '[]' and (planned ->> 'fence')::bigint = known.fence)));
        continue when not again and news = '[]';
        update audiostore.migration_items set
            refs = refs || news,
            state = case when again then planned ->> 'state' else state end,
            outcome = case when again then planned ->> 'outcome' else outcome end,
            size = case when again then (planned ->> 'size')::bigint else size end,
            detail = case when again then planned ->> 'detail' else detail end,
            facts = case when again then facts || (planned -> 'facts') else facts end
        where id = known.id;
    end loop;
    return null;
end $$;

-- Lease items: those that the worker holds already, since its last answer may have got lost; else others.
create or replace function audiostore.migration_claim(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    the_job text := request ->> 'job';
    wanted text := request ->> 'state';
    many bigint := least((request ->> 'limit')::bigint, 1000);
    at timestamptz := audiostore.clock();
    claimed jsonb[];
    each audiostore.migration_items;
begin
    select array_agg(audiostore.migration_json(held)) into claimed from (
        select * from audiostore.migration_items
        where worker = request ->> 'worker' and job = the_job and state = wanted
            and id = coalesce(request ->> 'only', id)
        order by turn, id limit many
    ) as held;
    if claimed is not null then
        return to_jsonb(claimed);
    end if;
    for each in
        select * from audiostore.migration_items
        where job = the_job and state = wanted and (worker is null or leased_until <= at)
            and owner = coalesce(request ->> 'owner', owner) and id = coalesce(request ->> 'only', id)
        order by turn, id limit many for update skip locked
    loop
        update audiostore.migration_items set
            worker = request ->> 'worker',
            leased_until = audiostore.later(at, (request ->> 'lease')::float8),
            fence = fence + 1,
            attempts = case
                when state = 'open' then attempts || jsonb_build_array(request -> 'ids' ->> coalesce(cardinality(claimed), 0))
                else attempts
            end
        where id = each.id returning * into each;
        claimed := claimed || audiostore.migration_json(each);
    end loop;
    return coalesce(to_jsonb(claimed), '[]');
end $$;

create or replace function audiostore.migration_beat(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
begin
    update audiostore.migration_items
    set leased_until = audiostore.later(audiostore.clock(), (request ->> 'lease')::float8)
    where worker = request ->> 'worker' and job = request ->> 'job';
    return null;
end $$;

-- Write down what became of claimed items. A lease that somebody else has by now settles nothing.
create or replace function audiostore.migration_settle(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    the_job text := request ->> 'job';
    told jsonb[] := '{}';
    now jsonb;
    known audiostore.migration_items;
    result text;
begin
    for now in
        select each from jsonb_array_elements(request -> 'settled') as each order by each ->> 'sha256', each ->> 'id'
    loop
        select * into known from audiostore.migration_items
        where id = now ->> 'id' and job = the_job and fence = (now ->> 'fence')::bigint and worker is not null for update;
        continue when not found;
        result := now ->> 'outcome';
        if result = 'migrated' and known.outcome = 'duplicate' then
            result := 'duplicate';
        end if;
        if now ->> 'outcome' = 'migrated' and now ->> 'sha256' is not null then
            -- Two equal files that come at the same moment: one of them is the first.
            perform pg_advisory_xact_lock(
                hashtextextended('audiostore:' || the_job || ':' || known.owner || ':' || (now ->> 'sha256'), 0)
            );
            if exists (
                select from audiostore.migration_items
                where job = the_job and owner = known.owner and sha256 = now ->> 'sha256' and id <> known.id
                    and state in ('copied', 'done') and outcome = 'migrated'
            ) then
                result := 'duplicate';
            end if;
        end if;
        update audiostore.migration_items set
            state = now ->> 'state',
            outcome = result,
            size = coalesce(nullif((now ->> 'size')::bigint, 0), size),
            file = coalesce(now ->> 'file', file),
            key = coalesce(now ->> 'key', key),
            sha256 = coalesce(now ->> 'sha256', sha256),
            detail = now ->> 'detail',
            facts = facts || (now -> 'facts'),
            worker = null
        where id = known.id returning * into known;
        told := told || audiostore.migration_json(known);
    end loop;
    return to_jsonb(told);
end $$;

create or replace function audiostore.migration_items(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return coalesce((
        select jsonb_agg(audiostore.migration_json(page) order by page.id) from (
            select * from audiostore.migration_items
            where job = request ->> 'job' and id > coalesce(request ->> 'after', '')
            order by id limit least((request ->> 'limit')::bigint, 1000)
        ) as page
    ), '[]');
end $$;

create or replace function audiostore.migration_find(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return coalesce((
        select jsonb_agg(audiostore.migration_json(item) order by item.owner) from audiostore.migration_items as item
        where job = request ->> 'job' and address = request ->> 'address'
    ), '[]');
end $$;

create or replace function audiostore.migration_counts(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return coalesce((
        select jsonb_agg(to_jsonb(counted) order by counted.state, counted.outcome) from (
            select state, outcome, count(*) as items, sum(size)::bigint as bytes, count(worker) as leased
            from audiostore.migration_items
            where job = request ->> 'job' and owner = coalesce(request ->> 'owner', owner)
            group by state, outcome
        ) as counted
    ), '[]');
end $$;

-- The doors, for the server's key alone.
do $do$
declare
    method text;
    door text;
    caller text;
begin
    foreach method in array array['plan', 'claim', 'beat', 'settle', 'items', 'find', 'counts'] loop
        door := format('public.audiostore_migration_%s(jsonb)', method);
        execute format($sql$
            create or replace function public.audiostore_migration_%1$s(request jsonb) returns jsonb
            language plpgsql volatile security definer
            set search_path = '' set timezone = 'UTC' set lock_timeout = '30s' as $f$
            begin
                return jsonb_build_object('status', 'ok', 'result', audiostore.migration_%1$s(request));
            end $f$
        $sql$, method);
        execute format('revoke all on function %s from public', door);
        execute format('revoke all on function audiostore.migration_%s(jsonb) from public', method);
        foreach caller in array array['anon', 'authenticated'] loop
            if to_regrole(caller) is not null then
                execute format('revoke all on function %s from %I', door, caller);
            end if;
        end loop;
        if to_regrole('service_role') is not null then
            execute format('grant execute on function %s to service_role', door);
        end if;
    end loop;
    revoke all on audiostore.migration_items from public;
    revoke all on function audiostore.migration_json(audiostore.migration_items) from public;
    foreach caller in array array['anon', 'authenticated', 'service_role'] loop
        if to_regrole(caller) is not null then
            execute format('revoke all on audiostore.migration_items from %I', caller);
        end if;
    end loop;
end $do$;
