-- What is on the chains. The contract's state is the truth; these rows only explain it, so that no transaction of ours
-- is ever forgotten and a receipt can say where to look.

-- A signed transaction. It stands here before it is sent: what may have left this machine can always be followed.
create table anchor_attempt (
    anchor_attempt_id bigint      not null generated always as identity,
    -- The place: chain, contract, and who registered the log there.
    chain_id          bigint      not null,
    contract          bytea       not null,
    registrant        bytea       not null,
    -- The checkpoint that it carries.
    size              bigint      not null,
    sender            bytea       not null,
    nonce             bigint      not null,
    transaction_hash  bytea       not null,
    -- The signed bytes, to be sent again as they are.
    raw               bytea       not null,
    -- 1 armed, 2 broadcast, 3 included, 4 final, 5 reverted, 6 replaced by another of the same nonce
    state             smallint    not null default 1,
    stored_at         timestamptz not null default clock_timestamp(),
    -- When it was last handed to a node; null where it may never have left.
    sent_at           timestamptz,
    constraint anchor_attempt_pk primary key (anchor_attempt_id),
    constraint anchor_attempt_once unique (transaction_hash),
    constraint anchor_attempt_checkpoint_fk foreign key (size) references checkpoint,
    constraint anchor_attempt_contract_is_address check (length(contract) = 20),
    constraint anchor_attempt_registrant_is_address check (length(registrant) = 20),
    constraint anchor_attempt_sender_is_address check (length(sender) = 20),
    constraint anchor_attempt_hash_is_keccak check (length(transaction_hash) = 32),
    constraint anchor_attempt_state_known check (state between 1 and 6)
);

-- A handful of rows at any time. A state changes a few times in a transaction's life, every few minutes: that these
-- updates leave the page costs nothing here.
create index anchor_attempt_open on anchor_attempt (chain_id, contract, registrant) where state in (1, 2, 3);

-- A checkpoint that stands on a chain. Until it is final a reorganisation may take it away, and then the row goes too.
create table anchor (
    chain_id         bigint      not null,
    contract         bytea       not null,
    registrant       bytea       not null,
    size             bigint      not null,
    block            bigint      not null,
    transaction_hash bytea       not null,
    included_at      timestamptz not null default clock_timestamp(),
    final_at         timestamptz,
    constraint anchor_pk primary key (chain_id, contract, registrant, size),
    constraint anchor_checkpoint_fk foreign key (size) references checkpoint,
    constraint anchor_contract_is_address check (length(contract) = 20),
    constraint anchor_registrant_is_address check (length(registrant) = 20),
    constraint anchor_hash_is_keccak check (length(transaction_hash) = 32)
);
