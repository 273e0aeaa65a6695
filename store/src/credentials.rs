//! Credentials: who may ask. Only hashes of secrets are kept.

use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};

use crate::error::StoreError;

/// How a credential is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// In `X-API-Key`.
    ApiKey = 1,
    /// In `Authorization: Bearer`.
    BearerToken = 2,
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

// The secrets are ours and hold 256 random bits, so one plain hash is enough: there is nothing to guess.
fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// Lets whoever shows this secret in as this credential. Safe to do twice.
pub async fn ensure_credential(
    conn: &mut PgConnection,
    kind: CredentialKind,
    secret: &str,
    credential: &Credential,
) -> Result<(), StoreError> {
    if secret.is_empty() {
        return Err(StoreError::Missing("a credential has no secret: nobody would be kept out".to_owned()));
    }
    sqlx::query(
        "insert into credential (program_id, owner, kind, secret_hash, scopes, partner_id, delegated)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict do nothing",
    )
    .bind(credential.program_id)
    .bind(&credential.owner)
    .bind(kind as i16)
    .bind(hash(secret))
    .bind(&credential.scopes)
    .bind(&credential.partner_id)
    .bind(credential.delegated)
    .execute(conn)
    .await?;
    Ok(())
}

/// The credential that this secret belongs to.
pub async fn credential_of(
    conn: &mut PgConnection,
    kind: CredentialKind,
    secret: &str,
) -> Result<Option<Credential>, StoreError> {
    let credential = sqlx::query_as(
        "select program_id, owner, scopes, partner_id, delegated
         from credential
         where secret_hash = $1
             and kind = $2",
    )
    .bind(hash(secret))
    .bind(kind as i16)
    .fetch_optional(conn)
    .await?;
    Ok(credential)
}
