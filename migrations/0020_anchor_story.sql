-- The anchor machine: what each transaction offered and extended, its whole story, who may send, and what an operator said.

alter table anchor_attempt
    -- The head that it extends: what it does to any other head is a revert.
    add column extends     bigint  not null default 0,
    -- What it offers for a unit of gas.
    add column fee_wei_max bigint  not null default 0,
    add column tip_wei_max bigint  not null default 0,
    -- How often nodes refused it as too cheap a replacement.
    add column refusals    integer not null default 0,
    add column block       bigint,
    add column block_hash  bytea,
    add column paid_wei    numeric,
    add column included_at timestamptz,
    -- Why it was made, in one line.
    add column why         text    not null default '',
    drop constraint anchor_attempt_state_known,
    -- 1 armed, 2 broadcast, 3 included, 4 final, 5 reverted, 6 replaced, 7 orphaned, 8 dropped, 9 abandoned, 10 archived,
    -- 11 reverted for good
    add constraint anchor_attempt_state_known check (state between 1 and 11);

drop index anchor_attempt_open;
create index anchor_attempt_open on anchor_attempt (chain_id, contract, registrant) where state in (1, 2, 3, 4, 5, 7, 8);

-- What happened to a transaction, in order. It is kept as long as the transaction.
create table anchor_step (
    anchor_step_id    bigint      not null generated always as identity,
    anchor_attempt_id bigint      not null,
    state             smallint    not null,
    block             bigint,
    why               text        not null,
    stepped_at        timestamptz not null default clock_timestamp(),
    constraint anchor_step_pk primary key (anchor_step_id),
    constraint anchor_step_attempt_fk foreign key (anchor_attempt_id) references anchor_attempt on delete cascade
);
create index anchor_step_of_attempt on anchor_step (anchor_attempt_id);

-- Who may sign for a place. The token grows with each holder, and a transaction is stored only under the current one.
create table anchor_lease (
    chain_id   bigint      not null,
    contract   bytea       not null,
    registrant bytea       not null,
    holder     uuid        not null,
    token      bigint      not null,
    expires_at timestamptz not null,
    constraint anchor_lease_pk primary key (chain_id, contract, registrant)
);

-- What an operator, or the machine in doubt, has said about a place.
create table anchor_order (
    chain_id   bigint      not null,
    contract   bytea       not null,
    registrant bytea       not null,
    paused     text,
    halted     text,
    -- An anchor is asked for at once, until one is armed after this.
    forced_at  timestamptz,
    constraint anchor_order_pk primary key (chain_id, contract, registrant)
);

-- The service's own role may do the same with these as with the transactions that they are about.
alter function grant_to_app() rename to grant_books_to_app;
create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_books_to_app();
    grant select, insert on anchor_step, anchor_lease, anchor_order to daftari_app;
    grant update on anchor_lease, anchor_order to daftari_app;
end
$$;
revoke execute on function grant_to_app() from public;
