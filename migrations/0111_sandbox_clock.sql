-- How far ahead of the log's clock a sandbox's is, from which leaf on: what falls due there does so that much sooner. Nobody moves
-- it back, and no live program's.
create table sandbox_clock (
    program_id       smallint not null,
    first_leaf_index bigint   not null,
    ahead_us         bigint   not null,
    constraint sandbox_clock_pk primary key (program_id, ahead_us),
    constraint sandbox_clock_program_fk foreign key (program_id) references program
);

create function demand_sandbox_and_forward() returns trigger language plpgsql as $$
begin
    if not exists (select from program where program_id = new.program_id and is_sandbox) then
        raise exception 'only a sandbox''s clock is moved' using errcode = 'restrict_violation';
    end if;
    if new.ahead_us <= (select coalesce(max(ahead_us), 0) from sandbox_clock where program_id = new.program_id) then
        raise exception 'a clock is moved forward' using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

create trigger sandbox_clock_moves_forward before insert on sandbox_clock
    for each row execute function demand_sandbox_and_forward();

create trigger sandbox_clock_is_append_only before update or delete or truncate on sandbox_clock
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_sandbox_clocks_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_sandbox_clocks_to_app();
    grant select, insert on sandbox_clock to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
