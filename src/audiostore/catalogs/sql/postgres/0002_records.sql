-- The records: public.file_uploads as older apps know it, with what is missing there, counted for whoever writes it.
create table if not exists public.file_uploads (
    id uuid primary key default gen_random_uuid(),
    user_id uuid,
    project_id text not null,
    filename text not null,
    file_size_mb numeric(10, 2) not null,
    storage_path text not null,
    chapter_id integer,
    section_id integer,
    upload_status text default 'completed',
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
alter table public.file_uploads enable row level security;

-- `storage_path` is the key. `visible` is kept by a trigger: completed, of an owner, under a key that backends can hold.
alter table public.file_uploads
    add column if not exists owner text,
    add column if not exists chapter text,
    add column if not exists section text,
    add column if not exists backend text not null default 'supabase',
    add column if not exists size bigint check (size >= 0),
    add column if not exists size_source text, -- 'megabytes': rounded ones are all that anybody knew
    add column if not exists sha256 text,
    add column if not exists content_type text,
    add column if not exists duration double precision,
    add column if not exists metadata jsonb not null default '{}',
    add column if not exists visible boolean not null default false,
    alter column created_at set default now(),
    alter column updated_at set default now();

do $$
begin
    if to_regclass('auth.users') is not null and not exists (
        select from pg_constraint where conrelid = 'public.file_uploads'::regclass and contype = 'f'
    ) then
        alter table public.file_uploads add constraint file_uploads_user_id_fkey
            foreign key (user_id) references auth.users (id) on delete cascade;
    end if;
end $$;

-- An older trigger summed up all files of a user for each one that came.
drop trigger if exists update_storage_usage_trigger on public.file_uploads;
do $$
begin
    if to_regprocedure('public.update_user_storage_usage()') is not null and not exists (
        select from pg_trigger where tgfoid = to_regprocedure('public.update_user_storage_usage()')
    ) then
        drop function public.update_user_storage_usage();
    end if;
end $$;

-- What counts: seen files, and hidden ones until their bytes are gone.
create or replace function audiostore.is_charged(status text) returns boolean
language sql immutable set search_path = '' as $$ select status in ('completed', 'deleting') $$;

-- Is it a key as audiostore.keys has it? Older writers took any text, and it must not lead a disk out of its folder.
create or replace function audiostore.is_key(path text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    return length(path) between 1 and 1024
        and path ~ '^[A-Za-z0-9_/!.''() &$=@;+,-]+$'
        and path !~ '(^|/)([. ]|/|$)'
        and path !~ '[. ](/|$)'
        and path !~ '[^/]{255}[^/]'
        and path !~* '(^|/)(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(\.[^/]*)?(/|$)';
end $$;

-- Megabytes as older writers count them, rounded up: what is there is never more than what is charged.
create or replace function audiostore.bytes_of(megabytes numeric) returns bigint
language plpgsql immutable set search_path = '' as $$
begin
    return greatest(0, ceil(coalesce(nullif(megabytes, 'NaN'), 0) * 1048576))::bigint;
end $$;

create or replace function audiostore.as_integer(told text) returns integer
language plpgsql immutable set search_path = '' as $$
begin
    if told ~ '^(0|-?[1-9][0-9]{0,8})$' then
        return told::integer;
    end if;
    return null;
end $$;

-- Older writers know neither owner nor bytes, older readers no text for a chapter: keep both halves of a row in step.
create or replace function audiostore.complete_record() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    foreigner boolean := false;
begin
    if tg_op = 'INSERT' then
        foreigner := new.owner is null;
        new.owner := coalesce(new.owner, new.user_id::text);
        if new.size is null then
            new.size := audiostore.bytes_of(new.file_size_mb);
            new.size_source := 'megabytes';
        end if;
        new.chapter := coalesce(new.chapter, new.chapter_id::text);
        new.section := coalesce(new.section, new.section_id::text);
        new.chapter_id := coalesce(new.chapter_id, audiostore.as_integer(new.chapter));
        new.section_id := coalesce(new.section_id, audiostore.as_integer(new.section));
    else
        new := audiostore.follow(old, new);
        new.updated_at := audiostore.clock();
        foreigner := not audiostore.is_charged(old.upload_status);
    end if;
    new.upload_status := coalesce(new.upload_status, 'completed');
    new.file_size_mb := least(round(new.size / 1048576.0, 2), 99999999.99);
    if foreigner and audiostore.is_charged(new.upload_status) then
        -- The same path once more is the same object once more: it is kept as a row, and not charged.
        perform audiostore.lock_key(new.backend, new.storage_path);
        if exists (
            select from public.file_uploads as other
            where other.storage_path = new.storage_path and other.backend = new.backend and other.id <> new.id
                and other.upload_status in ('completed', 'deleting')
        ) then
            new.upload_status := 'duplicate';
        end if;
    end if;
    new.visible := new.upload_status = 'completed' and new.owner is not null and audiostore.is_key(new.storage_path);
    return new;
end $$;

-- Let each half of a row follow the one that an update changed.
create or replace function audiostore.follow(old public.file_uploads, new public.file_uploads)
returns public.file_uploads
language plpgsql set search_path = '' as $$
begin
    if new.user_id is distinct from old.user_id and new.owner is not distinct from old.user_id::text then
        new.owner := new.user_id::text;
    end if;
    if new.size is not distinct from old.size and new.file_size_mb is distinct from old.file_size_mb then
        new.size := audiostore.bytes_of(new.file_size_mb);
        new.size_source := 'megabytes';
    elsif new.size is distinct from old.size and new.size_source is not distinct from old.size_source then
        new.size_source := null;
    end if;
    if new.chapter is distinct from old.chapter then
        new.chapter_id := audiostore.as_integer(new.chapter);
    elsif new.chapter_id is distinct from old.chapter_id then
        new.chapter := new.chapter_id::text;
    end if;
    if new.section is distinct from old.section then
        new.section_id := audiostore.as_integer(new.section);
    elsif new.section_id is distinct from old.section_id then
        new.section := new.section_id::text;
    end if;
    return new;
end $$;

-- The ledger follows every statement, whoever wrote it, at the cost of the rows it changed.
create or replace function audiostore.account_records() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    change record;
begin
    if tg_op = 'INSERT' then
        for change in
            select owner, sum(size)::bigint as bytes, count(*) as files from came
            where upload_status in ('completed', 'deleting') and owner is not null
            group by owner order by owner
        loop
            perform audiostore.charge(change.owner, more_committed => change.bytes, more_files => change.files);
        end loop;
    elsif tg_op = 'UPDATE' then
        for change in
            select owner, sum(bytes)::bigint as bytes, sum(files)::bigint as files from (
                select owner, size as bytes, 1 as files from came where upload_status in ('completed', 'deleting')
                union all
                select owner, -size, -1 from went where upload_status in ('completed', 'deleting')
            ) as parts
            where owner is not null group by owner order by owner
        loop
            perform audiostore.charge(change.owner, more_committed => change.bytes, more_files => change.files);
        end loop;
    else
        for change in
            select owner, sum(size)::bigint as bytes, count(*) as files from went
            where upload_status in ('completed', 'deleting') and owner is not null
            group by owner order by owner
        loop
            perform audiostore.charge(change.owner, more_committed => -change.bytes, more_files => -change.files);
        end loop;
        -- Nothing refers to the bytes any more. If a removal is queued already, this is its end (see forget).
        insert into audiostore.removals (backend, key, owner, due)
        select backend, storage_path, owner, audiostore.clock() + audiostore.setting('removal_delay') from went
        where upload_status in ('completed', 'deleting') and audiostore.is_key(storage_path)
        on conflict (key, backend) do nothing;
    end if;
    return null;
end $$;

create or replace trigger audiostore_complete before insert or update on public.file_uploads
    for each row execute function audiostore.complete_record();
create or replace trigger audiostore_came after insert on public.file_uploads
    referencing new table as came for each statement execute function audiostore.account_records();
create or replace trigger audiostore_changed after update on public.file_uploads
    referencing old table as went new table as came for each statement execute function audiostore.account_records();
create or replace trigger audiostore_went after delete on public.file_uploads
    referencing old table as went for each statement execute function audiostore.account_records();

-- Rows from before. Those without an owner are in no ledger, so naming it is what counts them. Of the rows of one path
-- the one in its user's own folder stays, and the oldest: older writers left the bytes alone that were there.
update public.file_uploads as late set upload_status = 'duplicate'
from (
    select id, row_number() over (
        partition by backend, storage_path
        order by starts_with(storage_path, user_id || '/') desc nulls last, created_at nulls first, id
    ) as rank
    from public.file_uploads where coalesce(upload_status, 'completed') in ('completed', 'deleting')
) as ranked
where ranked.id = late.id and ranked.rank > 1;
-- New columns have no statistics, and without them the planner compares every row with every object.
analyze public.file_uploads;
do $$
declare
    bucket text := coalesce((select value #>> '{}' from audiostore.settings where name = 'bucket'), 'audio-files');
begin
    if to_regclass('storage.objects') is not null then
        update public.file_uploads as file set
            size = (object.metadata ->> 'size')::bigint,
            content_type = coalesce(file.content_type, object.metadata ->> 'mimetype')
        from storage.objects as object
        where file.size is null and object.bucket_id = bucket and object.name = file.storage_path
            and object.metadata ->> 'size' ~ '^[0-9]{1,18}$';
    end if;
end $$;
update public.file_uploads set
    size = coalesce(size, audiostore.bytes_of(file_size_mb)),
    size_source = case when size is null then 'megabytes' else size_source end, owner = coalesce(owner, user_id::text),
    chapter = coalesce(chapter, chapter_id::text), section = coalesce(section, section_id::text)
where size is null or (owner is null and user_id is not null);
alter table public.file_uploads alter column size set not null;

create unique index if not exists file_uploads_key on public.file_uploads (storage_path, backend)
    where upload_status in ('completed', 'deleting');
create index if not exists file_uploads_uncharged on public.file_uploads (storage_path, backend)
    where upload_status not in ('completed', 'deleting');
create index if not exists file_uploads_owner on public.file_uploads (owner, id);
create index if not exists file_uploads_project on public.file_uploads (owner, project_id, id);
create index if not exists file_uploads_chapter on public.file_uploads (owner, project_id, chapter, id);
create index if not exists idx_file_uploads_user_id on public.file_uploads (user_id);
