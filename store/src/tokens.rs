//! What tokens stand on: the keys that sign them, members' sessions, and what was withdrawn.

use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};
use uuid::Uuid;

use crate::credentials::{KNOWN, KnownCredential};
use crate::error::StoreError;
use crate::keyring::{Keyring, Pepper, Secret};

/// A key that signs tokens, or did, or soon will.
#[derive(Clone)]
pub struct TokenKey {
    /// Its name.
    pub id: Uuid,
    /// Its Ed25519 seed.
    pub seed: Secret,
    /// Whether its time to sign has come.
    pub signs: bool,
}

#[derive(FromRow)]
struct TokenKeyRow {
    token_key_id: Uuid,
    secret: Vec<u8>,
    signs: bool,
}

/// The keys by which a program's tokens are verified, the newest first; the first that `signs` signs. Makes one where there
/// is none.
pub async fn token_keys(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
) -> Result<Vec<TokenKey>, StoreError> {
    let known = read_token_keys(conn, keyring, program_id).await?;
    if known.iter().any(|it| it.signs) {
        return Ok(known);
    }
    let mut transaction = conn.begin().await?;
    lock(&mut transaction, program_id).await?;
    // Another may have made it meanwhile.
    if !read_token_keys(&mut transaction, keyring, program_id).await?.iter().any(|it| it.signs) {
        insert_token_key(&mut transaction, keyring, program_id, 0).await?;
    }
    transaction.commit().await?;
    read_token_keys(conn, keyring, program_id).await
}

/// Makes a new key that signs after `notice_s` seconds; those before it are known for `overlap_s` seconds longer,
/// or, where a key has leaked and that is nothing, not a moment.
pub async fn rotate_token_key(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    notice_s: u32,
    overlap_s: u32,
) -> Result<Uuid, StoreError> {
    let mut transaction = conn.begin().await?;
    lock(&mut transaction, program_id).await?;
    sqlx::query(
        "update token_key
         set ends_at = least(ends_at, clock_timestamp() + ($2 + $3) * interval '1 second')
         where program_id = $1",
    )
    .bind(program_id)
    .bind(f64::from(notice_s))
    .bind(f64::from(overlap_s))
    .execute(&mut *transaction)
    .await?;
    let id = insert_token_key(&mut transaction, keyring, program_id, notice_s).await?;
    transaction.commit().await?;
    Ok(id)
}

async fn insert_token_key(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    notice_s: u32,
) -> Result<Uuid, StoreError> {
    let id = Uuid::new_v4();
    sqlx::query(
        "insert into token_key (token_key_id, program_id, secret, signs_from)
         values ($1, $2, $3, clock_timestamp() + $4 * interval '1 second')",
    )
    .bind(id)
    .bind(program_id)
    .bind(keyring.generate(id))
    .bind(f64::from(notice_s))
    .execute(conn)
    .await?;
    Ok(id)
}

async fn read_token_keys(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
) -> Result<Vec<TokenKey>, StoreError> {
    let rows: Vec<TokenKeyRow> = sqlx::query_as(
        "select token_key_id, secret, signs_from <= clock_timestamp() as signs
         from token_key
         where program_id = $1
             and (ends_at is null or clock_timestamp() < ends_at)
         order by signs_from desc",
    )
    .bind(program_id)
    .fetch_all(conn)
    .await?;
    let open = |it: TokenKeyRow| {
        let seed = keyring.open(it.token_key_id, &it.secret)?;
        Ok(TokenKey { id: it.token_key_id, seed, signs: it.signs })
    };
    rows.into_iter().map(open).collect()
}

async fn lock(conn: &mut PgConnection, program_id: i16) -> Result<(), StoreError> {
    let lock = sqlx::query("select from program where program_id = $1 for no key update");
    lock.bind(program_id).execute(conn).await?;
    Ok(())
}

/// The credential for which a token was issued, if it and the token are good still.
pub async fn credential_of_token(
    conn: &mut PgConnection,
    credential_id: i64,
    token_id: Uuid,
    session_id: Option<Uuid>,
) -> Result<Option<KnownCredential>, StoreError> {
    let statement = format!(
        "{KNOWN}
             and credential_id = $1
             and not exists (select from revoked_token where token_id = $2)
             and ($3 is null or exists (select from member_session where session_id = $3 and ended_at is null))"
    );
    let known = sqlx::query_as(AssertSqlSafe(statement))
        .bind(credential_id)
        .bind(token_id)
        .bind(session_id)
        .fetch_optional(conn)
        .await?;
    Ok(known)
}

