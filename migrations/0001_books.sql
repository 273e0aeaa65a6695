-- The books: who takes part, what they have, and what was posted.
--
-- Identity rows (program, member, partner, account) never change once written, so they may be read without a lock and
-- kept in memory. What changes stands in `balance`, which is locked in account order and carries no index besides its
-- key, so that its updates stay in the page (HOT).

create table program (
    program_id   smallint    not null generated always as identity,
    id           uuid        not null,
    name         text        not null,
    -- An unknown member is enrolled by their first event.
    enrols       boolean     not null,
    -- What one point is worth, as a decimal text, so that nothing ever rounds it.
    point_value  text        not null,
    currency     text        not null,
    -- 32 random bytes, wrapped by a key that is not in this database: salts of headers, details and bodies.
    secret       bytea       not null,
    created_at   timestamptz not null default now(),
    constraint program_pk primary key (program_id),
    constraint program_id_once unique (id),
    constraint program_name_once unique (name),
    constraint program_point_value_is_decimal check (point_value ~ '^[0-9]{1,12}(\.[0-9]{1,8})?$'),
    constraint program_currency_is_iso check (currency ~ '^[A-Z]{3}$')
);

-- A version of how events earn. Postings name it by its hash; the bytes stay for whoever replays them.
create table rule_set (
    program_id smallint    not null,
    version    integer     not null,
    hash       bytea       not null,
    document   bytea       not null,
    created_at timestamptz not null default now(),
    constraint rule_set_pk primary key (program_id, version),
    constraint rule_set_program_fk foreign key (program_id) references program,
    constraint rule_set_hash_is_sha256 check (hash = sha256(document))
);

create table member (
    program_id  smallint    not null,
    member_id   uuid        not null,
    -- What the operator's other systems call them, where that is not the UUID itself.
    external_id text,
    created_at  timestamptz not null default now(),
    constraint member_pk primary key (program_id, member_id),
    constraint member_program_fk foreign key (program_id) references program,
    constraint member_external_id_once unique (program_id, external_id),
    constraint member_external_id_length check (length(external_id) between 1 and 200)
);

create table partner (
    program_id smallint    not null,
    partner_id text        not null,
    created_at timestamptz not null default now(),
    constraint partner_pk primary key (program_id, partner_id),
    constraint partner_program_fk foreign key (program_id) references program,
    constraint partner_id_length check (length(partner_id) between 1 and 100)
);

create table account (
    account_id bigint   not null generated always as identity,
    -- The name under which the account stands in leaves: random, so that it says nothing of its owner.
    id         uuid     not null,
    program_id smallint not null,
    -- 1 member, 2 issuance, 3 redemption, 4 breakage, 5 settlement, 6 bridge
    kind       smallint not null,
    member_id  uuid,
    partner_id text,
    unit       smallint not null,
    -- 32 random bytes, wrapped: the salts of this account's entries.
    secret     bytea    not null,
    constraint account_pk primary key (account_id),
    constraint account_id_once unique (id),
    constraint account_owner_once unique nulls not distinct (program_id, member_id, partner_id, kind, unit),
    constraint account_program_fk foreign key (program_id) references program,
    constraint account_member_fk foreign key (program_id, member_id) references member,
    constraint account_partner_fk foreign key (program_id, partner_id) references partner,
    constraint account_kind_known check (kind between 1 and 6),
    constraint account_has_its_owner check (
        (kind = 1) = (member_id is not null) and (kind = 5) = (partner_id is not null)
    )
);

create table balance (
    account_id          bigint not null,
    sequence            bigint not null,
    available           bigint not null,
    held                bigint not null,
    pending             bigint not null,
    -- The account's last entry, which its next one will name; null before the first.
    last_leaf_index     bigint,
    last_commitment     bytea,
    constraint balance_pk primary key (account_id),
    constraint balance_account_fk foreign key (account_id) references account,
    constraint balance_within_limit check (
        available between -4611686018427387904 and 4611686018427387904 and held >= 0 and pending >= 0
    ),
    constraint balance_names_its_last_entry check (
        (sequence = 0) = (last_leaf_index is null) and (sequence = 0) = (last_commitment is null)
    )
) with (fillfactor = 60);

-- One row: the log's head. Its lock puts commits in an order, and that order is the log's.
--
-- The next leaf index is taken from here inside the posting's own transaction, not from a sequence: a sequence leaves
-- a hole when a transaction rolls back, and a Merkle tree cannot have holes.
create table log_head (
    log_id      bytea  not null,
    origin      text   not null,
    size        bigint not null,
    -- Microseconds since 1970. Recorded time never goes back, even where the clock does.
    recorded_at bigint not null,
    constraint log_head_pk primary key (log_id),
    constraint log_head_size_counts check (size >= 0)
) with (fillfactor = 10);

