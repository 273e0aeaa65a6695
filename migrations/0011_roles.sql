-- What the service's own role may do: no more than its work. `daftari migrate` makes the role `daftari_app` where it may, and
-- calls this each time. It owns nothing, so it can take no trigger away; it appends to leaf, posting and entry and reads
-- them, and that is all it can do to history.
create function grant_to_app() returns void language plpgsql as $$
begin
    execute format('grant usage on schema %I to daftari_app', current_schema());
    grant select, insert on
        leaf, posting, entry, outcome, event, checkpoint, program, rule_set, policy, fund, period_close, member, partner,
        account, balance, lot, reservation, log_head, credential, rejected_event, anchor, anchor_attempt
        to daftari_app;
    grant update on balance, lot, reservation, log_head, anchor, anchor_attempt to daftari_app;
    -- Used-up lots, ended reservations, refusals whose time is over, and what a chain has taken back.
    grant delete on lot, reservation, outcome, anchor, anchor_attempt to daftari_app;
    -- To lock a program's row is a right to update; of what it could change, this column says nothing.
    grant update (created_at) on program to daftari_app;
    grant execute on function make_partitions() to daftari_app;
end
$$;

-- Makes the partitions of the log's current size and the one after it: 2^26 leaves each. With the rights of the tables'
-- owner, because the service that notices that the log has grown owns no table.
create function make_partitions() returns void language plpgsql security definer as $$
declare
    leaves constant bigint := 67108864;
    current_number bigint := (select coalesce(max(size), 0) / leaves from log_head);
    name text;
begin
    for number in current_number .. current_number + 1 loop
        foreach name in array array['leaf', 'posting', 'entry'] loop
            if to_regclass(format('%s_%s', name, number)) is null then
                execute format(
                    'create table %I partition of %I for values from (%s) to (%s)',
                    name || '_' || number, name, number * leaves, (number + 1) * leaves
                );
            end if;
            -- Row triggers come with the partition; one against truncate is each table's own.
            if not exists (
                select from pg_trigger
                where tgrelid = to_regclass(format('%s_%s', name, number))
                    and tgname = format('%s_%s_is_append_only', name, number)
            ) then
                execute format(
                    'create trigger %I before truncate on %I for each statement execute function refuse_change()',
                    format('%s_%s_is_append_only', name, number), name || '_' || number
                );
            end if;
        end loop;
    end loop;
end
$$;

-- A function with its owner's rights must not find another's tables under the names of ours.
do $$
begin
    execute format('alter function make_partitions() set search_path = %I, pg_temp', current_schema());
end
$$;

revoke execute on function make_partitions() from public;
revoke execute on function grant_to_app() from public;
