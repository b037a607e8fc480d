-- The life of a reservation: taken, kept alive, then committed, released or expired. Locks: account, then reservation,
-- then record, then removal.

create or replace function audiostore.is_new_file(made audiostore.reservations) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    -- What stands in for an upload bears that upload's id, and does not count: the upload does.
    return made.replaces is null and made.file_id = made.id;
end $$;

create or replace function audiostore.reservation_json(made audiostore.reservations) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return to_jsonb(made) - array[
        'held_until', 'idempotency_key', 'finished_at', 'pending_key', 'pending_owner', 'pending_replaces'
    ];
end $$;

create or replace function audiostore.file_json(file public.file_uploads) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return jsonb_build_object(
        'id', file.id, 'owner', file.owner, 'project', nullif(file.project_id, ''), 'chapter', file.chapter,
        'section', file.section, 'filename', file.filename, 'key', file.storage_path, 'backend', file.backend,
        'size', file.size, 'sha256', file.sha256, 'duration', file.duration, 'metadata', file.metadata,
        'content_type', coalesce(file.content_type, 'application/octet-stream'),
        'created_at', coalesce(file.created_at, timestamptz 'epoch')
    );
end $$;

-- The record that this owner may see, kept still until the decision ends.
create or replace function audiostore.visible(wanted_owner text, wanted uuid) returns public.file_uploads
language plpgsql set search_path = '' as $$
declare
    file public.file_uploads;
begin
    select * into file from public.file_uploads where id = wanted and owner = wanted_owner and visible for update;
    if not found then
        perform audiostore.refuse('not_found', jsonb_build_object('what', coalesce(wanted::text, '')));
    end if;
    return file;
end $$;

-- A reservation, once it is its owner's turn. Finished ones are forgotten in time: an unknown one comes too late.
create or replace function audiostore.take_up(told text) returns audiostore.reservations
language plpgsql set search_path = '' as $$
declare
    wanted uuid := audiostore.as_uuid(told);
    made audiostore.reservations;
begin
    select * into made from audiostore.reservations where id = wanted;
    if found then
        perform audiostore.lock_account(made.owner);
        select * into made from audiostore.reservations where id = made.id;
    end if;
    return made;
end $$;

create or replace function audiostore.refuse_as_expired(told text) returns void
language plpgsql set search_path = '' as $$
begin
    perform audiostore.refuse('reservation_expired', jsonb_build_object('reservation', told));
end $$;

create or replace function audiostore.renew(wanted uuid, ttl float8, hold float8, at timestamptz)
returns audiostore.reservations
language plpgsql set search_path = '' as $$
declare
    made audiostore.reservations;
begin
    update audiostore.reservations set
        -- Never sooner than it was to: a link that was given out for longer stays good.
        expires_at = greatest(expires_at, audiostore.later(at, ttl)), held_until = audiostore.later(at, hold)
    where id = wanted returning * into made;
    return made;
end $$;

-- Queue an object for removal.
create or replace function audiostore.queue(
    the_backend text, the_key text, the_owner text, due_at timestamptz, the_file uuid default null
) returns audiostore.removals
language plpgsql set search_path = '' as $$
declare
    queued audiostore.removals;
begin
    insert into audiostore.removals as already (backend, key, owner, due, file)
    values (the_backend, the_key, the_owner, due_at, the_file)
    on conflict (key, backend) do update set
        due = least(already.due, excluded.due), owner = coalesce(excluded.owner, already.owner),
        file = coalesce(excluded.file, already.file)
    returning * into queued;
    return queued;
end $$;

create or replace function audiostore.removal_json(queued audiostore.removals) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return to_jsonb(queued) - array['file', 'due'];
end $$;

-- How much more room a reservation needs to become so large. Replacements of one file share the room of the largest:
-- only one of them can be the file in the end, and until then it is never larger than that.
create or replace function audiostore.growth(made audiostore.reservations, new_size bigint, held bigint)
returns bigint
language plpgsql stable set search_path = '' as $$
declare
    others bigint;
    before bigint;
begin
    if made.replaces is null then
        return greatest(0, new_size - held);
    end if;
    select size into others from public.file_uploads where id = made.replaces;
    select greatest(others, max(size) filter (where id <> made.id)), greatest(others, max(size))
    into others, before from audiostore.reservations where pending_replaces = made.replaces;
    return greatest(0, greatest(others, new_size) - before);
end $$;

-- Refuse what does not fit; before that, take back what the owner's overdue reservations hold.
create or replace function audiostore.make_room(
    made audiostore.reservations, new_size bigint, held bigint, limits jsonb, new_files integer, spare uuid,
    at timestamptz
) returns void
language plpgsql set search_path = '' as $$
declare
    refused jsonb := audiostore.refusal(made.owner, limits, audiostore.growth(made, new_size, held), new_files);
    overdue audiostore.reservations;
