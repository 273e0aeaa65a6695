-- How many requests an hour whom is allowed. A partner or a key without a figure of its own has the program's, or none.
alter table program
    add column partner_requests_per_hour bigint not null default 36000000,
    add column member_requests_per_hour  bigint not null default 3600,
    add constraint program_requests_positive check (0 < partner_requests_per_hour and 0 < member_requests_per_hour);
alter table partner
    add column requests_per_hour bigint,
    add constraint partner_requests_positive check (0 < requests_per_hour);
alter table credential
    add column requests_per_hour bigint,
    add constraint credential_requests_positive check (0 < requests_per_hour);

-- What was used of a quota in the last hour, in slices. Unlogged: a crash of the server forgets an hour of counting, and a
-- write-ahead log of it would cost more than that. Half of each page is free, so that updates stay on it.
create unlogged table quota (
    subject    bytea  not null,
    slice      bigint not null,
    used       bytea  not null,
    constraint quota_pk primary key (subject)
) with (fillfactor = 50);

alter function grant_to_app() rename to grant_all_but_quotas_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_all_but_quotas_to_app();
    grant select, insert, update, delete on quota to daftari_app;
    grant update (requests_per_hour) on partner to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
