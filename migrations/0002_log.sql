-- What was sealed, and what was anchored.

-- A row stands here before its checkpoint is published, so the log never signs two histories: each checkpoint extends
-- exactly one before it, and two sealers cannot both extend the same one.
create table checkpoint (
    size          bigint      not null,
    previous_size bigint      not null,
    root          bytea       not null,
    -- The signed note, byte for byte as it is published.
    note          text        not null,
    sealed_at     timestamptz not null default clock_timestamp(),
    constraint checkpoint_pk primary key (size),
    constraint checkpoint_extends_once unique (previous_size),
    constraint checkpoint_grows check (previous_size < size),
    constraint checkpoint_root_is_sha256 check (length(root) = 32)
);

create trigger checkpoint_is_append_only before update or delete or truncate on checkpoint
    for each statement execute function refuse_change();
