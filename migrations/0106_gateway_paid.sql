-- What a gateway says it has paid although no event of that was read: an index of events lost it. Nobody takes it back, the
-- operator neither; its event is looked for, and what was minted is known only from there. It is what most endpoints say: where
-- they say otherwise the row goes again.
create table gateway_paid (
    chain_id      bigint not null,
    contract      bytea  not null,
    withdrawal_id bytea  not null,
    constraint gateway_paid_pk primary key (chain_id, contract, withdrawal_id),
    constraint gateway_paid_gateway_fk foreign key (chain_id, contract) references gateway
);

alter function grant_to_app() rename to grant_before_gateway_paid_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_gateway_paid_to_app();
    grant select, insert, delete on gateway_paid to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
