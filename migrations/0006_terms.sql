-- What an operator settles: policies, funds, closed periods. Each is read into memory by every process that decides;
-- whoever changes any of them raises the epoch in the log's head, and a decision under an older one is made again.

alter table log_head add column epoch bigint not null default 0;

-- A version of a program's policy: expiry, limits, holds, debt.
create table policy (
    program_id smallint    not null,
    version    integer     not null,
    document   bytea       not null,
    created_at timestamptz not null default now(),
    constraint policy_pk primary key (program_id, version),
    constraint policy_program_fk foreign key (program_id) references program
);

create trigger policy_is_append_only before update or delete or truncate on policy
    for each statement execute function refuse_change();

-- A fund: what a campaign or a sponsor gives. Lots name it by its number.
create table fund (
    program_id smallint    not null,
    fund_id    integer     not null,
    name       text        not null,
    -- Who pays for it, as the operator calls them.
    funder     text        not null,
    -- The only merchant with whom its points can be spent, if any.
    merchant   text,
    -- Whether it can give only what was put into it.
    budgeted   boolean     not null,
    created_at timestamptz not null default now(),
    constraint fund_pk primary key (program_id, fund_id),
    constraint fund_program_fk foreign key (program_id) references program,
    constraint fund_name_once unique (program_id, name),
    constraint fund_number_counts check (fund_id > 0),
    constraint fund_name_length check (length(name) between 1 and 100)
);

alter table account
    add column fund_id integer,
    drop constraint account_owner_once,
    drop constraint account_kind_known,
    drop constraint account_has_its_owner,
    add constraint account_owner_once
        unique nulls not distinct (program_id, member_id, partner_id, kind, unit, fund_id),
    add constraint account_fund_fk foreign key (program_id, fund_id) references fund,
    add constraint account_kind_known check (kind between 1 and 7),
    add constraint account_has_its_owner check (
        (kind = 1) = (member_id is not null)
            and (kind = 5) = (partner_id is not null)
            and (kind = 7) = (fund_id is not null)
    );

-- The program's periods up to this instant are closed: nothing that takes effect before it is posted any more.
create table period_close (
    program_id    smallint    not null,
    closed_before bigint      not null,
    actor         text        not null,
    created_at    timestamptz not null default now(),
    constraint period_close_pk primary key (program_id, closed_before),
    constraint period_close_program_fk foreign key (program_id) references program
);

create trigger period_close_is_append_only before update or delete or truncate on period_close
    for each statement execute function refuse_change();
