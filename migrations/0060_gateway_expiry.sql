-- What expires on a chain goes from the bridge to breakage, once a final block is known that is later.

-- When the points of an epoch expire, in seconds since 1970. A token never changes it.
create table gateway_epoch (
    chain_id   bigint not null,
    contract   bytea  not null,
    epoch      bigint not null,
    expires_at bigint not null,
    constraint gateway_epoch_pk primary key (chain_id, contract, epoch),
    constraint gateway_epoch_gateway_fk foreign key (chain_id, contract) references gateway
);

create trigger gateway_epoch_is_append_only before update or delete or truncate on gateway_epoch
    for each statement execute function refuse_change();

-- What was posted: all that an epoch expired with, or what a claim came too late for. Nothing is posted for an epoch that
-- expired empty, and it is noted all the same, so that nobody looks there again.
create table gateway_expired (
    chain_id   bigint not null,
    contract   bytea  not null,
    -- `epoch:` and its number, or `claim:` and the withdrawal's id in hexadecimal.
    what       text   not null,
    points     bigint not null,
    leaf_index bigint,
    constraint gateway_expired_pk primary key (chain_id, contract, what),
    constraint gateway_expired_gateway_fk foreign key (chain_id, contract) references gateway,
    constraint gateway_expired_is_posted check ((points = 0) = (leaf_index is null) and points >= 0)
);

create trigger gateway_expired_is_append_only before update or delete or truncate on gateway_expired
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_gateway_expiry_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_gateway_expiry_to_app();
    grant select, insert on gateway_epoch, gateway_expired to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
