-- What users may do in the bucket with a token of their own: read their folder, and upload what was reserved for them.
-- There is no policy for UPDATE (it would let them overwrite and move) and none for DELETE (the store deletes).

insert into audiostore.settings (name, value) values ('bucket', '"audio-files"') on conflict (name) do nothing;

create or replace function audiostore.bucket() returns text
language plpgsql stable security definer set search_path = '' as $$
begin
    return (select value #>> '{}' from audiostore.settings where name = 'bucket');
end $$;

-- Before the bytes come, the server asks with what the request declares. 64 KiB are for the form around them; one that
-- declares nothing is held to its size later, by the sweep or by the trigger of the next script.
create or replace function audiostore.may_upload(path text, declared jsonb) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
    return exists (
        select from audiostore.reservations
        where pending_key = path and backend = 'supabase' and owner = auth.uid()::text
            and expires_at > audiostore.clock()
            and greatest((declared ->> 'contentLength')::numeric, (declared ->> 'size')::numeric, 0) <= size + 65536
    );
end $$;

do $do$
begin
    revoke all on function audiostore.bucket(), audiostore.may_upload(text, jsonb) from public;
    if to_regclass('storage.objects') is null or to_regrole('authenticated') is null then
        return;
    end if;
    grant execute on function audiostore.bucket(), audiostore.may_upload(text, jsonb) to authenticated;
    drop policy if exists "Users can upload own audio files" on storage.objects;
    drop policy if exists "Users can view own audio files" on storage.objects;
    drop policy if exists "Users can update own audio files" on storage.objects;
    drop policy if exists "Users can delete own audio files" on storage.objects;
    drop policy if exists "audiostore: owners read their folder" on storage.objects;
    drop policy if exists "audiostore: owners upload what was reserved" on storage.objects;
    create policy "audiostore: owners read their folder" on storage.objects for select to authenticated using (
        bucket_id = (select audiostore.bucket()) and (storage.foldername(name))[1] = (select auth.uid())::text
    );
    create policy "audiostore: owners upload what was reserved" on storage.objects for insert to authenticated
        with check (bucket_id = (select audiostore.bucket()) and audiostore.may_upload(name, metadata));
end $do$;
