//! What expired on a chain, by the last final block that was read.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::GatewayAt;
use super::events::{decode_burned, decode_minted};
use crate::error::StoreError;

/// What expired on a chain, or came there too late, and is to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredOnChain {
    /// `epoch:` and its number, or `claim:` and the withdrawal's id.
    pub what: String,
    /// How much.
    pub points: u64,
}

/// What has expired by the last final block that was read, and is not posted: of each such epoch what came there by claims
/// and did not come back by burns, and what claims came too late for. Of an epoch that has expired nothing more can come back.
pub async fn expired_on_chain(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<Vec<ExpiredOnChain>, StoreError> {
    let late: Vec<(String, i64)> = sqlx::query_as(
        "select what, lapsed
         from gateway_claim, lateral (select 'claim:' || encode(withdrawal_id, 'hex')) as named (what)
         where chain_id = $1
             and contract = $2
             and lapsed > 0
             and not exists (
                 select from gateway_expired as posted
                 where (posted.chain_id, posted.contract, posted.what) = ($1, $2, named.what)
             )
         order by block, what",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .fetch_all(&mut *conn)
    .await?;
    let over: Vec<i64> = sqlx::query_scalar(
        "select epoch
         from gateway_epoch as epoch
         join gateway using (chain_id, contract)
         where epoch.chain_id = $1
             and epoch.contract = $2
             and epoch.expires_at <= gateway.known_until
             and not exists (
                 select from gateway_expired as posted
                 where (posted.chain_id, posted.contract, posted.what) = ($1, $2, 'epoch:' || epoch.epoch)
             )
         order by epoch",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .fetch_all(&mut *conn)
    .await?;
    let mut expired: Vec<ExpiredOnChain> = late
        .into_iter()
        .map(|(what, points)| ExpiredOnChain { what, points: points.unsigned_abs() })
        .collect();
    if over.is_empty() {
        return Ok(expired);
    }
    let (minted, burned) = (minted_by_epoch(conn, at).await?, burned_by_epoch(conn, at).await?);
    for epoch in over {
        let of = |it: &BTreeMap<u64, u64>| it.get(&(epoch as u64)).copied().unwrap_or_default();
        let points = of(&minted).checked_sub(of(&burned)).ok_or_else(|| {
            StoreError::Damaged(format!("more of epoch {epoch} was burned than came to it"))
        })?;
        expired.push(ExpiredOnChain { what: format!("epoch:{epoch}"), points });
    }
    Ok(expired)
}

/// By epoch, what claims minted.
pub(crate) async fn minted_by_epoch(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<BTreeMap<u64, u64>, StoreError> {
    let rows =
        all(conn, at, "select minted from gateway_claim where chain_id = $1 and contract = $2").await?;
    Ok(summed(rows.iter().flat_map(|it| decode_minted(it))))
}

/// By epoch, what was burned for credit.
pub(crate) async fn burned_by_epoch(
    conn: &mut PgConnection,
    at: &GatewayAt,
) -> Result<BTreeMap<u64, u64>, StoreError> {
    let rows =
        all(conn, at, "select amounts from gateway_burn where chain_id = $1 and contract = $2").await?;
    Ok(summed(rows.iter().flat_map(|it| decode_burned(it)).map(|it| (it.epoch, it.amount))))
}

async fn all(
    conn: &mut PgConnection,
    at: &GatewayAt,
    query: &'static str,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = sqlx::query_scalar(query).bind(at.chain_id as i64).bind(&at.contract[..]);
    Ok(rows.fetch_all(conn).await?)
}

fn summed(amounts: impl Iterator<Item = (u64, u64)>) -> BTreeMap<u64, u64> {
    let mut sums = BTreeMap::<u64, u64>::new();
    for (epoch, amount) in amounts {
        let sum = sums.entry(epoch).or_default();
        *sum = sum.saturating_add(amount);
    }
    sums
}

/// Notes what was posted for something that expired; no leaf where there was nothing to post.
pub async fn note_expired(
    conn: &mut PgConnection,
    at: &GatewayAt,
    expired: &ExpiredOnChain,
    leaf_index: Option<u64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into gateway_expired (chain_id, contract, what, points, leaf_index)
         values ($1, $2, $3, $4, $5)
         on conflict do nothing",
    )
    .bind(at.chain_id as i64)
    .bind(&at.contract[..])
    .bind(&expired.what)
    .bind(expired.points as i64)
    .bind(leaf_index.map(|it| it as i64))
    .execute(conn)
    .await?;
    Ok(())
}
