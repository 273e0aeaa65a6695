-- What a partner has shown before it goes live stays known when the postings that showed it are archived. Only what is true once
-- is kept, which stays true when they come back.
create table archived_partner (
    -- The partner's settlement account.
    account_id   bigint  not null,
    has_redeemed boolean not null,
    has_undone   boolean not null,
    constraint archived_partner_pk primary key (account_id),
    constraint archived_partner_account_fk foreign key (account_id) references account
);

alter function grant_to_app() rename to grant_before_archived_partners_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_archived_partners_to_app();
    grant select on archived_partner to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
