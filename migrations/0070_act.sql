-- What operators do to programs, partners, keys and policies: who, when and why stand in the posting of the same leaf, which
-- commits to the document's salted hash; what was before and what is after stand in the document.
create table act (
    leaf_index bigint   not null,
    program_id smallint not null,
    -- The JSON document, byte for byte as it was hashed.
    document   bytea    not null,
    constraint act_pk primary key (leaf_index),
    constraint act_program_fk foreign key (program_id) references program
);

create index act_by_program on act (program_id, leaf_index);

create trigger act_is_append_only before update or delete or truncate on act
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_acts_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_acts_to_app();
    grant select, insert on act to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
