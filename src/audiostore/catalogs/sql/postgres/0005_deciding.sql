-- The two decisions that take room: reserve, and commit.

-- The row that a request asks for.
create or replace function audiostore.asked_for(asked jsonb, at timestamptz) returns audiostore.reservations
language plpgsql set search_path = '' as $$
declare
    made audiostore.reservations := jsonb_populate_record(
        null::audiostore.reservations, asked - array['id', 'replaces']
    );
begin
    made.id := audiostore.as_uuid(asked ->> 'id');
    if made.id is null then
        raise exception 'audiostore: the id of a request is a UUID in lower case' using errcode = '22023';
    end if;
    made.replaces := audiostore.as_uuid(asked ->> 'replaces');
    if made.replaces is null and asked ->> 'replaces' is not null then
        perform audiostore.refuse('not_found', jsonb_build_object('what', asked ->> 'replaces'));
    end if;
    made.file_id := coalesce(made.replaces, made.id);
    made.state := 'pending';
    made.charged := 0;
    made.created_at := at;
    made.expires_at := audiostore.later(at, (asked ->> 'ttl')::float8);
    made.held_until := audiostore.later(at, (asked ->> 'hold')::float8);
    return made;
end $$;

-- The rule of idempotency: does one ask for what the other was made for?
create or replace function audiostore.is_same(one audiostore.reservations, other audiostore.reservations)
returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    return (one.project, one.chapter, one.section, one.filename, one.size, one.sha256, one.replaces)
        is not distinct from
        (other.project, other.chapter, other.section, other.filename, other.size, other.sha256, other.replaces);
end $$;

create or replace function audiostore.lives(made audiostore.reservations) returns boolean
language plpgsql stable set search_path = '' as $$
begin
    return made.state = 'pending' or (
        made.state = 'committed' and exists (select from public.file_uploads where id = made.file_id and visible)
    );
end $$;

-- The reservation that answers this request already; a dead one's idempotency key is let go.
create or replace function audiostore.earlier(made audiostore.reservations, asked jsonb, at timestamptz)
returns audiostore.reservations
language plpgsql set search_path = '' as $$
declare
    earlier audiostore.reservations;
begin
    select * into earlier from audiostore.reservations where id = made.id;
    if found then
        -- The very same call again: its first answer was lost on the way.
        if (earlier.owner, earlier.backend, earlier.key, earlier.state)
            <> (made.owner, made.backend, made.key, 'pending') or not audiostore.is_same(earlier, made)
        then
            perform audiostore.refuse('already_exists', jsonb_build_object('what', made.id, 'reason', 'key'));
        end if;
        return audiostore.renew(earlier.id, (asked ->> 'ttl')::float8, (asked ->> 'hold')::float8, at);
    end if;
    select * into earlier from audiostore.reservations
    where owner = made.owner and idempotency_key = made.idempotency_key;
    if not found then
        return null;
    end if;
    if not audiostore.lives(earlier) then
        update audiostore.reservations set idempotency_key = null where id = earlier.id;
        return null;
    end if;
    if not audiostore.is_same(earlier, made) then
        perform audiostore.refuse('already_exists', jsonb_build_object(
            'what', made.idempotency_key, 'reason', 'idempotency'
        ));
    end if;
    if earlier.state = 'committed' then
        return earlier;
    end if;
    if earlier.held_until > at then
        perform audiostore.refuse('busy', jsonb_build_object(
            'what', 'another caller is uploading with this idempotency key'
        ));
    end if;
    return audiostore.renew(earlier.id, (asked ->> 'ttl')::float8, (asked ->> 'hold')::float8, at);
end $$;

-- The upload that a request is to stand in for. It keeps its room and its bytes until the commit.
create or replace function audiostore.stood_in_for(made audiostore.reservations, asked jsonb, at timestamptz)
returns audiostore.reservations
language plpgsql set search_path = '' as $$
declare
    wanted uuid := audiostore.as_uuid(asked ->> 'instead_of');
    upload audiostore.reservations;
begin
    if asked ->> 'instead_of' is null then
        return null;
    end if;
    select * into upload from audiostore.reservations where id = wanted;
    if not found or (upload.owner, upload.state) <> (made.owner, 'pending') or not audiostore.is_new_file(upload) then
        perform audiostore.refuse_as_expired(asked ->> 'instead_of');
    end if;
    return audiostore.renew(upload.id, (asked ->> 'ttl')::float8, (asked ->> 'hold')::float8, at);
end $$;

-- Who refers to a key: 'record', 'hidden', 'pending', 'removal'. A row of another status is hidden: an older writer may
-- still be about to upload what it says.
create or replace function audiostore.holders(the_backend text, the_key text) returns text[]
language plpgsql stable set search_path = '' as $$
begin
    return array(
        select case when visible then 'record' else 'hidden' end from public.file_uploads
        where storage_path = the_key and backend = the_backend and upload_status in ('completed', 'deleting')
        union all
        select 'hidden' from public.file_uploads
        where storage_path = the_key and backend = the_backend and upload_status not in ('completed', 'deleting')
        union all
        select 'pending' from audiostore.reservations where pending_key = the_key and backend = the_backend
        union all
        select 'removal' from audiostore.removals where key = the_key and backend = the_backend
    );
