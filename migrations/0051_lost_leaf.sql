-- Leaves that were published, lost by the database, and taken back from the published bundles: only their bytes are known.
-- Each comes again behind them as an `orphan`, without effect on the books.
create table lost_leaf (
    leaf_index bigint not null,
    constraint lost_leaf_pk primary key (leaf_index)
);

create trigger lost_leaf_is_append_only before update or delete or truncate on lost_leaf
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_all_but_lost_leaves_to_app;

-- Adopting is the owner's work: the service only has to know of it.
create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_all_but_lost_leaves_to_app();
    grant select on lost_leaf to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
