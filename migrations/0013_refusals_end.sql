-- A refusal that depended on state is remembered for 30 days. This is how the sweep finds those whose time is over without
-- reading what was accepted, which stays for ever. Neither column ever changes.
create index outcome_refused on outcome (recorded_at) where refusal is not null;
