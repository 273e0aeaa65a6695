-- A pinned checkpoint stays in the contract's storage for ever: whoever has a receipt for it asks the contract alone.
alter table anchor add column pinned_at timestamptz;

-- A pin is a transaction like an anchor, with what it pins as the head and as the size. What was pinned last is asked in each round.
create index anchor_pinned on anchor (chain_id, contract, registrant, size) where pinned_at is not null;
