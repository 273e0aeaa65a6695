-- A partner may choose that its reference names one transaction of each kind.
alter table partner
    add column references_once boolean not null default false;

-- Who uses such a reference: a request claims it before it comes to the books, so that of two at once one waits. The key of the
-- request leads to what came of it. The reference is hashed with a key: it may be a person's.
create table claimed_reference (
    program_id smallint    not null,
    partner_id text        not null,
    -- For what, as commands are named.
    kind       text        not null,
    reference  bytea       not null,
    -- The request, and which of its items.
    source     text        not null,
    key        text        not null,
    item       smallint    not null,
    claimed_at timestamptz not null default clock_timestamp(),
    constraint claimed_reference_pk primary key (program_id, partner_id, kind, reference),
    constraint claimed_reference_is_32_bytes check (length(reference) = 32),
    constraint claimed_reference_partner_fk foreign key (program_id, partner_id) references partner
);

alter function grant_to_app() rename to grant_before_references_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_references_to_app();
    grant update (references_once) on partner to daftari_app;
    grant select, insert, update, delete on claimed_reference to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
