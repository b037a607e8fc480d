-- What changes no ledger: looking up, listing, moving within a book, the numbers of owners.

create or replace function audiostore.reservation(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    wanted uuid := audiostore.as_uuid(request ->> 'reservation');
    made audiostore.reservations;
begin
    select * into made from audiostore.reservations where id = wanted;
    if not found then
        perform audiostore.refuse('not_found', jsonb_build_object('what', request ->> 'reservation'));
    end if;
    return audiostore.reservation_json(made);
end $$;

create or replace function audiostore.pending(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    wanted text := request ->> 'owner';
begin
    return coalesce((
        select jsonb_agg(audiostore.reservation_json(made) order by expires_at)
        from audiostore.reservations as made where pending_owner = wanted
    ), '[]');
end $$;

create or replace function audiostore.move(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    place jsonb := request -> 'place';
    wanted uuid := audiostore.as_uuid(request ->> 'file');
    wanted_owner text := request ->> 'owner';
    file public.file_uploads;
begin
    update public.file_uploads set
        project_id = coalesce(place ->> 'project', ''), chapter = place ->> 'chapter', section = place ->> 'section'
    where id = wanted and owner = wanted_owner and visible
    returning * into file;
    if not found then
        perform audiostore.refuse('not_found', jsonb_build_object('what', request ->> 'file'));
    end if;
    return audiostore.file_json(file);
end $$;

create or replace function audiostore.find(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    wanted uuid[] := audiostore.as_uuids(request -> 'files');
begin
    return coalesce((
        select jsonb_agg(audiostore.file_json(file)) from public.file_uploads as file
        where id = any (wanted) and visible
    ), '[]');
end $$;

create or replace function audiostore.find_key(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    wanted text := request ->> 'key';
    wanted_backend text := request ->> 'backend';
    file public.file_uploads;
begin
    select * into file from public.file_uploads
    where storage_path = wanted and upload_status in ('completed', 'deleting') and visible
        and (wanted_backend is null or backend = wanted_backend)
    order by id desc limit 1;
    if not found then
        perform audiostore.refuse('not_found', jsonb_build_object('what', request ->> 'key'));
    end if;
    return audiostore.file_json(file);
end $$;

-- One page. Put together from what is given, so that each combination finds its index.
create or replace function audiostore.list(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    place jsonb := request -> 'place';
    wanted text := 'visible';
    page jsonb;
begin
    if request ->> 'owner' is not null then
        wanted := wanted || ' and owner = $1 ->> ''owner''';
    end if;
    if place ->> 'project' is not null then
        wanted := wanted || ' and project_id = $1 #>> ''{place,project}''';
    end if;
    if place ->> 'chapter' is not null then
        wanted := wanted || ' and chapter = $1 #>> ''{place,chapter}''';
    end if;
    if place ->> 'section' is not null then
        wanted := wanted || ' and section = $1 #>> ''{place,section}''';
    end if;
    if audiostore.as_uuid(request ->> 'after') is not null then
        wanted := wanted || ' and id > ($1 ->> ''after'')::uuid';
    elsif request ->> 'after' is not null then
        wanted := wanted || ' and id::text collate "C" > $1 ->> ''after''';
    end if;
    execute 'select jsonb_agg(audiostore.file_json(file) order by id) from ('
        || 'select * from public.file_uploads where ' || wanted
        || ' order by id limit ($1 ->> ''limit'')::bigint) as file' into page using request;
    return coalesce(page, '[]');
end $$;

create or replace function audiostore.usage(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    wanted text := request ->> 'owner';
    account audiostore.accounts;
begin
    select * into account from audiostore.accounts where owner = wanted;
    return jsonb_build_object(
        'used', coalesce(account.committed, 0), 'reserved', coalesce(account.reserved, 0),
        'files', coalesce(account.files, 0), 'pending', coalesce(account.pending, 0),
        'limits', audiostore.limits_in_force(wanted, request -> 'limits', audiostore.clock())
    );
end $$;

create or replace function audiostore.override(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    override audiostore.overrides := audiostore.override_of(request ->> 'owner', audiostore.clock());
begin
    if override.owner is null then
        return null;
    end if;
    return jsonb_build_object('numbers', override.numbers, 'until', override.until);
end $$;

create or replace function audiostore.set_override(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    override jsonb := nullif(request -> 'override', 'null');
begin
    if override is null then
        delete from audiostore.overrides where owner = request ->> 'owner';
    else
        insert into audiostore.overrides (owner, numbers, until)
        values (request ->> 'owner', override -> 'numbers', (override ->> 'until')::timestamptz)
        on conflict (owner) do update set numbers = excluded.numbers, until = excluded.until;
    end if;
    return null;
end $$;

-- What the rows of an owner, or of everybody, add up to.
create or replace function audiostore.sums(wanted text)
returns table (account text, committed numeric, reserved numeric, files numeric, pending numeric)
language plpgsql stable set search_path = '' as $$
begin
    return query
    with parts as (
        select file.owner, file.size as committed, 0::bigint as reserved, 1 as files, 0 as pending
        from public.file_uploads as file
        where upload_status in ('completed', 'deleting') and owner is not null and (wanted is null or owner = wanted)
        union all
        select made.owner, 0, made.charged, 0, audiostore.is_new_file(made)::integer
        from audiostore.reservations as made
        where pending_owner is not null and (wanted is null or pending_owner = wanted)
        union all
        select owner, 0, 0, 0, 0 from audiostore.accounts where wanted is null or owner = wanted
    )
    select owner, sum(parts.committed), sum(parts.reserved), sum(parts.files)::numeric, sum(parts.pending)::numeric
    from parts group by owner;
end $$;

-- Compare ledger and rows: one statement, so one snapshot.
create or replace function audiostore.audit(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    unequal jsonb;
begin
    select jsonb_agg(
        jsonb_build_object('kind', kind, 'owner', account, 'ledger', ledger, 'truth', rows) order by account, place
    ) into unequal
    from audiostore.sums(request ->> 'owner') as truth
    left join audiostore.accounts as told on told.owner = truth.account
    cross join lateral (values
        (1, 'committed_bytes', coalesce(told.committed, 0), truth.committed),
        (2, 'reserved_bytes', coalesce(told.reserved, 0), truth.reserved),
        (3, 'file_count', coalesce(told.files, 0), truth.files),
        (4, 'pending_count', coalesce(told.pending, 0), truth.pending)
    ) as pair (place, kind, ledger, rows)
    where ledger <> rows;
    return coalesce(unequal, '[]');
end $$;

-- Set the ledger to what its rows add up to, and give what was wrong.
create or replace function audiostore.recount(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    unequal jsonb := audiostore.audit(request);
    wanted text;
begin
    for wanted in select distinct each ->> 'owner' as owner from jsonb_array_elements(unequal) as each order by owner
    loop
        -- The rows are added up once more, now that nobody changes them.
        perform audiostore.lock_account(wanted);
        update audiostore.accounts set (committed, reserved, files, pending) = (
            select truth.committed, truth.reserved, truth.files, truth.pending from audiostore.sums(wanted) as truth
        ) where owner = wanted;
    end loop;
    return unequal;
end $$;
