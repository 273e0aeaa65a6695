-- What a member has come to, where an operator has settled it: each change is an act in the log, and this is what the last one
-- said. It goes with the member's row when they are erased.
alter table member add column tier text;

-- Nobody has one yet: no row is looked at for that.
alter table member add constraint member_tier_is_one check (tier in ('BRONZE', 'SILVER', 'GOLD', 'PLATINUM')) not valid;

-- A member keeps their names, and no more than these.
drop trigger member_keeps_its_names on member;

create trigger member_keeps_its_names before update of program_id, member_id, external_id on member
    for each row when (old.external_id is not null) execute function refuse_another_name();

alter function grant_to_app() rename to grant_before_tiers_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_tiers_to_app();
    grant update (tier) on member to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
