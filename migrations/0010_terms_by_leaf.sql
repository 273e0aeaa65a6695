-- From which leaf on a policy or a close holds, so that whoever recomputes the books decides each leaf by the terms that it
-- was decided by. It is the log's size under the lock of its head: whoever decides after it reads the terms anew.
alter table policy add column first_leaf_index bigint not null default 0;
alter table policy alter column first_leaf_index drop default;
alter table period_close add column first_leaf_index bigint not null default 0;
alter table period_close alter column first_leaf_index drop default;

-- What was accepted under a key is told for ever; only what was refused may be cleared away.
create trigger outcome_accepted_is_kept before delete on outcome
    for each row when (old.refusal is null) execute function refuse_change();
