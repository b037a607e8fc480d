-- The doors: one function in `public` for each method of a catalog, for the server's key alone. A refusal undoes what
-- the call did and answers with facts; what raises is misuse, or the database itself. None waits for ever for its turn:
-- somebody may have forgotten a transaction.
do $do$
declare
    method text;
    door text;
    caller text;
begin
    foreach method in array array[
        'reserve', 'extend', 'commit', 'release', 'reservation', 'pending', 'expire', 'hide', 'forget', 'postpone',
        'claim', 'discard', 'known', 'adopt', 'move', 'find', 'find_key', 'list', 'usage', 'override', 'set_override',
        'audit', 'recount', 'plan'
    ] loop
        door := format('public.audiostore_%s(jsonb)', method);
        execute format($sql$
            create or replace function public.audiostore_%1$s(request jsonb) returns jsonb
            language plpgsql volatile security definer
            set search_path = '' set timezone = 'UTC' set lock_timeout = '30s' as $f$
            declare
                told text;
            begin
                return jsonb_build_object('status', 'ok', 'result', audiostore.%1$s(request));
            exception
                when sqlstate 'AS001' then
                    get stacked diagnostics told = pg_exception_detail;
                    return told::jsonb;
                when unique_violation then
                    -- Somebody who does not ask us, an older writer, has just taken the key.
                    return jsonb_build_object('status', 'already_exists', 'reason', 'key', 'what', coalesce(
                        request #>> '{request,key}', request ->> 'reservation', ''
                    ));
            end $f$
        $sql$, method);
        -- A project may grant whatever is new in `public` to everybody.
        execute format('revoke all on function %s from public', door);
        foreach caller in array array['anon', 'authenticated'] loop
            if to_regrole(caller) is not null then
                execute format('revoke all on function %s from %I', door, caller);
            end if;
        end loop;
        if to_regrole('service_role') is not null then
            execute format('grant execute on function %s to service_role', door);
        end if;
    end loop;
end $do$;
