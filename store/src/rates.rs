//! What a point of a program is worth, from which instant on.

use ledger::Rate;
use sqlx::PgConnection;

use crate::error::StoreError;
use crate::log_head;

/// The program's rates in the order in which they were settled, each with the instant from which it counts, in microseconds
/// since 1970. The first counts since there is a program.
pub async fn rates(conn: &mut PgConnection, program_id: i16) -> Result<Vec<(i64, Rate)>, StoreError> {
    let rows: Vec<(i64, String, String)> = sqlx::query_as(
        "select effective_at, point_value, currency
         from (
             select 0 as version, 0::bigint as effective_at, point_value, currency
             from program
             where program_id = $1
             union all
             select version, effective_at, point_value, currency
             from rate
             where program_id = $1
         ) as settled
         order by version",
    )
    .bind(program_id)
    .fetch_all(conn)
    .await?;
    let damaged = || StoreError::Damaged("a rate that is none".to_owned());
    let read = |(from, value, currency): (i64, String, String)| {
        Ok((from, Rate::new(&value, &currency).ok_or_else(damaged)?))
    };
    rows.into_iter().map(read).collect()
}

/// Settles what a point is worth from an instant on, or from now. The next decision goes by it. Answers since when it counts;
/// `None` where that has passed, and nothing is settled: what was posted keeps the rate that it names.
///
/// The caller's transaction holds the program's lock.
pub async fn add_rate(
    conn: &mut PgConnection,
    program_id: i16,
    rate: &Rate,
    from_us: Option<i64>,
) -> Result<Option<i64>, StoreError> {
    // Under the log's lock: nothing is posted between this clock and the rate.
    log_head::raise_epoch(conn).await?;
    let first_us = log_head::recorded_us(conn).await? + 1;
    let from_us = from_us.unwrap_or(first_us);
    if from_us < first_us {
        return Ok(None);
    }
    sqlx::query(
        "insert into rate (program_id, version, point_value, currency, effective_at)
         select $1, coalesce(max(version), 0) + 1, $2, $3, $4
         from rate
         where program_id = $1",
    )
    .bind(program_id)
    .bind(rate.point_value())
    .bind(rate.currency())
    .bind(from_us)
    .execute(conn)
    .await?;
    Ok(Some(from_us))
}
