-- Where something is archived, nothing else takes its place: rows come in below the archives' end only as an archive comes back.
-- Asked once for all rows of a statement, and where nothing is archived answered at once.
create function refuse_where_archived() returns trigger language plpgsql as $$
declare
    archived_end constant bigint := (
        select max(end_leaf_index) from archive where restored_at is null and recalled_at is null
    );
begin
    if archived_end is not null and exists (select from added where leaf_index < archived_end) then
        raise exception 'leaves before % are archived: insert into % is refused', archived_end, tg_table_name
            using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;

do $$
begin
    execute format('alter function refuse_where_archived() set search_path = %I, pg_temp', current_schema());
end
$$;

create trigger posting_is_not_archived after insert on posting
    referencing new table as added for each statement execute function refuse_where_archived();
create trigger entry_is_not_archived after insert on entry
    referencing new table as added for each statement execute function refuse_where_archived();
create trigger event_is_not_archived after insert on event
    referencing new table as added for each statement execute function refuse_where_archived();

-- Two who archive at once, although one lock keeps them apart, do not both begin where the archives end.
create unique index archive_begins_once on archive (first_leaf_index) where restored_at is null;

-- What triggers ask the tables is asked of ours, not of a session's own tables with the same names.
do $$
declare
    name text;
begin
    foreach name in array array[
        'is_being_archived(bigint)',
        'refuse_change_but_restoring()',
        'refuse_change_but_erasure()',
        'refuse_outcome_change_but_erasure()',
        'refuse_reference_change_but_erasure()'
    ] loop
        execute format('alter function %s set search_path = %I, pg_temp', name, current_schema());
    end loop;
end
$$;