/// Forgets what was withdrawn and is over. By `now()`: no index serves what is compared with `clock_timestamp()`.
pub(crate) const FORGET_REVOKED: &str =
    "delete from revoked_token where expires_at < now() - interval '1 hour'";

/// Withdraws an access token that would end by itself at this time.
pub async fn revoke_token(
    conn: &mut PgConnection,
    token_id: Uuid,
    expires_us: i64,
) -> Result<(), StoreError> {
    sqlx::query(FORGET_REVOKED).execute(&mut *conn).await?;
    sqlx::query(
        "insert into revoked_token (token_id, expires_at)
         values ($1, to_timestamp($2 / 1000000.0))
         on conflict do nothing",
    )
    .bind(token_id)
    .bind(expires_us)
    .execute(conn)
    .await?;
    Ok(())
}

/// A member's session.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct MemberSession {
    /// Its name.
    pub session_id: Uuid,
    /// The credential of the app that vouched for the member.
    pub credential_id: i64,
    /// The member, by their id or external id.
    pub member: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Which of its refresh tokens is good: each is one more than the one before.
    pub turn: i64,
}

/// Forgets some sessions that are over, so that whoever begins one does not wait for all of them, nor for anyone who forgets them too.
/// By `now()`: no index serves what is compared with `clock_timestamp()`.
pub(crate) const FORGET_SESSIONS: &str = "delete from member_session
     where ctid = any(array(
         select ctid
         from member_session
         where expires_at < now() - interval '1 day'
         order by expires_at
         limit 100
         for update skip locked
     ))";

/// Begins a session of a member for whom this credential vouches.
pub async fn begin_session(
    conn: &mut PgConnection,
    program_id: i16,
    credential_id: i64,
    member: &str,
    scopes: &[String],
    lifetime_s: u32,
) -> Result<MemberSession, StoreError> {
    sqlx::query(FORGET_SESSIONS).execute(&mut *conn).await?;
    let session = sqlx::query_as(
        "insert into member_session (session_id, program_id, credential_id, member, scopes, expires_at)
         values ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 second')
         returning session_id, credential_id, member, scopes, turn",
    )
    .bind(Uuid::new_v4())
    .bind(program_id)
    .bind(credential_id)
    .bind(member)
    .bind(scopes)
    .bind(f64::from(lifetime_s))
    .fetch_one(conn)
    .await?;
    Ok(session)
}

/// Uses a session's refresh token of this turn: the session with its next turn. Where the turn has passed, the token is in
/// two hands, and the session ends.
pub async fn turn_session(
    conn: &mut PgConnection,
    program_id: i16,
    session_id: Uuid,
    turn: i64,
    lifetime_s: u32,
) -> Result<Option<MemberSession>, StoreError> {
    // One statement: of two who show the same token at the same moment, the second finds the turn passed.
    let turned: Option<Turned> = sqlx::query_as(
        "update member_session
         set turn = turn + (turn = $3)::int,
             ended_at = case when turn = $3 then null else clock_timestamp() end,
             expires_at = case when turn = $3 then clock_timestamp() + $4 * interval '1 second' else expires_at end
         where session_id = $1
             and program_id = $2
             and ended_at is null
             and clock_timestamp() < expires_at
         returning session_id, credential_id, member, scopes, turn, ended_at is null as is_good",
    )
    .bind(session_id)
    .bind(program_id)
    .bind(turn)
    .bind(f64::from(lifetime_s))
    .fetch_optional(&mut *conn)
    .await?;
    Ok(turned.filter(|it| it.is_good).map(|it| it.session))
}

#[derive(FromRow)]
struct Turned {
    #[sqlx(flatten)]
    session: MemberSession,
    is_good: bool,
}

/// Ends a session: its refresh token and all access tokens of it.
pub async fn end_session(
    conn: &mut PgConnection,
    program_id: i16,
    session_id: Uuid,
) -> Result<(), StoreError> {
    sqlx::query(
        "update member_session
         set ended_at = clock_timestamp()
         where session_id = $1
             and program_id = $2
             and ended_at is null",
    )
    .bind(session_id)
    .bind(program_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// What proves that a refresh token of this session and turn came from us.
pub fn refresh_proof(pepper: &Pepper, session_id: Uuid, turn: i64) -> [u8; 32] {
    pepper.hash("refresh", &[session_id.as_bytes(), &turn.to_be_bytes()[..]].concat())
}
