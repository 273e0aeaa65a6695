-- What is to be anchored soon, whatever the price: kinds and amounts that a program has marked, and single postings.

create table hurry_rule (
    program_id smallint not null,
    -- The kind of posting; 0 is any.
    kind       smallint not null,
    -- The least change of any balance of any account, in the program's smallest unit.
    amount_min bigint   not null,
    constraint hurry_rule_pk primary key (program_id, kind),
    constraint hurry_rule_program_fk foreign key (program_id) references program,
    constraint hurry_rule_kind_known check (0 <= kind),
    constraint hurry_rule_amount_not_negative check (0 <= amount_min)
);

-- Postings that were marked one by one. A mark is never taken back: it has been told.
create table hurried_posting (
    leaf_index bigint      not null,
    marked_at  timestamptz not null default clock_timestamp(),
    constraint hurried_posting_pk primary key (leaf_index)
);

create trigger hurried_posting_is_append_only before update or delete or truncate on hurried_posting
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_hurry_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_hurry_to_app();
    grant select, insert, update, delete on hurry_rule to daftari_app;
    grant select, insert on hurried_posting to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
