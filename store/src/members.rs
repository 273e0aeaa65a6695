//! Members whom an operator enrols. Whom an event or an import enrols, the committer does.

use std::collections::BTreeSet;

use ledger::MemberRef;
use sqlx::{Connection, PgConnection};

use crate::accounts;
use crate::directory::MemberKey;
use crate::error::StoreError;
use crate::keyring::Keyring;

/// Those of these members who have no account in the unit.
pub async fn unknown_members(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    unit: u16,
    members: &[MemberRef],
) -> Result<BTreeSet<MemberRef>, StoreError> {
    let wanted: Vec<MemberKey> = members.iter().map(|it| (program_id, unit, it.clone())).collect();
    let known = accounts::member_accounts(conn, keyring, &wanted).await?;
    Ok(wanted.into_iter().filter(|it| !known.contains_key(it)).map(|it| it.2).collect())
}

/// Enrols those of these members who are not known yet, and opens an account in the unit for those who have none. Gives
/// how many these were.
pub async fn enrol_members(
    conn: &mut PgConnection,
    keyring: &Keyring,
    program_id: i16,
    unit: u16,
    members: &[MemberRef],
) -> Result<usize, StoreError> {
    let mut transaction = conn.begin().await?;
    let counts: bool = sqlx::query_scalar(
        "select exists (select from account where program_id = $1 and unit = $2 and kind = 2)",
    )
    .bind(program_id)
    .bind(unit as i16)
    .fetch_one(&mut *transaction)
    .await?;
    if !counts {
        return Err(StoreError::Missing(format!("the program has no unit {unit}: make it first")));
    }
    let strangers = unknown_members(&mut transaction, keyring, program_id, unit, members).await?;
    let strangers: BTreeSet<MemberKey> = strangers.into_iter().map(|it| (program_id, unit, it)).collect();
    if !strangers.is_empty() {
        accounts::enrol(&mut transaction, keyring, &strangers).await?;
    }
    transaction.commit().await?;
    Ok(strangers.len())
}
