-- Webhooks: to whom what is told. The log is where messages come from, so none is lost: a cursor says how far it was looked
-- through, and moves in the transaction that queues what was found.

create table webhook_endpoint (
    endpoint_id      uuid        not null,
    program_id       smallint    not null,
    -- Whose it is; null for the operator's own.
    partner_id       text,
    url              text        not null,
    -- What it is told of; everything, where it names nothing.
    types            text[]      not null,
    description      text        not null,
    -- 1 by a shared secret, 2 by ed25519
    signs            smallint    not null,
    -- Wrapped, as all secrets here. While it is changed, the one before signs too.
    secret           bytea       not null,
    previous_secret  bytea,
    previous_until   timestamptz,
    -- 1 unverified, 2 active, 3 disabled
    status           smallint    not null default 1,
    -- Why it is disabled, where nobody did it by hand.
    disabled_because text,
    -- It is told of this leaf and what comes after it.
    first_leaf_index bigint      not null default 0,
    -- Grows with each change by its owner.
    version          integer     not null default 1,
    created_at       timestamptz not null default now(),
    constraint webhook_endpoint_pk primary key (endpoint_id),
    constraint webhook_endpoint_partner_fk foreign key (program_id, partner_id) references partner,
    constraint webhook_endpoint_program_fk foreign key (program_id) references program,
    constraint webhook_endpoint_signs_known check (signs in (1, 2)),
    constraint webhook_endpoint_status_known check (status between 1 and 3)
);

-- How delivery goes: messages go to an endpoint one after another, so what is tried again is always the first one.
create table webhook_course (
    endpoint_id     uuid        not null,
    -- How many attempts at the message that is next have failed.
    failed          integer     not null default 0,
    next_attempt_at timestamptz not null default now(),
    failing_since   timestamptz,
    -- Which process delivers, and until when nobody else does.
    lease           uuid,
    leased_until    timestamptz,
    constraint webhook_course_pk primary key (endpoint_id),
    constraint webhook_course_endpoint_fk foreign key (endpoint_id) references webhook_endpoint on delete cascade
) with (fillfactor = 60);

create table webhook_cursor (
    program_id      smallint not null,
    next_leaf_index bigint   not null,
    constraint webhook_cursor_pk primary key (program_id),
    constraint webhook_cursor_program_fk foreign key (program_id) references program
) with (fillfactor = 60);

-- A message names its posting; what it says is read from the books when it is sent, so nobody's data stands here.
create table webhook_message (
    endpoint_id uuid        not null,
    number      bigint      not null generated always as identity,
    -- The same over all attempts and replays.
    message_id  uuid        not null,
    type        text        not null,
    -- None for a test.
    leaf_index  bigint,
    created_at  timestamptz not null default now(),
    constraint webhook_message_pk primary key (endpoint_id, number),
    constraint webhook_message_id_once unique (message_id),
    constraint webhook_message_endpoint_fk foreign key (endpoint_id) references webhook_endpoint on delete cascade
);
create index webhook_message_by_age on webhook_message (created_at);

-- What is still to be delivered. A row is made and deleted, never changed.
create table webhook_due (
    endpoint_id uuid   not null,
    number      bigint not null,
    constraint webhook_due_pk primary key (endpoint_id, number),
    constraint webhook_due_message_fk foreign key (endpoint_id, number) references webhook_message on delete cascade
);

create table webhook_attempt (
    endpoint_id  uuid        not null,
    number       bigint      not null,
    attempted_at timestamptz not null default clock_timestamp(),
    -- What was answered; null where nothing was.
    status       smallint,
    problem      text,
    duration_ms  integer     not null,
    constraint webhook_attempt_message_fk foreign key (endpoint_id, number) references webhook_message on delete cascade
);
create index webhook_attempt_of_message on webhook_attempt (endpoint_id, number);

alter function grant_to_app() rename to grant_all_but_webhooks_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_all_but_webhooks_to_app();
    grant select, insert, update, delete on webhook_endpoint, webhook_course, webhook_cursor to daftari_app;
    -- What was told stays as it was, for as long as it is kept.
    grant select, insert, delete on webhook_message, webhook_due, webhook_attempt to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
