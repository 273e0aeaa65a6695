//! Lots and reservations are members'. The pass over accounts reads those of the members whom it meets, and would see none of a
//! house's, or of an account that has no balance.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::ensure;
use crate::error::StoreError;
use crate::walk::PAGE;

/// How many rows are looked at at a time.
#[cfg(not(test))]
const ROWS: i64 = 10_000;
#[cfg(test)]
const ROWS: i64 = 4;

/// Looks at whose each of them is, and names the first account that has some and is no member's.
pub(super) async fn check(conn: &mut PgConnection) -> Result<(), StoreError> {
    for table in ["lot", "reservation"] {
        let mut done = i64::MIN;
        loop {
            let mut snapshot = conn.begin_with(PAGE).await?;
            let page = page(&mut snapshot, table, done).await;
            snapshot.rollback().await?;
            let (last, stray) = page?;
            let number = stray.unwrap_or_default();
            ensure(stray.is_none(), || format!("account {number}: it has a {table} and is no member's"))?;
            let Some(last) = last else { break };
            done = last;
        }
    }
    Ok(())
}

/// Of the rows after this account, as many as are looked at at a time: the last one's account, and the first that is no member's.
/// A row that is left out is of the last one's account, or comes with the next page.
async fn page(
    conn: &mut PgConnection,
    table: &str,
    after: i64,
) -> Result<(Option<i64>, Option<i64>), StoreError> {
    let statement = format!(
        "select max(account_id),
             min(account_id) filter (where balance.account_id is null or account.kind is distinct from 1)
         from (
             select distinct account_id
             from (
                 select account_id from {table} where account_id > $1 order by account_id limit $2
             ) as page
         ) as owner
         left join account using (account_id)
         left join balance using (account_id)"
    );
    let page = sqlx::query_as(AssertSqlSafe(statement)).bind(after).bind(ROWS).fetch_one(conn).await?;
    Ok(page)
}
