-- The life of a removal: queued, handed out, and forgotten once the bytes are gone.

create or replace function audiostore.hide(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    wanted uuid[] := audiostore.as_uuids(request -> 'files');
    wanted_owner text := request ->> 'owner';
    queued jsonb;
begin
    perform audiostore.lock_account(wanted_owner);
    with hidden as (
        update public.file_uploads set upload_status = 'deleting'
        where id = any (wanted) and owner = wanted_owner and visible
        returning id, backend, storage_path, owner
    ), made as (
        insert into audiostore.removals as already (backend, key, owner, file, due)
        select backend, storage_path, owner, id, audiostore.clock() + audiostore.setting('removal_delay') from hidden
        on conflict (key, backend) do update set owner = excluded.owner, file = excluded.file
        returning already.*
    )
    select jsonb_agg(audiostore.removal_json(made) order by array_position(wanted, made.file)) into queued from made;
    return coalesce(queued, '[]');
end $$;

create or replace function audiostore.forget(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    wanted uuid[] := audiostore.as_uuids(request -> 'removals');
    each text;
begin
    for each in
        select distinct owner from audiostore.removals where id = any (wanted) and file is not null order by owner
    loop
        perform audiostore.lock_account(each);
    end loop;
    delete from public.file_uploads
    where upload_status = 'deleting' and id in (select file from audiostore.removals where id = any (wanted));
    perform from audiostore.removals where id = any (wanted) order by id for update;
    delete from audiostore.removals where id = any (wanted);
    return null;
end $$;

create or replace function audiostore.postpone(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    wanted uuid[] := audiostore.as_uuids(request -> 'removals');
begin
    perform from audiostore.removals where id = any (wanted) order by id for update;
    update audiostore.removals set due = audiostore.later(audiostore.clock(), (request ->> 'delay')::float8)
    where id = any (wanted);
    return null;
end $$;

create or replace function audiostore.claim(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    many bigint := least((request ->> 'limit')::bigint, 1000);
    lease float8 := (request ->> 'lease')::float8;
    at timestamptz := audiostore.clock();
    claimed jsonb[] := '{}';
    seen boolean;
    each audiostore.removals;
begin
    while cardinality(claimed) < many loop
        seen := false;
        for each in
            select * from audiostore.removals where due <= at
            order by due limit many - cardinality(claimed) for update skip locked
        loop
            seen := true;
            if audiostore.holders(each.backend, each.key) && '{record,pending}' then
                delete from audiostore.removals where id = each.id;
                continue;
            end if;
            update audiostore.removals set attempts = attempts + 1, due = audiostore.later(at, lease)
            where id = each.id returning * into each;
            claimed := claimed || audiostore.removal_json(each);
        end loop;
        exit when not seen or lease <= 0;
    end loop;
    return to_jsonb(claimed);
end $$;

create or replace function audiostore.discard(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    the_backend text := request ->> 'backend';
    due_at timestamptz := audiostore.later(audiostore.clock(), (request ->> 'delay')::float8);
    each text;
begin
    -- In one order, so that two that discard the same never wait for one another in a circle.
    for each in select distinct key from jsonb_array_elements_text(request -> 'keys') as key order by key loop
        perform audiostore.lock_key(the_backend, each);
        if audiostore.holders(the_backend, each) = '{}' then
            perform audiostore.queue(the_backend, each, null, due_at);
        end if;
    end loop;
    return null;
end $$;

create or replace function audiostore.known(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return coalesce((
        select jsonb_agg(key) from jsonb_array_elements_text(request -> 'keys') as key
        where audiostore.holders(request ->> 'backend', key) <> '{}'
    ), '[]');
end $$;
