-- A credential that an operator issues is called by a name that is not its secret, has a role, ends, can be withdrawn, and may
-- be bound to addresses. Two of one owner may be good at once, so that a new one can take the place of the old.
alter table credential
    -- 1 member, or an app that speaks for members, 2 partner, 3 viewer, 4 editor, 5 approver, 6 auditor
    add column role         smallint,
    add column key_id       text,
    -- From where it is taken, as in 192.0.2.0/24; from anywhere if there is none.
    add column addresses    text[] not null default '{}',
    add column expires_at   timestamptz,
    add column revoked_at   timestamptz,
    -- To the minute: it is not written for every request.
    add column last_used_at timestamptz;

update credential
set role = case when partner_id is null then 1 else 2 end;

alter table credential
    alter column role set not null,
    add constraint credential_role_known check (role between 1 and 6),
    add constraint credential_partner_speaks_for_one check ((role = 2) = (partner_id is not null)),
    add constraint credential_key_id_once unique (key_id);

-- How a partner shows who it is: 1 by a token or a key, 2 by a token, 3 by a key, 4 by both at once.
alter table partner
    add column auth_mode smallint not null default 1,
    add constraint partner_auth_mode_known check (auth_mode between 1 and 4);

-- Keys of the sandbox are taken by a sandbox, and by nothing else.
alter table program add column is_sandbox boolean not null default false;

-- A credential is withdrawn and its use noted; what it may do never changes.
alter function grant_to_app() rename to grant_all_but_keys_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_all_but_keys_to_app();
    grant update (revoked_at, last_used_at) on credential to daftari_app;
    grant update (auth_mode) on partner to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
