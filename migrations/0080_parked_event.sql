-- Events of people who are not members yet, in a program that lets them wait: they earn once their member is enrolled.
create table parked_event (
    parked_event_id bigint      not null generated always as identity,
    program_id      smallint    not null,
    -- Whom it names: by the program's own id, or by what others call them.
    member_id       uuid,
    external_id     text,
    -- By which its source knows it, and what it asks: the same event waits once, another under its name not at all.
    source          text        not null,
    key             text        not null,
    fingerprint     bytea       not null,
    origin          text        not null,
    payload         bytea       not null,
    parked_at       timestamptz not null default clock_timestamp(),
    constraint parked_event_pk primary key (parked_event_id),
    constraint parked_event_once unique (program_id, source, key),
    constraint parked_event_program_fk foreign key (program_id) references program,
    constraint parked_event_names_one check ((member_id is null) <> (external_id is null))
);

create index parked_event_by_member on parked_event (program_id, member_id) where member_id is not null;
create index parked_event_by_name on parked_event (program_id, external_id) where external_id is not null;

-- A member who is enrolled without another name may be given one, once.
create function refuse_another_name() returns trigger language plpgsql as $$
begin
    raise exception 'a member keeps their names' using errcode = 'restrict_violation';
end
$$;

create trigger member_keeps_its_names before update on member
    for each row when (old.external_id is not null) execute function refuse_another_name();

alter function grant_to_app() rename to grant_before_parking_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_parking_to_app();
    grant select, insert, delete, update (parked_at) on parked_event to daftari_app;
    grant update (external_id) on member to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