end $$;

create or replace function audiostore.book(made audiostore.reservations) returns void
language plpgsql set search_path = '' as $$
begin
    insert into audiostore.reservations (
        id, owner, project, chapter, section, filename, key, backend, size, charged, state, file_id, replaces, sha256,
        content_type, metadata, resume, created_at, expires_at, held_until, idempotency_key
    ) values (
        made.id, made.owner, made.project, made.chapter, made.section, made.filename, made.key, made.backend,
        made.size, made.charged, made.state, made.file_id, made.replaces, made.sha256, made.content_type,
        made.metadata, made.resume, made.created_at, made.expires_at, made.held_until, made.idempotency_key
    );
    perform audiostore.charge(
        made.owner, more_reserved => made.charged, more_pending => audiostore.is_new_file(made)::integer
    );
end $$;

create or replace function audiostore.reserve(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    asked jsonb := request -> 'request';
    at timestamptz;
    made audiostore.reservations;
    earlier audiostore.reservations;
    upload audiostore.reservations;
    replaced public.file_uploads;
    limits jsonb;
begin
    perform audiostore.lock_account(asked ->> 'owner');
    at := audiostore.clock();
    made := audiostore.asked_for(asked, at);
    earlier := audiostore.earlier(made, asked, at);
    if earlier.id is not null then
        return audiostore.reservation_json(earlier);
    end if;
    upload := audiostore.stood_in_for(made, asked, at);
    if made.replaces is not null then
        replaced := audiostore.visible(made.owner, made.replaces);
    elsif upload.id is not null then
        made.file_id := upload.file_id;
    end if;
    limits := audiostore.limits_in_force(made.owner, asked -> 'limits', at);
    perform audiostore.check_one_file(made.size, limits);
    perform audiostore.lock_key(made.backend, made.key);
    if audiostore.holders(made.backend, made.key) <> '{}' then
        perform audiostore.refuse('already_exists', jsonb_build_object('what', made.key, 'reason', 'key'));
    end if;
    if made.replaces is null and exists (select from public.file_uploads where id = made.file_id) then
        perform audiostore.refuse('already_exists', jsonb_build_object('what', made.file_id, 'reason', 'key'));
    end if;
    perform audiostore.make_room(
        made, made.size, coalesce(upload.charged, 0), limits, audiostore.is_new_file(made)::integer, upload.id, at
    );
    if made.replaces is null then
        made.charged := audiostore.growth(made, made.size, coalesce(upload.charged, 0));
        perform audiostore.book(made);
    else
        perform audiostore.book(made);
        perform audiostore.settle(replaced.id, replaced.size, made.owner);
        select * into made from audiostore.reservations where id = made.id;
    end if;
    return audiostore.reservation_json(made);
end $$;

-- Finish the upload that a commit stands in for: its room is the commit's now, its bytes are superfluous.
create or replace function audiostore.finish_upload_of(made audiostore.reservations, at timestamptz) returns jsonb
language plpgsql set search_path = '' as $$
declare
    upload audiostore.reservations;
begin
    select * into upload from audiostore.reservations where id = made.file_id;
    if upload.state is distinct from 'pending' then
        perform audiostore.refuse_as_expired(made.file_id::text);
    end if;
    perform audiostore.finish(upload, 'committed', at);
    return jsonb_build_array(audiostore.removal_json(audiostore.queue(
        upload.backend, upload.key, upload.owner, at + audiostore.setting('removal_delay')
    )));
end $$;

-- The id in auth.users that an owner is, where there are such users.
create or replace function audiostore.user_of(wanted text) returns uuid
language plpgsql stable set search_path = '' as $$
declare
    user_id uuid := audiostore.as_uuid(wanted);
begin
    if user_id is null or to_regclass('auth.users') is null then
        return null;
    end if;
    return (select id from auth.users where id = user_id);
end $$;

create or replace function audiostore.add_file(made audiostore.reservations, written jsonb, at timestamptz)
returns public.file_uploads
language plpgsql set search_path = '' as $$
declare
    file public.file_uploads;
begin
    insert into public.file_uploads (
        id, user_id, owner, project_id, chapter, section, filename, storage_path, backend, size, sha256, content_type,
        duration, metadata, created_at, updated_at
    ) values (
        made.file_id, audiostore.user_of(made.owner), made.owner, coalesce(made.project, ''), made.chapter,
        made.section, made.filename, made.key, made.backend, (written ->> 'size')::bigint, written ->> 'sha256',
        written ->> 'content_type', (written ->> 'duration')::float8, made.metadata, at, at
    ) returning * into file;
    return file;
end $$;

-- Place and created_at stay: a new take of a file is the same file of the book, wherever it was moved meanwhile.
create or replace function audiostore.change_file(made audiostore.reservations, written jsonb)
returns public.file_uploads
language plpgsql set search_path = '' as $$
declare
    file public.file_uploads;
begin
    update public.file_uploads set
        filename = made.filename, storage_path = made.key, backend = made.backend,
        size = (written ->> 'size')::bigint, sha256 = written ->> 'sha256', content_type = written ->> 'content_type',
        duration = (written ->> 'duration')::float8, metadata = made.metadata
    where id = made.replaces returning * into file;
    return file;
end $$;

-- A trigger of the storage may have committed first, and knew no more than the size.
create or replace function audiostore.add_facts(file public.file_uploads, written jsonb) returns public.file_uploads
language plpgsql set search_path = '' as $$
begin
    if file.sha256 is null and written ->> 'sha256' is not null and file.size = (written ->> 'size')::bigint then
        update public.file_uploads set
            sha256 = written ->> 'sha256', content_type = written ->> 'content_type',
            duration = coalesce((written ->> 'duration')::float8, duration)
        where id = file.id returning * into file;
    end if;
    return file;
end $$;

create or replace function audiostore.commit(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    made audiostore.reservations := audiostore.take_up(request ->> 'reservation');
    at timestamptz := audiostore.clock();
    written jsonb := request -> 'written';
    size bigint := (written ->> 'size')::bigint;
    replaced public.file_uploads;
    file public.file_uploads;
    removals jsonb := '[]';
    limits jsonb;
begin
    if made.state = 'committed' then
        file := audiostore.add_facts(audiostore.visible(made.owner, made.file_id), written);
        return jsonb_build_object('file', audiostore.file_json(file), 'removals', removals);
    elsif made.state is distinct from 'pending' then
        perform audiostore.refuse_as_expired(request ->> 'reservation');
    end if;
    if made.replaces is not null then
        replaced := audiostore.visible(made.owner, made.replaces);
        if replaced.storage_path <> request ->> 'only_over' then
            perform audiostore.refuse('not_found', jsonb_build_object(
                'what', made.replaces || ' under its earlier key'
            ));
        end if;
    elsif not audiostore.is_new_file(made) then
        removals := audiostore.finish_upload_of(made, at);
    end if;
    if size > made.size then
        limits := audiostore.limits_in_force(made.owner, request -> 'limits', at);
        perform audiostore.check_one_file(size, limits);
        perform audiostore.make_room(made, size, made.size, limits, 0, made.id, at);
    end if;
    perform audiostore.finish(made, 'committed', at);
    if replaced.id is null then
        file := audiostore.add_file(made, written, at);
    else
        file := audiostore.change_file(made, written);
        perform audiostore.settle(file.id, file.size, file.owner);
        removals := jsonb_build_array(audiostore.removal_json(audiostore.queue(
            replaced.backend, replaced.storage_path, replaced.owner, at + audiostore.setting('removal_delay')
        )));
    end if;
    return jsonb_build_object('file', audiostore.file_json(file), 'removals', removals);
end $$;

-- Record files that another catalog had, charged whatever the quota says; give the ids that are recorded here.
create or replace function audiostore.adopt(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    taken jsonb := '[]';
    wanted text;
    each jsonb;
    new_id uuid;
begin
    for wanted in
        select distinct told ->> 'owner' as owner from jsonb_array_elements(request -> 'files') as told order by owner
    loop
        perform audiostore.lock_account(wanted);
    end loop;
    for each in
        select told from jsonb_array_elements(request -> 'files') as told order by told ->> 'backend', told ->> 'key'
    loop
        new_id := audiostore.as_uuid(each ->> 'id');
        continue when new_id is null;
        if not exists (select from public.file_uploads where id = new_id) then
            perform audiostore.lock_key(each ->> 'backend', each ->> 'key');
            continue when audiostore.holders(each ->> 'backend', each ->> 'key') <> '{}';
            perform audiostore.adopt_file(new_id, each);
        end if;
        if exists (select from public.file_uploads where id = new_id and owner = each ->> 'owner') then
            taken := taken || to_jsonb(new_id);
        end if;
    end loop;
    return taken;
end $$;

create or replace function audiostore.adopt_file(new_id uuid, told jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    insert into public.file_uploads (
        id, user_id, owner, project_id, chapter, section, filename, storage_path, backend, size, sha256, content_type,
        duration, metadata, created_at, updated_at
    ) values (
        new_id, audiostore.user_of(told ->> 'owner'), told ->> 'owner', coalesce(told ->> 'project', ''),
        told ->> 'chapter', told ->> 'section', told ->> 'filename', told ->> 'key', told ->> 'backend',
        (told ->> 'size')::bigint, told ->> 'sha256', told ->> 'content_type', (told ->> 'duration')::float8,
        told -> 'metadata', (told ->> 'created_at')::timestamptz, audiostore.clock()
    );
end $$;
