-- Of a request of several items any may be a member's who is erased: the leaves of those after the first stand in `rest`, each
-- the first 8 of an item's 24 bytes. Only the first was looked for, and an erasure of another's was refused each time.
create or replace function refuse_outcome_change_but_erasure() returns trigger language plpgsql as $$
begin
    if to_jsonb(new) - array['fingerprint', 'source', 'key'] = to_jsonb(old) - array['fingerprint', 'source', 'key']
        and new.fingerprint = decode(repeat('00', 32), 'hex')
        and exists (
            select
            from (
                select old.leaf_index
                union all
                select ('x' || encode(substr(old.rest, 24 * place + 1, 8), 'hex'))::bit(64)::bigint
                from generate_series(0, length(old.rest) / 24 - 1) as place
            ) as item (leaf_index)
            where exists (select from erased_leaf where erased_leaf.leaf_index = item.leaf_index)
                or exists (select from erasure where erasure.leaf_index = item.leaf_index)
        )
    then
        return new;
    end if;
    raise exception 'outcome is append-only: update is refused' using errcode = 'restrict_violation';
end
$$;

-- What it asks the tables is asked of ours, as before: a function that is replaced forgets it.
do $$
begin
    execute format('alter function refuse_outcome_change_but_erasure() set search_path = %I, pg_temp', current_schema());
end
$$;
