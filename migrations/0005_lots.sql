-- What makes up an account: its lots, what is set aside, what it has used of its limits. All of it changes under the
-- lock of the account's balance and nothing else, so none of it needs a lock of its own.

alter table balance
    -- 1 active, 2 suspended, 3 closed. It stands here, under the lock, because decisions depend on it.
    add column status smallint not null default 1,
    -- The local date, in days since 1970, of the last earning, redemption, capture or transfer out.
    add column active_day integer not null default 0,
    -- The local date that the tallies below are of; `month` counts that date's month.
    add column used_day integer not null default 0,
    add column earned_day bigint not null default 0,
    add column earned_month bigint not null default 0,
    add column redeemed_day bigint not null default 0,
    add column redeemed_month bigint not null default 0,
    add column transferred_day bigint not null default 0,
    add column transferred_month bigint not null default 0,
    add constraint balance_status_known check (status between 1 and 3);

-- Open lots only: a lot that is used up is deleted, and comes back under the same name if it is given back. What happened
-- to it stands in the entries. No updated column stands in an index, so updates stay in the page. There is no foreign key
-- to the account: it would be checked for every new lot, and `books check` compares all of them.
create table lot (
    account_id bigint  not null,
    -- Local dates in days since 1970; 2147483647 for never.
    last_day   integer not null,
    earned_day integer not null,
    -- The fund that gave it, 0 for the program itself.
    fund_id    integer not null,
    available  bigint  not null,
    held       bigint  not null,
    pending    bigint  not null,
    constraint lot_pk primary key (account_id, last_day, earned_day, fund_id),
    constraint lot_is_open check (
        available >= 0 and held >= 0 and pending >= 0 and (available > 0 or held > 0 or pending > 0)
    )
) with (fillfactor = 70);

-- For the sweep, which looks for what has expired on accounts that nobody asks about.
create index lot_by_last_day on lot (last_day) where last_day < 2147483647;

-- Open holds and pending earnings. What is over is deleted; its story stands in the postings.
create table reservation (
    -- The posting that began it.
    posting_id uuid     not null,
    account_id bigint   not null,
    -- 1 hold, 2 pending earning
    kind       smallint not null,
    -- The house account that a capture gives to, or a cancelled earning goes back to.
    house_id   bigint   not null,
    -- When it lapses or matures, in microseconds since 1970; null where it waits to be confirmed.
    due_at     bigint,
    -- The last instant to which a hold may be extended.
    due_at_max bigint   not null,
    -- What is set aside: lot id (16 bytes) and amount (8), as often as there are lots.
    parts      bytea    not null,
    constraint reservation_pk primary key (posting_id),
    constraint reservation_kind_known check (kind in (1, 2)),
    constraint reservation_has_parts check (length(parts) > 0 and length(parts) % 24 = 0)
) with (fillfactor = 70);

create index reservation_by_account on reservation (account_id);
create index reservation_by_due on reservation (due_at) where due_at is not null;

-- The lot movements themselves, where there was only room for their digest: what the digest is over, byte for byte.
alter table entry
    drop column lots_digest,
    add column lots bytea;

alter table posting
    -- Of a withdrawal, the body that a contract reads, and its commitment.
    add column body bytea,
    add column body_commitment bytea,
    -- The hold or the pending earning that it goes on from.
    add column follows uuid;

create index posting_by_reversed on posting (reverses) where reverses is not null;
create index posting_by_followed on posting (follows) where follows is not null;

alter table outcome
    -- The account whose balance was answered.
    add column account_id bigint,
    -- Of a request of several items, leaf index, account and points of each but the first: 8 bytes each.
    add column rest bytea,
    -- Of a refused one, which item it was for.
    add column item smallint not null default 0;

-- What rounding took away from an earning, in smallest units: a decimal text. Null where it took nothing.
alter table event add column remainder text;
