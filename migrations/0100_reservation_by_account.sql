-- The first instant at which something is due on an account is asked with every balance. With the instant in the index it is
-- one look; without it, the planner went through what is due on all accounts, from the first, until it came upon this one.
drop index reservation_by_account;
create index reservation_by_account on reservation (account_id, due_at);
