-- What a gateway's token goes by, so that the books withdraw no points that would be gone before they are claimed: null where the
-- bridge has not read it yet, and nothing is withdrawn through such a gateway.
alter table gateway
    -- The token that it mints. What expires in a token is posted once, so no two gateways of one are followed.
    add column token   bytea,
    -- How long the token's epochs are, in seconds, and by how many seconds the gateway's local time is ahead of UTC.
    add column epoch_s integer,
    add column zone_s  integer,
    add constraint gateway_token_once unique (chain_id, token),
    add constraint gateway_token_is_address check (length(token) = 20),
    add constraint gateway_epochs_last check (0 < epoch_s),
    add constraint gateway_terms_are_whole check (num_nulls(token, epoch_s, zone_s) in (0, 3));

alter function grant_to_app() rename to grant_before_gateway_terms_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_gateway_terms_to_app();
    grant update (token, epoch_s, zone_s) on gateway to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