create unique index log_head_only_one on log_head ((true));

create table leaf (
    leaf_index bigint   not null,
    kind       smallint not null,
    commitment bytea    not null,
    constraint leaf_pk primary key (leaf_index),
    constraint leaf_kind_known check (kind between 1 and 7),
    constraint leaf_commitment_is_sha256 check (length(commitment) = 32)
) partition by range (leaf_index);

create table posting (
    leaf_index         bigint   not null,
    posting_id         uuid     not null,
    program_id         smallint not null,
    kind               smallint not null,
    recorded_at        bigint   not null,
    effective_at       bigint   not null,
    rule_set_hash      bytea,
    event_hash         bytea,
    reverses           uuid,
    merchant_reference text,
    actor              text,
    reason             text,
    description        text,
    rate               text,
    header_commitment  bytea    not null,
    details_commitment bytea    not null,
    constraint posting_pk primary key (leaf_index),
    constraint posting_not_in_the_future check (effective_at <= recorded_at)
) partition by range (leaf_index);

create index posting_by_id on posting (posting_id);

create table entry (
    leaf_index          bigint not null,
    -- The entry's place in the leaf: entries stand in ascending order of account id.
    ordinal             smallint not null,
    account_id          bigint not null,
    sequence            bigint not null,
    available_change    bigint not null,
    held_change         bigint not null,
    pending_change      bigint not null,
    available_after     bigint not null,
    held_after          bigint not null,
    pending_after       bigint not null,
    lots_digest         bytea,
    previous_leaf_index bigint,
    previous_commitment bytea,
    commitment          bytea  not null,
    constraint entry_pk primary key (leaf_index, ordinal)
) partition by range (leaf_index);

create index entry_by_account on entry (account_id, sequence);

-- What was asked under a key, and what came of it: enough to give the same answer again.
create table outcome (
    program_id  smallint not null,
    -- Who chose the key: a credential's owner, or an event's source.
    source      text     not null,
    key         text     not null,
    fingerprint bytea    not null,
    posting_id  uuid,
    leaf_index  bigint,
    -- Null where it was accepted; else the refusal's number.
    refusal     smallint,
    points      bigint   not null,
    -- The member's available points after it, or at the refusal.
    available   bigint   not null,
    recorded_at bigint   not null,
    constraint outcome_pk primary key (program_id, source, key),
    constraint outcome_is_one_or_the_other check ((refusal is null) = (leaf_index is not null)
        and (refusal is null) = (posting_id is not null))
);

-- The events that were posted, as they were received: what an event hash is over, and what a replay reads.
create table event (
    leaf_index bigint not null,
    payload    bytea  not null,
    constraint event_pk primary key (leaf_index)
);

-- Events that were not posted, kept with their bytes and the reason for an operator to read.
create table rejected_event (
    rejected_event_id bigint      not null generated always as identity,
    program_id        smallint    not null,
    -- Where it came from: `http`, or the Kafka topic, partition and offset.
    origin            text        not null,
    reason            text        not null,
    detail            text        not null,
    payload           bytea       not null,
    first_seen_at     timestamptz not null default now(),
    constraint rejected_event_pk primary key (rejected_event_id),
    constraint rejected_event_program_fk foreign key (program_id) references program
);

-- The same bytes refused for the same reason are kept once, however often they are delivered.
create unique index rejected_event_once on rejected_event (program_id, reason, sha256(payload));

-- Partitions of 2^26 leaves: about ten gigabytes of postings each, a unit to archive.
create table leaf_0 partition of leaf for values from (0) to (67108864);
create table posting_0 partition of posting for values from (0) to (67108864);
create table entry_0 partition of entry for values from (0) to (67108864);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

-- For each row, because a statement's trigger on a partitioned table does not fire for a statement on its partition;
-- row triggers are cloned to every partition. Truncate has no rows: each partition gets its own trigger when it is made.
create trigger leaf_is_append_only before update or delete on leaf
    for each row execute function refuse_change();
create trigger posting_is_append_only before update or delete on posting
    for each row execute function refuse_change();
create trigger entry_is_append_only before update or delete on entry
    for each row execute function refuse_change();
create trigger leaf_is_never_emptied before truncate on leaf
    for each statement execute function refuse_change();
create trigger posting_is_never_emptied before truncate on posting
    for each statement execute function refuse_change();
create trigger entry_is_never_emptied before truncate on entry
    for each statement execute function refuse_change();

-- What was answered under a key, and what an event said, are facts too. They may be cleared away, never changed.
create trigger outcome_never_changes before update on outcome
    for each row execute function refuse_change();
create trigger event_never_changes before update on event
    for each row execute function refuse_change();
