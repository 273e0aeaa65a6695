-- How far a partner has come: 1 it is being onboarded, and a live program gives it no keys; 2 it takes part.
alter table partner
    add column stage smallint not null default 2,
    add constraint partner_stage_known check (stage in (1, 2));

alter function grant_to_app() rename to grant_before_stages_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_stages_to_app();
    grant update (stage) on partner to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