begin
    if refused is null then
        return;
    end if;
    for overdue in
        select * from audiostore.reservations
        where pending_owner = made.owner and expires_at <= at and id is distinct from spare order by expires_at
    loop
        perform audiostore.expire_one(overdue, at);
    end loop;
    refused := audiostore.refusal(made.owner, limits, audiostore.growth(made, new_size, held), new_files);
    if refused is not null then
        perform audiostore.refuse('quota_exceeded', refused);
    end if;
end $$;

-- End a reservation, and take its charge off the ledger.
create or replace function audiostore.finish(made audiostore.reservations, new_state text, at timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
    -- Not what was read before: ending another one may have changed what this one holds.
    held bigint := (select charged from audiostore.reservations where id = made.id);
begin
    update audiostore.reservations set state = new_state, charged = 0, finished_at = at where id = made.id;
    perform audiostore.charge(
        made.owner, more_reserved => -held, more_pending => -audiostore.is_new_file(made)::integer
    );
end $$;

-- Let the largest pending replacement of a file hold its growth, and the others nothing.
create or replace function audiostore.settle(file uuid, file_size bigint, file_owner text) returns void
language plpgsql set search_path = '' as $$
declare
    change numeric;
begin
    with ranked as (
        select id, charged, case
            when row_number() over (order by size desc, id) = 1 then greatest(0, size - file_size) else 0
        end as due
        from audiostore.reservations where pending_replaces = file
    ), changed as (
        update audiostore.reservations as made set charged = ranked.due
        from ranked where made.id = ranked.id and ranked.charged <> ranked.due
    )
    select sum(due - charged) into change from ranked;
    perform audiostore.charge(file_owner, more_reserved => coalesce(change, 0)::bigint);
end $$;

create or replace function audiostore.give_up(made audiostore.reservations, new_state text, at timestamptz)
returns void
language plpgsql set search_path = '' as $$
declare
    replaced public.file_uploads;
begin
    perform audiostore.finish(made, new_state, at);
    if made.replaces is not null then
        select * into replaced from public.file_uploads where id = made.replaces;
        if found then
            perform audiostore.settle(replaced.id, replaced.size, made.owner);
        end if;
    end if;
end $$;

create or replace function audiostore.expire_one(made audiostore.reservations, at timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
    perform audiostore.give_up(made, 'expired', at);
    -- Due at once: nobody is left who would erase the bytes.
    perform audiostore.queue(made.backend, made.key, made.owner, at);
end $$;

create or replace function audiostore.extend(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    made audiostore.reservations := audiostore.take_up(request ->> 'reservation');
begin
    if made.state is distinct from 'pending' then
        perform audiostore.refuse_as_expired(request ->> 'reservation');
    end if;
    update audiostore.reservations set resume = coalesce(request ->> 'resume', resume) where id = made.id;
    return audiostore.reservation_json(audiostore.renew(
        made.id, (request ->> 'ttl')::float8, (request ->> 'hold')::float8, audiostore.clock()
    ));
end $$;

create or replace function audiostore.release(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    made audiostore.reservations := audiostore.take_up(request ->> 'reservation');
    at timestamptz := audiostore.clock();
    queued audiostore.removals;
begin
    if made.state is distinct from 'pending' then
        return '[]';
    end if;
    perform audiostore.give_up(made, 'released', at);
    if not (request ->> 'erase')::boolean then
        return '[]';
    end if;
    queued := audiostore.queue(made.backend, made.key, made.owner, at + audiostore.setting('removal_delay'));
    return jsonb_build_array(audiostore.removal_json(queued));
end $$;

-- Expire overdue reservations, owner by owner in order of name (so that sweeps never wait for one another in a circle).
create or replace function audiostore.expire(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    many bigint := least((request ->> 'limit')::bigint, 1000);
    at timestamptz := audiostore.clock();
    late uuid[];
    wanted text;
    overdue audiostore.reservations;
    expired integer := 0;
begin
    late := array(
        select id from audiostore.reservations where state = 'pending' and expires_at <= at
        order by expires_at limit many
    );
    for wanted in select distinct owner from audiostore.reservations where id = any (late) order by owner loop
        perform audiostore.lock_account(wanted);
        for overdue in
            select * from audiostore.reservations
            where pending_owner = wanted and expires_at <= at and id = any (late) order by expires_at
        loop
            perform audiostore.expire_one(overdue, at);
            expired := expired + 1;
        end loop;
    end loop;
    delete from audiostore.reservations where id in (
        select id from audiostore.reservations where finished_at <= at - audiostore.setting('keep')
        order by finished_at limit many for update skip locked
    );
    delete from audiostore.overrides where owner in (
        select owner from audiostore.overrides where until <= at limit many for update skip locked
    );
    return to_jsonb(expired);
end $$;
