-- Imports that came to their end with lines refused. Those are mended and imported from a file of their own, so nothing more is
-- posted from this one: whatever could be posted by now may have been, under the other file's keys.
create table ended_import (
    program_id smallint    not null,
    source     text        not null,
    ended_at   timestamptz not null default clock_timestamp(),
    constraint ended_import_pk primary key (program_id, source),
    constraint ended_import_program_fk foreign key (program_id) references program
);

create trigger ended_import_is_append_only before update or delete or truncate on ended_import
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_ended_imports_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_ended_imports_to_app();
    grant select, insert on ended_import to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
