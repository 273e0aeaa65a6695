//! Funds, as they were made.

use sqlx::PgConnection;

use crate::error::StoreError;
use crate::programs::FundSpec;

/// The fund of this name.
pub async fn fund_named(
    conn: &mut PgConnection,
    program_id: i16,
    name: &str,
) -> Result<Option<FundSpec>, StoreError> {
    let fund = sqlx::query_as(
        "select name, funder, merchant, budgeted from fund where program_id = $1 and name = $2",
    );
    Ok(fund.bind(program_id).bind(name).fetch_optional(conn).await?)
}
