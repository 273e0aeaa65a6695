-- By what tokens are signed: wrapped seeds of Ed25519. A key is known before it signs and after it has signed its last, so
-- whoever verifies has time to learn of it, and what it signed is good to its own end.
create table token_key (
    token_key_id uuid        not null,
    program_id   smallint    not null,
    secret       bytea       not null,
    signs_from   timestamptz not null,
    ends_at      timestamptz,
    constraint token_key_pk primary key (token_key_id),
    constraint token_key_program_fk foreign key (program_id) references program
);

-- A member on a device: one refresh token is good at any time, the one of the current turn. Who shows an earlier one has
-- stolen it or was stolen from, and the session ends for both.
create table member_session (
    session_id    uuid        not null,
    program_id    smallint    not null,
    -- The app that vouched for the member.
    credential_id bigint      not null,
    member        text        not null,
    scopes        text[]      not null,
    turn          bigint      not null default 0,
    began_at      timestamptz not null default clock_timestamp(),
    expires_at    timestamptz not null,
    ended_at      timestamptz,
    constraint member_session_pk primary key (session_id),
    constraint member_session_credential_fk foreign key (credential_id) references credential
);
create index member_session_to_forget on member_session (expires_at);

-- Access tokens that were withdrawn before their end. After it they are no use anyway, and are forgotten.
create table revoked_token (
    token_id   uuid        not null,
    expires_at timestamptz not null,
    constraint revoked_token_pk primary key (token_id)
);
create index revoked_token_to_forget on revoked_token (expires_at);

alter function grant_to_app() rename to grant_all_but_tokens_to_app;

create function grant_to_app() returns void language plpgsql as $$
begin
    perform grant_all_but_tokens_to_app();
    grant select, insert on token_key, member_session, revoked_token to daftari_app;
    grant update (ends_at) on token_key to daftari_app;
    grant update (turn, ended_at, expires_at) on member_session to daftari_app;
    grant delete on member_session, revoked_token to daftari_app;
end
$$;

revoke execute on function grant_to_app() from public;
