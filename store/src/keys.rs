//! API keys: issued, listed, withdrawn. A key is shown once, when it is made.

use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

use crate::api_key::{self, Environment};
use crate::credentials::{Credential, CredentialKind, Role, hash};
use crate::error::StoreError;
use crate::keyring::Keyring;
use crate::partners::{self, PartnerStage};

/// As many keys of one owner are good at once: the one in use, and the one that takes its place.
const ACTIVE_MAX: i64 = 2;

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Whose it is, and what it may do.
    pub credential: Credential,
    /// In which role.
    pub role: Role,
    /// From where it is taken; from anywhere if there is none.
    pub addresses: Vec<String>,
    /// After how many seconds it ends; never if there is none.
    pub lifetime_s: Option<i64>,
}

/// A key as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct KeyFacts {
    /// What it is called: its first letters.
    pub key_id: String,
    /// Whose it is.
    pub owner: String,
    /// In which role, as its number.
    pub role: i16,
    /// The partner that it speaks for.
    pub partner_id: Option<String>,
    /// Whether it may speak for any member.
    pub delegated: bool,
    /// What it may do.
    pub scopes: Vec<String>,
    /// From where it is taken.
    pub addresses: Vec<String>,
    /// When it was made, in microseconds; all times here are.
    pub created_us: i64,
    /// When it ends.
    pub expires_us: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_us: Option<i64>,
    /// When it was withdrawn.
    pub revoked_us: Option<i64>,
    /// Whether it is good now.
    pub is_active: bool,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyRefusal {
    /// Two of this owner are good already.
    #[error("{0} has two keys already: withdraw one first")]
    TwoAreActive(String),
    /// The program has no such partner.
    #[error("the program has no partner {0}")]
    PartnerUnknown(String),
    /// The partner is being onboarded, and this is no sandbox.
    #[error("the partner {0} is not live yet: it has keys in the sandbox")]
    PartnerNotLive(String),
    /// The owner's other key speaks for somebody else.
    #[error("{0} is the owner of a key in another role, or for another partner")]
    OwnerIsAnother(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for KeyRefusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Makes a key for a program, and gives it: it is not to be had again.
pub async fn issue_key(
    conn: &mut PgConnection,
    keyring: &Keyring,
    new: &NewKey,
) -> Result<String, KeyRefusal> {
    let NewKey { credential, role, addresses, lifetime_s } = new;
    let mut transaction = conn.begin().await?;
    // One at a time for a program, so that two are not made where one was allowed.
    let is_sandbox: bool =
        sqlx::query_scalar("select is_sandbox from program where program_id = $1 for no key update")
            .bind(credential.program_id)
            .fetch_one(&mut *transaction)
            .await?;
    let (active, same): (i64, bool) = sqlx::query_as(
        "select count(*), coalesce(bool_and(role = $3 and partner_id is not distinct from $4 and delegated = $5), true)
         from credential
         where program_id = $1
             and owner = $2
             and key_id is not null
             and revoked_at is null
             and (expires_at is null or clock_timestamp() < expires_at)",
    )
    .bind(credential.program_id)
    .bind(&credential.owner)
    .bind(*role as i16)
    .bind(&credential.partner_id)
    .bind(credential.delegated)
    .fetch_one(&mut *transaction)
    .await?;
    if !same {
        return Err(KeyRefusal::OwnerIsAnother(credential.owner.clone()));
    }
    if ACTIVE_MAX <= active {
        return Err(KeyRefusal::TwoAreActive(credential.owner.clone()));
    }
    if let (Some(partner), false) = (&credential.partner_id, is_sandbox) {
        let found = partners::partner(&mut transaction, credential.program_id, partner).await?;
        if found.is_some_and(|it| it.stage != PartnerStage::Live as i16) {
            return Err(KeyRefusal::PartnerNotLive(partner.clone()));
        }
    }
    let environment = if is_sandbox { Environment::Test } else { Environment::Live };
    let key = environment.generate();
    let made = sqlx::query(
        "insert into credential (program_id, owner, kind, secret_hash, scopes, partner_id, delegated, role, key_id,
             addresses, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() + $11 * interval '1 second')",
    )
    .bind(credential.program_id)
    .bind(&credential.owner)
    .bind(CredentialKind::ApiKey as i16)
    .bind(hash(&keyring.pepper(), &key))
    .bind(&credential.scopes)
    .bind(&credential.partner_id)
    .bind(credential.delegated)
    .bind(*role as i16)
    .bind(api_key::name(&key))
    .bind(addresses)
    .bind(lifetime_s.map(|it| it as f64))
    .execute(&mut *transaction)
    .await
    .map_err(StoreError::from);
    match made {
        Ok(_) => {}
        Err(error) if error.constraint() == Some("credential_partner_fk") => {
            return Err(KeyRefusal::PartnerUnknown(credential.partner_id.clone().unwrap_or_default()));
        }
        Err(error) => return Err(error.into()),
    }
    transaction.commit().await?;
    Ok(key)
}

/// The columns of [`KeyFacts`], of a program's keys.
const FACTS: &str = "select key_id, owner, role, partner_id, delegated, scopes, addresses,
         (extract(epoch from created_at) * 1000000)::bigint as created_us,
         (extract(epoch from expires_at) * 1000000)::bigint as expires_us,
         (extract(epoch from last_used_at) * 1000000)::bigint as last_used_us,
         (extract(epoch from revoked_at) * 1000000)::bigint as revoked_us,
         revoked_at is null and (expires_at is null or clock_timestamp() < expires_at) as is_active
     from credential
     where program_id = $1
         and key_id is not null";

/// The program's keys, the newest first: so many of them, after this one where one is named.
pub async fn keys(
    conn: &mut PgConnection,
    program_id: i16,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<KeyFacts>, StoreError> {
    let keys = sqlx::query_as(AssertSqlSafe(format!(
        "{FACTS}
             and ($2::text is null or credential_id < (
                 select last.credential_id from credential as last where last.program_id = $1 and last.key_id = $2
             ))
         order by credential_id desc
         limit $3"
    )))
    .bind(program_id)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(keys)
}

/// A key of the program, by what it is called.
pub async fn key_facts(
    conn: &mut PgConnection,
    program_id: i16,
    key_id: &str,
) -> Result<Option<KeyFacts>, StoreError> {
    let key = sqlx::query_as(AssertSqlSafe(format!("{FACTS} and key_id = $2")))
        .bind(program_id)
        .bind(key_id)
        .fetch_optional(conn)
        .await?;
    Ok(key)
}

/// Withdraws a key of a program, for ever; answers whether there is such a key. Safe to do twice.
pub async fn revoke_key(conn: &mut PgConnection, program_id: i16, key_id: &str) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update credential
         set revoked_at = coalesce(revoked_at, clock_timestamp())
         where program_id = $1
             and key_id = $2",
    )
    .bind(program_id)
    .bind(key_id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
