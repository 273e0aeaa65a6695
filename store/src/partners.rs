//! Partners as operators see them: what was settled for each, how far it has come, and what it lacks before it goes live.

use sqlx::{FromRow, PgConnection};

use crate::error::StoreError;

/// How far a partner has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartnerStage {
    /// It is being onboarded: a live program gives it no keys.
    Onboarding = 1,
    /// It takes part.
    Live = 2,
}

/// What was settled for a partner.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PartnerFacts {
    /// Its name.
    pub partner_id: String,
    /// How far it has come, as its number.
    pub stage: i16,
    /// How it shows who it is, as its number.
    pub auth_mode: i16,
    /// How many requests it has an hour; the program's usual number where there is none.
    pub requests_per_hour: Option<i64>,
    /// Whether each of its references names one transaction of a kind.
    pub references_once: bool,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
}

/// What a partner has done so far, of what it must have done before it goes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Readiness {
    /// Whether it has a key that is good.
    pub has_key: bool,
    /// Whether an endpoint of it has answered a challenge.
    pub has_webhook: bool,
    /// Whether it has redeemed.
    pub has_redeemed: bool,
    /// Whether it has undone a redemption, or voided a hold.
    pub has_undone: bool,
}

const FACTS: &str = "
select partner_id, stage, auth_mode, requests_per_hour, references_once,
    (extract(epoch from created_at) * 1000000)::bigint as created_us
from partner
";

/// The program's partners after this one, by name, at most so many.
pub async fn partners(
    conn: &mut PgConnection,
    program_id: i16,
    after: &str,
    limit: u32,
) -> Result<Vec<PartnerFacts>, StoreError> {
    let statement = format!("{FACTS} where program_id = $1 and partner_id > $2 order by partner_id limit $3");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(program_id)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?)
}

/// A partner; until the caller's transaction ends, nobody else changes it.
pub async fn partner(
    conn: &mut PgConnection,
    program_id: i16,
    partner_id: &str,
) -> Result<Option<PartnerFacts>, StoreError> {
    let statement = format!("{FACTS} where program_id = $1 and partner_id = $2 for no key update");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(program_id)
        .bind(partner_id)
        .fetch_optional(conn)
        .await?)
}

/// Settles what is said here for a partner that is there.
pub async fn set_partner(
    conn: &mut PgConnection,
    program_id: i16,
    partner: &PartnerFacts,
) -> Result<(), StoreError> {
    sqlx::query(
        "update partner
         set stage = $3, auth_mode = $4, requests_per_hour = $5, references_once = $6
         where program_id = $1
             and partner_id = $2",
    )
    .bind(program_id)
    .bind(&partner.partner_id)
    .bind(partner.stage)
    .bind(partner.auth_mode)
    .bind(partner.requests_per_hour)
    .bind(partner.references_once)
    .execute(conn)
    .await?;
    Ok(())
}

/// What a partner has done. Its account belongs to no member, and is found by its keys where that is said; else all members'
/// accounts are gone through.
pub(crate) const READINESS: &str = "select
         exists (
             select from credential
             where program_id = $1 and partner_id = $2 and key_id is not null and revoked_at is null
                 and (expires_at is null or clock_timestamp() < expires_at)
         ) as has_key,
         exists (
             select from webhook_endpoint where program_id = $1 and partner_id = $2 and status = 2
         ) as has_webhook,
         exists (
             select from account
             join entry using (account_id)
             where program_id = $1 and member_id is null and partner_id = $2 and available_change > 0
         ) or exists (
             select from account
             join archived_partner using (account_id)
             where program_id = $1 and member_id is null and partner_id = $2 and has_redeemed
         ) as has_redeemed,
         exists (
             select from account
             join entry using (account_id)
             where program_id = $1 and member_id is null and partner_id = $2 and available_change < 0
         ) or exists (
             select from account
             join archived_partner using (account_id)
             where program_id = $1 and member_id is null and partner_id = $2 and has_undone
         ) as has_undone";

/// What a partner has done so far: in the program's sandbox where it has one, else in the program itself.
pub async fn readiness(
    conn: &mut PgConnection,
    program_id: i16,
    partner_id: &str,
) -> Result<Readiness, StoreError> {
    let sandbox: Option<i16> = sqlx::query_scalar("select program_id from program where sandbox_of = $1")
        .bind(program_id)
        .fetch_optional(&mut *conn)
        .await?;
    let done = sqlx::query_as(READINESS)
        .bind(sandbox.unwrap_or(program_id))
        .bind(partner_id)
        .fetch_one(conn)
        .await?;
    Ok(done)
}
