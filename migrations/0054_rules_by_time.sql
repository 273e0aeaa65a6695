-- An event is earned by the rules of its own time, however late it comes: each version says from when on it counts. The
-- first one also counts for all that came before it.
alter table rule_set add column effective_at bigint not null default 0;
