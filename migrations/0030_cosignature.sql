-- What witnesses have said of a checkpoint: their signature lines, byte for byte, added to its note wherever it is given out.
create table cosignature (
    size        bigint      not null,
    -- The witness's name in our policy.
    witness     text        not null,
    line        text        not null,
    cosigned_at timestamptz not null default clock_timestamp(),
    constraint cosignature_pk primary key (size, witness),
    constraint cosignature_checkpoint_fk foreign key (size) references checkpoint
);

create trigger cosignature_is_append_only before update or delete or truncate on cosignature
    for each statement execute function refuse_change();

-- The service appends to it and reads it, as it does with checkpoints.
alter function grant_to_app() rename to grant_books_and_anchors_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_books_and_anchors_to_app();
    grant select, insert on cosignature to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
