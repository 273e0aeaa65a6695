-- Views for reports, under names that other systems know. Who reads them is a member of the role `daftari_reader`, which has
-- no right to any table; each such role sees the programs that stand beside its name in `reader`, and nothing else.
--
-- The views run with their owner's rights and are security barriers: a reader's own function is not shown a row before the
-- view has decided that it is theirs. They show what is posted; what has fallen due on an idle account shows once it is.
create schema reporting;

create table reporting.reader (
    role_name  name     not null,
    program_id smallint not null,
    constraint reader_pk primary key (role_name, program_id),
    constraint reader_program_fk foreign key (program_id) references program
);

-- The programs of whoever asks, with how many decimals their points have.
create view reporting.readable with (security_barrier) as
select program.program_id, program.id, program.name,
    coalesce((
        select (convert_from(document, 'UTF8')::jsonb ->> 'scale')::integer
        from rule_set
        where rule_set.program_id = program.program_id
        order by version desc
        limit 1
    ), 0) as scale
from program
join reporting.reader using (program_id)
where reader.role_name = current_user;

-- Members' entries, one row each: what the views below are made of.
create view reporting.movement with (security_barrier) as
select readable.program_id, readable.id as program, readable.scale, account.member_id, account.unit,
    posting.leaf_index, posting.posting_id, posting.kind,
    (array['earn', 'redeem', 'transfer', 'expire', 'adjust', 'reverse', 'hold', 'capture', 'void', 'withdraw', 'deposit',
        'lapse', 'mature', 'cancel', 'extend', 'increase', 'merge', 'import', 'act'])[posting.kind] as kind_name,
    to_timestamp(posting.effective_at / 1000000.0) as effective_at,
    to_timestamp(posting.recorded_at / 1000000.0) as recorded_at,
    posting.reverses, posting.merchant_reference, posting.reason, posting.description,
    entry.sequence, entry.available_change, entry.held_change, entry.pending_change,
    entry.available_after, entry.held_after, entry.pending_after
from reporting.readable
join account using (program_id)
join entry using (account_id)
join posting using (leaf_index)
where account.kind = 1;

create view reporting."PlayerLoyaltyBalance" with (security_barrier) as
select account.member_id as "PlayerId",
    readable.id as "OperatorId",
    (balance.available / 10.0 ^ readable.scale)::numeric(18, 2) as "PointsBalance",
    coalesce(
        (select to_timestamp(recorded_at / 1000000.0) from posting where leaf_index = balance.last_leaf_index),
        member.created_at
    ) as "LastUpdated",
    balance.sequence as "Version"
from reporting.readable
join account using (program_id)
join balance using (account_id)
join member using (program_id, member_id)
where account.kind = 1
    and account.unit = 1;

create view reporting."LoyaltyTransaction" with (security_barrier) as
select movement.posting_id as "TransactionId",
    movement.member_id as "PlayerId",
    -- What the event calls itself, as other systems know the wager or the purchase; null where no event caused it.
    (
        select case when pg_input_is_valid(payload, 'jsonb') then payload::jsonb ->> 'event_id' end
        from (select convert_from(event.payload, 'UTF8') as payload from event where event.leaf_index = movement.leaf_index)
    ) as "WagerId",
    movement.program as "OperatorId",
    ((available_change + held_change + pending_change) / 10.0 ^ scale)::numeric(18, 2) as "PointsEarned",
    movement.effective_at as "Timestamp",
    -- The place in the log. A topic's offset begins anew with its topic; this one never does.
    movement.leaf_index as "EventOffset"
from reporting.movement
where movement.unit = 1;

create view reporting.customer_loyalty_profiles with (security_barrier) as
select member.member_id as customer_id,
    member.external_id,
    readable.name as program,
    account.unit,
    (array['active', 'suspended', 'closed'])[balance.status] as status,
    balance.available / 10.0 ^ readable.scale as points_available,
    balance.held / 10.0 ^ readable.scale as points_held,
    balance.pending / 10.0 ^ readable.scale as points_pending,
    balance.sequence as version,
    member.created_at as enrolled_at
from reporting.readable
join account using (program_id)
join balance using (account_id)
join member using (program_id, member_id)
where account.kind = 1;

create view reporting.points_transactions with (security_barrier) as
select leaf_index,
    posting_id as transaction_id,
    member_id as customer_id,
    program as program_id,
    unit,
    kind_name as kind,
    available_change / 10.0 ^ scale as points_available_change,
    held_change / 10.0 ^ scale as points_held_change,
    pending_change / 10.0 ^ scale as points_pending_change,
    available_after / 10.0 ^ scale as points_available_after,
    sequence as version,
    effective_at,
    recorded_at,
    reverses,
    merchant_reference,
    reason,
    description
from reporting.movement;

-- What members spent: redeemed, captured from a hold, or taken to a chain; and how much of it was given back.
create view reporting.redemption_logs with (security_barrier) as
select movement.leaf_index,
    movement.posting_id as transaction_id,
    movement.member_id as customer_id,
    movement.program as program_id,
    movement.unit,
    movement.kind_name as kind,
    house.partner_id,
    -(movement.available_change + movement.held_change) / 10.0 ^ movement.scale as points,
    coalesce((
        select sum(other.available_change)
        from posting as reversal
        join entry as other using (leaf_index)
        join account as theirs on theirs.account_id = other.account_id and theirs.kind = 1
        where reversal.reverses = movement.posting_id
            and reversal.program_id = movement.program_id
    ), 0) / 10.0 ^ movement.scale as points_reversed,
    movement.merchant_reference,
    movement.effective_at,
    movement.recorded_at
from reporting.movement
join entry as paid using (leaf_index)
join account as house on house.account_id = paid.account_id and house.kind <> 1
where movement.kind in (2, 8, 10);

create function grant_to_reader() returns void language plpgsql as $$
begin
    grant usage on schema reporting to daftari_reader;
    grant select on
        reporting."PlayerLoyaltyBalance", reporting."LoyaltyTransaction", reporting.customer_loyalty_profiles,
        reporting.points_transactions, reporting.redemption_logs
        to daftari_reader;
end
$$;

revoke execute on function grant_to_reader() from public;
