-- What gateways show of the points that went to their chains and came back: final events only, each once. The claims are what
-- the books go by: a withdrawal is taken back only where none is known and none can come any more.

-- A gateway, and how far it was read.
create table gateway (
    chain_id    bigint   not null,
    contract    bytea    not null,
    -- Whose points it mints.
    program_id  smallint not null,
    unit        smallint not null,
    -- The last final block whose events are known, and its time in seconds since 1970. Before the first, the hash is empty.
    block       bigint   not null,
    block_hash  bytea    not null,
    known_until bigint   not null default 0,
    -- Before this leaf no withdrawal through it is open any more.
    open_from   bigint   not null default 0,
    constraint gateway_pk primary key (chain_id, contract),
    constraint gateway_program_fk foreign key (program_id) references program,
    constraint gateway_contract_is_address check (length(contract) = 20),
    constraint gateway_block_is_hashed check (length(block_hash) in (0, 32))
);

-- A withdrawal that was paid on the chain.
create table gateway_claim (
    chain_id         bigint not null,
    contract         bytea  not null,
    withdrawal_id    bytea  not null,
    holder           bytea  not null,
    -- What was minted: epoch and amount, 8 bytes each, as often as there are epochs.
    minted           bytea  not null,
    -- What was not, because it had expired by then.
    lapsed           bigint not null,
    block            bigint not null,
    transaction_hash bytea  not null,
    constraint gateway_claim_pk primary key (chain_id, contract, withdrawal_id),
    constraint gateway_claim_gateway_fk foreign key (chain_id, contract) references gateway,
    constraint gateway_claim_amounts check (length(minted) % 16 = 0 and lapsed >= 0)
);

create trigger gateway_claim_is_append_only before update or delete or truncate on gateway_claim
    for each statement execute function refuse_change();

-- Points that were burned on the chain, to be credited.
create table gateway_burn (
    chain_id         bigint not null,
    contract         bytea  not null,
    burn_id          bigint not null,
    holder           bytea  not null,
    credit_to        bytea  not null,
    -- By epoch: the epoch (8 bytes), its last day (4) and the amount (8).
    amounts          bytea  not null,
    block            bigint not null,
    transaction_hash bytea  not null,
    -- Whom an operator named, where the reference is not one of ours.
    member_id        uuid,
    actor            text,
    -- The leaf of the deposit that credited it.
    leaf_index       bigint,
    -- Why it is not credited yet.
    problem          text,
    constraint gateway_burn_pk primary key (chain_id, contract, burn_id),
    constraint gateway_burn_gateway_fk foreign key (chain_id, contract) references gateway,
    constraint gateway_burn_amounts check (length(amounts) > 0 and length(amounts) % 20 = 0)
);

create index gateway_burn_open on gateway_burn (chain_id, contract, burn_id) where leaf_index is null;

-- A head of the log that was settled at the gateway. Where and until when it holds, the contract says.
create table gateway_settlement (
    chain_id   bigint not null,
    contract   bytea  not null,
    size       bigint not null,
    root       bytea  not null,
    constraint gateway_settlement_pk primary key (chain_id, contract, size, root),
    constraint gateway_settlement_gateway_fk foreign key (chain_id, contract) references gateway
);

-- A reference that was given out, so that who burns says whom to credit and tells nobody else.
create table credit_reference (
    reference  bytea       not null,
    program_id smallint    not null,
    unit       smallint    not null,
    member_id  uuid        not null,
    actor      text        not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint credit_reference_pk primary key (reference),
    constraint credit_reference_is_32_bytes check (length(reference) = 32),
    constraint credit_reference_program_fk foreign key (program_id) references program
);

create trigger credit_reference_is_append_only before update or delete or truncate on credit_reference
    for each statement execute function refuse_change();

-- Withdrawals are few among postings.
create index posting_with_body on posting (leaf_index) where body is not null;

alter function grant_to_app() rename to grant_before_gateways_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_gateways_to_app();
    grant select, insert on gateway, gateway_claim, gateway_burn, gateway_settlement, credit_reference to daftari_app;
    grant update (block, block_hash, known_until, open_from) on gateway to daftari_app;
    grant update (member_id, actor, leaf_index, problem) on gateway_burn to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
