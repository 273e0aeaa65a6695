-- Old postings move into files: the rows of posting, entry and event. Leaves stay, with what was settled for them, and so does
-- what is still gone on from (docs/adr/0039). A row says which range went where, under which digest, before the first of it goes.
create table archive (
    archive_id       bigint      not null generated always as identity,
    first_leaf_index bigint      not null,
    -- The first leaf after the range.
    end_leaf_index   bigint      not null,
    postings         bigint      not null,
    -- Of the file's lines.
    digest           bytea       not null,
    file             text        not null,
    begun_at         timestamptz not null default clock_timestamp(),
    -- When the last of it had gone.
    moved_at         timestamptz,
    -- When it was asked back, and when the last of it was back: then it is no archive any more.
    recalled_at      timestamptz,
    restored_at      timestamptz,
    constraint archive_pk primary key (archive_id),
    constraint archive_is_a_range check (0 <= first_leaf_index and first_leaf_index < end_leaf_index),
    constraint archive_digest_is_sha256 check (length(digest) = 32),
    constraint archive_is_back_once_recalled check (restored_at is null or recalled_at is not null)
);

-- What is left of an archived posting: where it stood, its name, and when it was recorded.
create table archived_posting (
    leaf_index  bigint   not null,
    posting_id  uuid     not null,
    program_id  smallint not null,
    recorded_at bigint   not null,
    archive_id  bigint   not null,
    constraint archived_posting_pk primary key (leaf_index),
    constraint archived_posting_archive_fk foreign key (archive_id) references archive
);

create index archived_posting_by_id on archived_posting (posting_id);

-- An archive's story only goes on.
create function refuse_archive_change_but_progress() returns trigger language plpgsql as $$
declare
    steps constant text[] := array['moved_at', 'recalled_at', 'restored_at'];
    step text;
begin
    if tg_op = 'UPDATE' and to_jsonb(new) - steps = to_jsonb(old) - steps then
        foreach step in array steps loop
            if to_jsonb(old) ->> step is not null and to_jsonb(old) -> step <> to_jsonb(new) -> step then
                raise exception 'an archive''s story is append-only' using errcode = 'restrict_violation';
            end if;
        end loop;
        return new;
    end if;
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger archive_is_append_only before update or delete on archive
    for each row execute function refuse_archive_change_but_progress();
create trigger archive_is_never_emptied before truncate on archive
    for each statement execute function refuse_change();

-- The note of an archived posting goes only when the posting is back.
create function refuse_change_but_restoring() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and exists (select from posting where leaf_index = old.leaf_index) then
        return old;
    end if;
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger archived_posting_is_append_only before update or delete on archived_posting
    for each row execute function refuse_change_but_restoring();
create trigger archived_posting_is_never_emptied before truncate on archived_posting
    for each statement execute function refuse_change();

-- A posting and its entries may go where an archive that is being filled says that they are in its file.
create function is_being_archived(wanted bigint) returns boolean language sql stable as $$
    select exists (
        select
        from archived_posting
        join archive using (archive_id)
        where archived_posting.leaf_index = wanted
            and wanted >= archive.first_leaf_index
            and wanted < archive.end_leaf_index
            and archive.moved_at is null
            and archive.recalled_at is null
    )
$$;

create function refuse_change_but_archiving() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and is_being_archived(old.leaf_index) then
        return old;
    end if;
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create or replace function refuse_change_but_erasure() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE'
        and to_jsonb(new) - tg_argv = to_jsonb(old) - tg_argv
        and not exists (select from unnest(tg_argv) as word where to_jsonb(new) ->> word is not null)
        and exists (select from erased_leaf where leaf_index = old.leaf_index)
    then
        return new;
    end if;
    if tg_op = 'DELETE' and is_being_archived(old.leaf_index) then
        return old;
    end if;
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

drop trigger entry_is_append_only on entry;
create trigger entry_is_append_only before update or delete on entry
    for each row execute function refuse_change_but_archiving();

-- A report still says when an idle member's account last changed.
create or replace view reporting."PlayerLoyaltyBalance" with (security_barrier) as
select account.member_id as "PlayerId",
    readable.id as "OperatorId",
    (balance.available / 10.0 ^ readable.scale)::numeric(18, 2) as "PointsBalance",
    coalesce(
        (select to_timestamp(recorded_at / 1000000.0) from posting where leaf_index = balance.last_leaf_index),
        (select to_timestamp(recorded_at / 1000000.0) from archived_posting where leaf_index = balance.last_leaf_index),
        member.created_at
    ) as "LastUpdated",
    balance.sequence as "Version"
from reporting.readable
join account using (program_id)
join balance using (account_id)
join member using (program_id, member_id)
where account.kind = 1
    and account.unit = 1;

alter function grant_to_app() rename to grant_before_archives_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_archives_to_app();
    grant select on archive, archived_posting to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
