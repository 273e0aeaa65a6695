-- A member's own token is the source of what they asked for, and names them: with the key, it may be replaced.
create or replace function refuse_outcome_change_but_erasure() returns trigger language plpgsql as $$
begin
    if to_jsonb(new) - array['fingerprint', 'source', 'key'] = to_jsonb(old) - array['fingerprint', 'source', 'key']
        and new.fingerprint = decode(repeat('00', 32), 'hex')
        and exists (
            select from erased_leaf where leaf_index = old.leaf_index
            union all
            select from erasure where leaf_index = old.leaf_index
        )
    then
        return new;
    end if;
    raise exception 'outcome is append-only: update is refused' using errcode = 'restrict_violation';
end
$$;
