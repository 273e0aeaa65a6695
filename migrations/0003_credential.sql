-- Who may ask. Only a hash of the secret is kept: reading this table lets nobody in.
create table credential (
    credential_id bigint      not null generated always as identity,
    program_id    smallint    not null,
    -- What the log, the details of a posting and an idempotency source call its owner.
    owner         text        not null,
    -- 1 API key, 2 bearer token
    kind          smallint    not null,
    secret_hash   bytea       not null,
    scopes        text[]      not null,
    -- The partner it speaks for, if any.
    partner_id    text,
    -- Whether it may speak for any member of the program, naming them.
    delegated     boolean     not null,
    created_at    timestamptz not null default now(),
    constraint credential_pk primary key (credential_id),
    constraint credential_secret_once unique (secret_hash),
    constraint credential_program_fk foreign key (program_id) references program,
    constraint credential_partner_fk foreign key (program_id, partner_id) references partner,
    constraint credential_kind_known check (kind in (1, 2)),
    constraint credential_hash_is_sha256 check (length(secret_hash) = 32)
);
