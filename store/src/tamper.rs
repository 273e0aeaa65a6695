//! For tests: what somebody with the rights of the tables' owner could do.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::error::StoreError;

/// Runs statements as they are.
#[doc(hidden)]
pub async fn tamper(conn: &mut PgConnection, statements: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(conn).await?;
    Ok(())
}
