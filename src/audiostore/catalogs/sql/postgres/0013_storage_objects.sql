-- The storage server's own table of objects: what it knows better than an older writer, and what it can hold to account.

-- An older backend uploads, then records megabytes with two decimals, by which many a short take is nothing. The object
-- is there by then, and its size is known.
create or replace function audiostore.take_object_size() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    select (metadata ->> 'size')::bigint into new.size from storage.objects
    where bucket_id = audiostore.bucket() and name = new.storage_path and metadata ->> 'size' ~ '^[0-9]{1,18}$';
    return new;
end $$;

do $$
begin
    if to_regclass('storage.objects') is not null then
        -- Its name comes before audiostore_complete, and so does it.
        create or replace trigger audiostore_a_size before insert on public.file_uploads
            for each row when (new.size is null and new.backend = 'supabase')
            execute function audiostore.take_object_size();
    end if;
end $$;
revoke all on function audiostore.take_object_size() from public;

-- Optional: hold every object to its reservation inside the storage server's own transaction, whatever protocol it came
-- by. `select audiostore.watch_objects(true)` turns it on, `false` off. It commits nothing: what was uploaded is a file
-- once the app has looked at it.

create or replace function audiostore.object_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    made audiostore.reservations;
    stored bigint;
begin
    if tg_op = 'DELETE' then
        perform audiostore.object_gone(old.bucket_id, old.name);
        return null;
    end if;
    if new.bucket_id <> audiostore.bucket() or new.metadata ->> 'size' !~ '^[0-9]{1,18}$' then
        return null; -- not ours; or the server's trial, to which the policies answer
    end if;
    stored := new.metadata ->> 'size';
    if stored is null or (
        tg_op = 'UPDATE' and old.name = new.name and old.bucket_id = new.bucket_id
        and old.metadata ->> 'size' = new.metadata ->> 'size' and old.version is not distinct from new.version
    ) then
        return null;
    end if;
    select * into made from audiostore.reservations where pending_key = new.name and backend = 'supabase';
    if found then
        if stored > made.size then
            raise exception 'audiostore: % bytes are more than the % reserved', stored, made.size
                using errcode = '42501';
        end if;
    elsif exists (
        select from public.file_uploads
        where storage_path = new.name and backend = 'supabase' and upload_status = 'completed' and size <> stored
    ) then
        raise exception 'audiostore: this key has a file of another size' using errcode = '42501';
    end if;
    return null; -- what nobody reserved comes from an older backend, and is recorded after this
end $$;

-- Somebody deleted the object behind our back: its record goes, and its charge.
create or replace function audiostore.object_gone(bucket text, name text) returns void
language plpgsql set search_path = '' as $$
declare
    file public.file_uploads;
begin
    if bucket <> audiostore.bucket() then
        return;
    end if;
    select * into file from public.file_uploads
    where storage_path = name and backend = 'supabase' and upload_status in ('completed', 'deleting');
    if not found then
        return;
    end if;
    perform audiostore.lock_account(file.owner);
    delete from public.file_uploads where id = file.id and storage_path = name;
    delete from audiostore.removals where key = name and backend = 'supabase';
end $$;

create or replace function audiostore.watch_objects(wanted boolean) returns void
language plpgsql set search_path = '' as $$
begin
    drop trigger if exists audiostore_object_changed on storage.objects;
    if wanted then
        create trigger audiostore_object_changed after insert or update or delete on storage.objects
            for each row execute function audiostore.object_changed();
    end if;
end $$;

revoke all on function audiostore.object_changed(), audiostore.object_gone(text, text), audiostore.watch_objects(boolean)
    from public;

-- Not a door of the catalog: what a doctor asks over any transport. `version` is null where scripts were run bare.
create or replace function public.audiostore_schema(request jsonb) returns jsonb
language plpgsql volatile security definer set search_path = '' as $$
begin
    return jsonb_build_object('status', 'ok', 'result', jsonb_build_object(
        'version', audiostore.newest_script(),
        'bucket', audiostore.bucket(),
        'watches_objects', exists (
            select from pg_catalog.pg_trigger
            where tgrelid = to_regclass('storage.objects') and tgname = 'audiostore_object_changed'
        )
    ));
end $$;

create or replace function audiostore.newest_script() returns integer
language plpgsql stable set search_path = '' as $$
begin
    if to_regclass('audiostore.schema_versions') is null then
        return null;
    end if;
    return (select max(version) from audiostore.schema_versions);
end $$;

do $$
declare
    role text;
begin
    revoke all on function audiostore.newest_script(), public.audiostore_schema(jsonb) from public;
    foreach role in array array['anon', 'authenticated'] loop
        if to_regrole(role) is not null then
            execute format('revoke all on function public.audiostore_schema(jsonb) from %I', role);
        end if;
    end loop;
    if to_regrole('service_role') is not null then
        grant execute on function public.audiostore_schema(jsonb) to service_role;
    end if;
end $$;
