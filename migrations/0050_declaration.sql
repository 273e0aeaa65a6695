-- Leaves that are no postings: account maps, keys, incidents, lost leaves that have come back, successions. They concern the
-- whole log and nobody in particular, so all of them is public: what is here can be recomputed without any secret.
create table declaration (
    leaf_index         bigint not null,
    declaration_id          uuid   not null,
    recorded_at        bigint not null,
    body               bytea  not null,
    header_commitment  bytea  not null,
    details_commitment bytea  not null,
    body_commitment    bytea  not null,
    constraint declaration_pk primary key (leaf_index),
    constraint declaration_id_once unique (declaration_id)
);

create trigger declaration_is_append_only before update or delete or truncate on declaration
    for each statement execute function refuse_change();

-- The service appends to it and reads it, as it does with postings.
alter function grant_to_app() rename to grant_all_but_declarations_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_all_but_declarations_to_app();
    grant select, insert on declaration to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
