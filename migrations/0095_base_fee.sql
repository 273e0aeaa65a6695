-- What blocks cost, as the workers saw it: so that a new process knows what the one before it had learnt, and so that an
-- operator can be told what timing saved.

create table base_fee (
    chain_id     bigint      not null,
    -- The block's own time. A development chain that begins anew repeats its numbers, and no time.
    block_at     timestamptz not null,
    block        bigint      not null,
    base_fee_wei bigint      not null,
    constraint base_fee_pk primary key (chain_id, block_at),
    constraint base_fee_not_negative check (0 <= base_fee_wei)
);

-- How much gas an anchor took: what it would have cost at another time follows from it.
alter table anchor_attempt add column gas_used bigint;

alter function grant_to_app() rename to grant_before_base_fees_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_base_fees_to_app();
    -- What is older than a report looks back is deleted.
    grant select, insert, delete on base_fee to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
