-- Erasing a member: the secrets of their accounts, the words of their postings, their events and their names go; amounts and
-- commitments stay, under the random id of an account that belongs to nobody any more.

-- Names that were erased, as keyed hashes that name no account: an event that comes again enrols nobody.
create table tombstone (
    program_id smallint    not null,
    name       bytea       not null,
    erased_at  timestamptz not null default clock_timestamp(),
    constraint tombstone_pk primary key (program_id, name),
    constraint tombstone_program_fk foreign key (program_id) references program,
    constraint tombstone_name_is_hashed check (length(name) = 32)
);

-- The accounts that were erased, each with the leaf of the act that says so.
create table erasure (
    account_id bigint      not null,
    leaf_index bigint      not null,
    erased_at  timestamptz not null default clock_timestamp(),
    constraint erasure_pk primary key (account_id),
    constraint erasure_account_fk foreign key (account_id) references account
);

-- The leaves whose words and events went with an account.
create table erased_leaf (
    leaf_index bigint not null,
    account_id bigint not null,
    constraint erased_leaf_pk primary key (leaf_index, account_id),
    constraint erased_leaf_erasure_fk foreign key (account_id) references erasure
);

create trigger erasure_is_append_only before update or delete or truncate on erasure
    for each statement execute function refuse_change();
create trigger erased_leaf_is_append_only before update or delete or truncate on erased_leaf
    for each statement execute function refuse_change();

-- A posting's words may go, once its leaf is marked: all of them, and nothing else of it changes.
create function refuse_change_but_erasure() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE'
        and to_jsonb(new) - tg_argv = to_jsonb(old) - tg_argv
        and not exists (select from unnest(tg_argv) as word where to_jsonb(new) ->> word is not null)
        and exists (select from erased_leaf where leaf_index = old.leaf_index)
    then
        return new;
    end if;
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

drop trigger posting_is_append_only on posting;
create trigger posting_is_append_only before update or delete on posting
    for each row execute function refuse_change_but_erasure('merchant_reference', 'actor', 'reason', 'description');

-- Of an outcome, what was asked: its fingerprint becomes zeros, which says that it was erased, and its key may be replaced.
create function refuse_outcome_change_but_erasure() returns trigger language plpgsql as $$
begin
    if to_jsonb(new) - array['fingerprint', 'key'] = to_jsonb(old) - array['fingerprint', 'key']
        and new.fingerprint = decode(repeat('00', 32), 'hex')
        and exists (
            select from erased_leaf where leaf_index = old.leaf_index
            union all
            select from erasure where leaf_index = old.leaf_index
        )
    then
        return new;
    end if;
    raise exception 'outcome is append-only: update is refused' using errcode = 'restrict_violation';
end
$$;

drop trigger outcome_never_changes on outcome;
create trigger outcome_never_changes before update on outcome
    for each row execute function refuse_outcome_change_but_erasure();

-- A reference goes with its member, after whom it is asked.
create function refuse_reference_change_but_erasure() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE'
        and not exists (select from member where program_id = old.program_id and member_id = old.member_id)
    then
        return old;
    end if;
    raise exception 'credit_reference is append-only: % is refused', lower(tg_op) using errcode = 'restrict_violation';
end
$$;

drop trigger credit_reference_is_append_only on credit_reference;
create trigger credit_reference_is_append_only before update or delete on credit_reference
    for each row execute function refuse_reference_change_but_erasure();
create trigger credit_reference_is_never_emptied before truncate on credit_reference
    for each statement execute function refuse_change();

alter function grant_to_app() rename to grant_before_erasure_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_before_erasure_to_app();
    -- An operator may take a person in again.
    grant select, delete on tombstone to daftari_app;
    grant select on erasure, erased_leaf to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
