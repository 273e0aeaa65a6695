//! Credentials: who may ask. Only keyed hashes of secrets are kept.

use sqlx::{FromRow, PgConnection, Row};

use crate::error::StoreError;
use crate::keyring::{Keyring, Pepper};

/// How a credential is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// In `X-API-Key`.
    ApiKey = 1,
    /// In `Authorization: Bearer`.
    BearerToken = 2,
}

/// Who asks, as the books see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A member, or an app that speaks for members.
    Member = 1,
    /// A partner.
    Partner = 2,
    /// An operator who looks.
    Viewer = 3,
    /// An operator who changes.
    Editor = 4,
    /// An operator who approves what another has changed.
    Approver = 5,
    /// Somebody who checks and changes nothing.
    Auditor = 6,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Member, Self::Partner, Self::Viewer, Self::Editor, Self::Approver, Self::Auditor];

    /// The role as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Partner => "partner",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }

    /// The role that is written so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

/// How a partner shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// By a token or a key.
    Either = 1,
    /// By a token.
    Token = 2,
    /// By a key.
    Key = 3,
    /// By both at once.
    Both = 4,
}

impl AuthMode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Either, Self::Token, Self::Key, Self::Both];

    /// The mode as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Either => "either",
            Self::Token => "token",
            Self::Key => "key",
            Self::Both => "both",
        }
    }
}

/// Who asks, and what they may.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Credential {
    /// The program that it belongs to.
    pub program_id: i16,
    /// Whose it is.
    pub owner: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The partner that it speaks for.
    pub partner_id: Option<String>,
    /// Whether it may speak for any member of the program, naming them.
    pub delegated: bool,
}

/// A credential that is good now, with what was settled for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCredential {
    /// Its number: what tokens that were issued for it name.
    pub credential_id: i64,
    /// Who asks, and what they may.
    pub credential: Credential,
    /// In which role.
    pub role: Role,
    /// From where it is taken; from anywhere if there is none.
    pub addresses: Vec<String>,
    /// How its partner shows who it is.
    pub auth_mode: AuthMode,
    /// Whether its partner uses each reference once.
    pub references_once: bool,
    /// How many requests an hour its partner has; none where it speaks for none.
    pub partner_hourly: Option<i64>,
    /// How many it has itself; none where it shares its partner's only.
    pub own_hourly: Option<i64>,
    /// How many each member of the program has.
    pub member_hourly: i64,
    /// When this was read, by the database's clock.
    pub now_us: i64,
}

impl FromRow<'_, sqlx::postgres::PgRow> for KnownCredential {
    fn from_row(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
        let unknown = |what: &str| sqlx::Error::Decode(format!("a credential has no such {what}").into());
        let role: i16 = row.try_get("role")?;
        let auth_mode: i16 = row.try_get("auth_mode")?;
        Ok(Self {
            credential_id: row.try_get("credential_id")?,
            credential: Credential::from_row(row)?,
            role: Role::ALL.into_iter().find(|it| *it as i16 == role).ok_or_else(|| unknown("role"))?,
            addresses: row.try_get("addresses")?,
            auth_mode: AuthMode::ALL
                .into_iter()
                .find(|it| *it as i16 == auth_mode)
                .ok_or_else(|| unknown("mode"))?,
            references_once: row.try_get("references_once")?,
            partner_hourly: row.try_get("partner_hourly")?,
            own_hourly: row.try_get("own_hourly")?,
            member_hourly: row.try_get("member_hourly")?,
            now_us: row.try_get("now_us")?,
        })
    }
}

pub(crate) fn hash(pepper: &Pepper, secret: &str) -> Vec<u8> {
    pepper.hash("credential", secret.as_bytes()).to_vec()
}

/// Lets whoever shows this secret in as this credential. Safe to do twice.
pub async fn ensure_credential(
    conn: &mut PgConnection,
    keyring: &Keyring,
    kind: CredentialKind,
    secret: &str,
    credential: &Credential,
) -> Result<(), StoreError> {
    if secret.is_empty() {
        return Err(StoreError::Missing("a credential has no secret: nobody would be kept out".to_owned()));
    }
    let role = if credential.partner_id.is_some() { Role::Partner } else { Role::Member };
    sqlx::query(
        "insert into credential (program_id, owner, kind, secret_hash, scopes, partner_id, delegated, role)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict do nothing",
    )
    .bind(credential.program_id)
    .bind(&credential.owner)
    .bind(kind as i16)
    .bind(hash(&keyring.pepper(), secret))
    .bind(&credential.scopes)
    .bind(&credential.partner_id)
    .bind(credential.delegated)
    .bind(role as i16)
    .execute(conn)
    .await?;
    Ok(())
}

/// The columns of a [`KnownCredential`], of those that are good now.
pub(crate) const KNOWN: &str =
    "select credential_id, program_id, owner, scopes, partner_id, delegated, role, addresses,
        coalesce(auth_mode, 1::smallint) as auth_mode, coalesce(references_once, false) as references_once,
        case when partner_id is not null then coalesce(partner.requests_per_hour, partner_requests_per_hour) end as partner_hourly,
        case when delegated and partner_id is null then coalesce(credential.requests_per_hour, partner_requests_per_hour)
            else credential.requests_per_hour end as own_hourly,
        member_requests_per_hour as member_hourly,
        (extract(epoch from clock_timestamp()) * 1000000)::bigint as now_us
     from credential
     join program using (program_id)
     left join partner using (program_id, partner_id)
     where revoked_at is null
         and (expires_at is null or clock_timestamp() < expires_at)";

/// The credential that this secret belongs to.
pub async fn credential_of(
    conn: &mut PgConnection,
    pepper: &Pepper,
    kind: CredentialKind,
    secret: &str,
) -> Result<Option<KnownCredential>, StoreError> {
    // By the whole hash: what is known and what is not takes the same walk down one index.
    let known = sqlx::query_as(sqlx::AssertSqlSafe(format!("{KNOWN} and secret_hash = $1 and kind = $2")))
        .bind(hash(pepper, secret))
        .bind(kind as i16)
        .fetch_optional(conn)
        .await?;
    Ok(known)
}

/// Notes that a credential is being used, at most once a minute.
pub async fn note_use(conn: &mut PgConnection, credential_id: i64) -> Result<(), StoreError> {
    sqlx::query(
        "update credential
         set last_used_at = clock_timestamp()
         where credential_id = $1
             and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')",
    )
    .bind(credential_id)
    .execute(conn)
    .await?;
    Ok(())
}
