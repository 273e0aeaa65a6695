-- What a point is worth from an instant on. The program's own row says what it was worth before the first of these.
create table rate (
    program_id   smallint    not null,
    version      integer     not null,
    point_value  text        not null,
    currency     text        not null,
    -- Microseconds since 1970, as leaves have them; not before the rate was settled, so none counts for what was posted.
    effective_at bigint      not null,
    created_at   timestamptz not null default clock_timestamp(),
    constraint rate_pk primary key (program_id, version),
    constraint rate_program_fk foreign key (program_id) references program,
    constraint rate_point_value_is_decimal check (point_value ~ '^[0-9]{1,12}(\.[0-9]{1,8})?$'),
    constraint rate_currency_is_iso check (currency ~ '^[A-Z]{3}$')
);

create trigger rate_is_append_only before update or delete or truncate on rate
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_rates_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_rates_to_app();
    grant select, insert on rate to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
