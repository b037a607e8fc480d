-- Not a door of the catalog: how a migration changes one project of the app, over any transport.

-- Put `data` into one row of the app's own table, if what stands there still is what the caller has read: `seen` is the
-- sha256 of its text. It looks at nothing else, so it holds whether or not the app keeps its `updated_at`. It runs with
-- the rights of its caller, and so may do nothing that the service key may not do anyway.
create or replace function public.audiostore_swap_document(request jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = '' as $$
declare
    target regclass := to_regclass(format('%I.%I', request ->> 'schema', request ->> 'table'));
    id text := request ->> 'id_column';
    data text := request ->> 'data_column';
    stamp text := request ->> 'updated_column';
    types jsonb := (
        select jsonb_object_agg(attname, format_type(atttypid, atttypmod)) from pg_catalog.pg_attribute
        where attrelid = target and attnum > 0 and not attisdropped
    );
    changed bigint;
begin
    if target is null then
        raise exception 'there is no table %.%', request ->> 'schema', request ->> 'table' using errcode = '42P01';
    end if;
    if not coalesce(types ? id and types ? data and (stamp is null or types ? stamp), false) then
        raise exception 'there is no column %, % or % in %', id, data, stamp, target using errcode = '42703';
    end if;
    execute format(
        'update %s set %I = $1::%s%s where %I = $2::%s and encode(sha256(convert_to(%I::text, ''UTF8'')), ''hex'') = $3',
        target, data, types ->> data,
        case when stamp is null then '' else format(', %I = $4::%s', stamp, types ->> stamp) end,
        id, types ->> id, data
    ) using request ->> 'data', request ->> 'id', request ->> 'seen', request ->> 'updated';
    get diagnostics changed = row_count;
    return jsonb_build_object('status', 'ok', 'result', changed > 0);
end $$;

do $$
declare
    role text;
begin
    revoke all on function public.audiostore_swap_document(jsonb) from public;
    foreach role in array array['anon', 'authenticated'] loop
        if to_regrole(role) is not null then
            execute format('revoke all on function public.audiostore_swap_document(jsonb) from %I', role);
        end if;
    end loop;
    if to_regrole('service_role') is not null then
        grant execute on function public.audiostore_swap_document(jsonb) to service_role;
    end if;
end $$;
