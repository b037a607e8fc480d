-- What owners have in flight and may have: a schema of its own, which no API exposes. It may be applied again.
create schema if not exists audiostore;
revoke all on schema audiostore from public;

-- The one row of an owner that every decision locks first. `files` counts hidden ones too, `pending` new files.
create table if not exists audiostore.accounts (
    owner text primary key,
    committed bigint not null default 0 check (committed >= 0),
    reserved bigint not null default 0 check (reserved >= 0),
    files bigint not null default 0 check (files >= 0),
    pending bigint not null default 0 check (pending >= 0)
) with (fillfactor = 50); -- room on the page for the next version of a row, so that no index is touched

-- What an owner may keep by plan; null is unlimited. Which plan is whose: audiostore.plan_of.
create table if not exists audiostore.plans (
    name text primary key,
    total bigint check (total >= 0),
    per_file bigint check (per_file >= 0),
    files bigint check (files >= 0)
);
insert into audiostore.plans (name, total, per_file) values
    ('free', 500 * 1048576::bigint, 50 * 1048576::bigint),
    ('paid', 5000 * 1048576::bigint, 50 * 1048576::bigint)
on conflict (name) do nothing;

-- One owner's own numbers, as JSON, since "not given" and "unlimited" (null) are two things.
create table if not exists audiostore.overrides (
    owner text primary key,
    numbers jsonb not null check (jsonb_typeof(numbers) = 'object'),
    until timestamptz
);

create table if not exists audiostore.settings (
    name text primary key,
    value jsonb not null
);
insert into audiostore.settings (name, value) values
    ('removal_delay', '"1 minute"'), -- how long a removal is left to the caller that caused it
    ('keep', '"7 days"') -- how long finished reservations, and so idempotency keys, are remembered
on conflict (name) do nothing;

create table if not exists audiostore.reservations (
    id uuid primary key,
    owner text not null,
    project text,
    chapter text,
    section text,
    filename text not null,
    key text not null,
    backend text not null,
    size bigint not null check (size >= 0),
    charged bigint not null check (charged >= 0),
    state text not null check (state in ('pending', 'committed', 'released', 'expired')),
    file_id uuid not null,
    replaces uuid,
    sha256 text,
    content_type text not null,
    metadata jsonb not null,
    resume text,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    held_until timestamptz not null,
    idempotency_key text,
    finished_at timestamptz,
    -- Look-ups go by these, never by "state = 'pending'": that might walk another partial index, full of dead entries.
    pending_key text generated always as (case when state = 'pending' then key end) stored,
    pending_owner text generated always as (case when state = 'pending' then owner end) stored,
    pending_replaces uuid generated always as (case when state = 'pending' then replaces end) stored
) with (fillfactor = 80);
create unique index if not exists reservations_key on audiostore.reservations (pending_key, backend)
    where pending_key is not null;
create unique index if not exists reservations_idempotency on audiostore.reservations (owner, idempotency_key)
    where idempotency_key is not null;
create index if not exists reservations_owner on audiostore.reservations (pending_owner, expires_at)
    where pending_owner is not null;
create index if not exists reservations_replaces on audiostore.reservations (pending_replaces)
    where pending_replaces is not null;
create index if not exists reservations_overdue on audiostore.reservations (expires_at) where state = 'pending';
create index if not exists reservations_finished on audiostore.reservations (finished_at)
    where finished_at is not null;

-- Objects that must go. `file` is the hidden record that goes with one.
create table if not exists audiostore.removals (
    id uuid primary key default gen_random_uuid(),
    backend text not null,
    key text not null,
    owner text,
    file uuid,
    attempts integer not null default 0,
    due timestamptz not null
);
create unique index if not exists removals_key on audiostore.removals (key, backend);
create index if not exists removals_due on audiostore.removals (due);

-- All time comes from here, so that a test may set it.
create or replace function audiostore.clock() returns timestamptz
language plpgsql volatile set search_path = '' as $$
begin
    return clock_timestamp();
end $$;

-- The moment so many seconds after another, no later than every client can tell.
create or replace function audiostore.later(moment timestamptz, seconds double precision) returns timestamptz
language plpgsql immutable set search_path = '' as $$
begin
    return least(moment + make_interval(secs => seconds), timestamptz '9999-12-31 23:59:59.999999+00');
end $$;

create or replace function audiostore.setting(wanted text) returns interval
language plpgsql stable set search_path = '' as $$
begin
    return (select (value #>> '{}')::interval from audiostore.settings where name = wanted);
end $$;

-- An id as callers write it; null for what is none, under which nothing can be stored.
create or replace function audiostore.as_uuid(told text) returns uuid
language plpgsql immutable set search_path = '' as $$
begin
    if told ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        return told::uuid;
    end if;
    return null;
end $$;

create or replace function audiostore.as_uuids(told jsonb) returns uuid[]
language plpgsql immutable set search_path = '' as $$
begin
    return array(
        select audiostore.as_uuid(each) from jsonb_array_elements_text(told) as each
        where audiostore.as_uuid(each) is not null
    );
end $$;

-- Refuse: undo what this call did, and answer with facts (see the functions in `public`).
create or replace function audiostore.refuse(status text, facts jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    raise exception 'audiostore: %', status
        using errcode = 'AS001', detail = jsonb_build_object('status', status) || facts;
end $$;

-- Wait for an owner's turn. Every decision about an owner begins with it; several owners go in order of their names.
create or replace function audiostore.lock_account(wanted text) returns void
language plpgsql set search_path = '' as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        -- What is read after the lock must be what is true after the lock.
        raise exception 'audiostore: transactions must be read committed' using errcode = '25000';
    end if;
    perform from audiostore.accounts where owner = wanted for no key update;
    if not found then
        insert into audiostore.accounts (owner) values (wanted) on conflict (owner) do nothing;
        perform from audiostore.accounts where owner = wanted for no key update;
    end if;
end $$;

-- Wait for the turn at a key that may be nobody's yet; whoever takes or discards one comes by here.
create or replace function audiostore.lock_key(backend text, key text) returns void
language plpgsql set search_path = '' as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(backend || '/' || key, 0));
end $$;

-- Add to the ledger of an owner. Not an upsert: its CHECKs would judge the change instead of the sum.
create or replace function audiostore.charge(
    wanted text, more_committed bigint default 0, more_reserved bigint default 0, more_files bigint default 0,
    more_pending bigint default 0
) returns void
language plpgsql set search_path = '' as $$
begin
    if more_committed = 0 and more_reserved = 0 and more_files = 0 and more_pending = 0 then
        return;
    end if;
    loop
        update audiostore.accounts set
            committed = committed + more_committed, reserved = reserved + more_reserved,
            files = files + more_files, pending = pending + more_pending
        where owner = wanted;
        exit when found;
        insert into audiostore.accounts (owner) values (wanted) on conflict (owner) do nothing;
    end loop;
end $$;
