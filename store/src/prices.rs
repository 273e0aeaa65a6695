//! What blocks cost and what anchors were paid for: what a scheduler learns from, and what it is judged by.

use proof::AnchorPlace;
use sqlx::{FromRow, PgConnection};

use crate::error::StoreError;

/// For how long prices are kept: a report looks back over a year at most.
const KEPT_DAYS: i32 = 400;

/// A block's header, as far as it says what a block costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenHeader {
    /// The block's number.
    pub block: u64,
    /// Its time, in milliseconds since 1970.
    pub time_ms: u64,
    /// Its base fee.
    pub base_fee_wei: u128,
}

/// A transaction that was paid for, whether it took effect or was reverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidAnchor {
    /// When the oldest leaf that it covers was recorded, in milliseconds since 1970; none where no leaf is beyond its head.
    pub owed_ms: Option<u64>,
    /// When it was seen in a block.
    pub included_ms: u64,
    /// How many leaves it covers beyond the head before it.
    pub leaves: u64,
    /// Whether the contract refused it.
    pub is_reverted: bool,
    /// Whether it pinned the head rather than extended it.
    pub is_pin: bool,
    /// What it cost.
    pub paid_wei: u128,
    /// How much gas it took, where that was noted.
    pub gas_used: Option<u64>,
}

#[derive(FromRow)]
struct HeaderRow {
    block: i64,
    time_ms: i64,
    base_fee_wei: i64,
}

#[derive(FromRow)]
struct PaidRow {
    owed_ms: Option<i64>,
    included_ms: i64,
    leaves: i64,
    kind: i32,
    paid_wei: String,
    gas_used: Option<i64>,
}

/// Writes a header down, and forgets those that are too old. One that is there already stays as it is.
pub async fn record_header(
    conn: &mut PgConnection,
    chain_id: u64,
    header: &SeenHeader,
) -> Result<(), StoreError> {
    sqlx::query(
        "with forgotten as (
             delete from base_fee
             where chain_id = $1 and block_at < clock_timestamp() - $5 * interval '1 day'
         )
         insert into base_fee (chain_id, block_at, block, base_fee_wei)
         values ($1, to_timestamp($2::float8 / 1000), $3, $4)
         on conflict on constraint base_fee_pk do nothing",
    )
    .bind(chain_id as i64)
    .bind(header.time_ms as i64)
    .bind(header.block as i64)
    .bind(i64::try_from(header.base_fee_wei).unwrap_or(i64::MAX))
    .bind(KEPT_DAYS)
    .execute(conn)
    .await?;
    Ok(())
}

/// The headers of a chain with times from `begin_ms` to before `end_ms`, oldest first.
pub async fn headers_between(
    conn: &mut PgConnection,
    chain_id: u64,
    begin_ms: u64,
    end_ms: u64,
) -> Result<Vec<SeenHeader>, StoreError> {
    let rows: Vec<HeaderRow> = sqlx::query_as(
        "select block, (extract(epoch from block_at) * 1000)::bigint as time_ms, base_fee_wei
         from base_fee
         where chain_id = $1
             and to_timestamp($2::float8 / 1000) <= block_at and block_at < to_timestamp($3::float8 / 1000)
         order by block_at",
    )
    .bind(chain_id as i64)
    .bind(begin_ms as i64)
    .bind(end_ms as i64)
    .fetch_all(conn)
    .await?;
    let header = |it: HeaderRow| SeenHeader {
        block: it.block as u64,
        time_ms: it.time_ms as u64,
        base_fee_wei: it.base_fee_wei as u128,
    };
    Ok(rows.into_iter().map(header).collect())
}

/// When the first transaction of each nonce was stored at a place since then: what replaced it came later.
pub async fn first_stored_since(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    begin_ms: u64,
) -> Result<Vec<u64>, StoreError> {
    let times: Vec<i64> = sqlx::query_scalar(
        "select (extract(epoch from min(stored_at)) * 1000)::bigint as stored_ms
         from anchor_attempt
         where chain_id = $1 and contract = $2 and registrant = $3
             and to_timestamp($4::float8 / 1000) <= stored_at and extends < size
         group by sender, nonce
         order by stored_ms",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(begin_ms as i64)
    .fetch_all(conn)
    .await?;
    Ok(times.into_iter().map(|it| it as u64).collect())
}

/// What was paid for at a place from `begin_ms` to before `end_ms`, oldest first.
pub async fn paid_anchors(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    begin_ms: u64,
    end_ms: u64,
) -> Result<Vec<PaidAnchor>, StoreError> {
    // Reverted ones covered nothing, and were paid for all the same.
    let rows: Vec<PaidRow> = sqlx::query_as(
        "select case when state in (3, 4, 10) and extends < size then (
                    select recorded_at / 1000 from posting where leaf_index = extends
                    union all
                    select recorded_at / 1000 from declaration where leaf_index = extends
                ) end as owed_ms,
                (extract(epoch from included_at) * 1000)::bigint as included_ms,
                case when state in (3, 4, 10) then size - extends else 0 end as leaves,
                case when state in (5, 11) then 1 when size = extends then 2 else 0 end as kind,
                paid_wei::text as paid_wei, gas_used
         from anchor_attempt
         where chain_id = $1 and contract = $2 and registrant = $3
             and state in (3, 4, 5, 10, 11) and paid_wei is not null
             and to_timestamp($4::float8 / 1000) <= included_at and included_at < to_timestamp($5::float8 / 1000)
         order by included_at",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(begin_ms as i64)
    .bind(end_ms as i64)
    .fetch_all(conn)
    .await?;
    let paid = |it: PaidRow| PaidAnchor {
        owed_ms: it.owed_ms.map(|it| it as u64),
        included_ms: it.included_ms as u64,
        leaves: it.leaves as u64,
        is_reverted: it.kind == 1,
        is_pin: it.kind == 2,
        paid_wei: it.paid_wei.parse().unwrap_or(u128::MAX),
        gas_used: it.gas_used.map(|it| it as u64),
    };
    Ok(rows.into_iter().map(paid).collect())
}
