-- The withdrawals that may yet be claimed or come back, with how much of each: neither paid, as far as their chain is known, nor
-- taken back altogether. Who asks what is open asks here, so that all of them mean the same.
create view open_withdrawal as
select posting.leaf_index, posting.program_id, posting.posting_id, posting.body, gone.points
from posting
cross join lateral (
    select sum(entry.available_change)::bigint as points
    from (
        select posting.leaf_index
        union all
        select undone.leaf_index
        from posting as undone
        where undone.reverses = posting.posting_id and undone.program_id = posting.program_id
    ) as part
    join entry using (leaf_index)
    join account using (account_id)
    -- What is on the account `bridge`: there it went, and from there it came back.
    where account.kind = 6
) as gone
where posting.body is not null
    and gone.points > 0
    and not exists (
        select
        from gateway_claim as claim
        where claim.chain_id = ('x' || encode(substring(posting.body from 1 for 8), 'hex'))::bit(64)::bigint
            and claim.contract = substring(posting.body from 9 for 20)
            and claim.withdrawal_id = substring(posting.body from 49 for 32)
    );

alter function grant_to_app() rename to grant_before_open_withdrawals_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_open_withdrawals_to_app();
    grant select on open_withdrawal to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
