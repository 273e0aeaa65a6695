//! Pins: anchored checkpoints that the contract keeps in its storage for ever.

use proof::AnchorPlace;
use sqlx::PgConnection;

use crate::anchors::{Anchor, AnchorRow, anchor_columns};
use crate::error::StoreError;

/// What is known of a place's pins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// The greatest size that is pinned.
    pub size: u64,
    /// When the last pin was signed, in milliseconds since 1970, whatever became of it.
    pub tried_ms: Option<u64>,
}

/// What is known of a place's pins.
pub async fn pinned(conn: &mut PgConnection, place: &AnchorPlace) -> Result<Pinned, StoreError> {
    let (size, tried_ms): (i64, Option<i64>) = sqlx::query_as(
        "select (select coalesce(max(size), 0)
                 from anchor
                 where chain_id = $1 and contract = $2 and registrant = $3 and pinned_at is not null),
                (select (extract(epoch from stored_at) * 1000)::bigint
                 from anchor_attempt
                 where chain_id = $1 and contract = $2 and registrant = $3 and extends = size
                 order by anchor_attempt_id desc
                 limit 1)",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_one(conn)
    .await?;
    Ok(Pinned { size: size as u64, tried_ms: tried_ms.map(|it| it as u64) })
}

/// Notes whether the contract keeps the anchor of this size for ever.
pub async fn record_pin(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    size: u64,
    is_pinned: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "update anchor
         set pinned_at = case when $5 then coalesce(pinned_at, clock_timestamp()) end
         where chain_id = $1 and contract = $2 and registrant = $3 and size = $4",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(size as i64)
    .bind(is_pinned)
    .execute(conn)
    .await?;
    Ok(())
}

/// The smallest pinned anchor that covers this leaf, at every place that has one.
pub async fn pins_covering(conn: &mut PgConnection, leaf_index: u64) -> Result<Vec<Anchor>, StoreError> {
    let rows: Vec<AnchorRow> = sqlx::query_as(concat!(
        "select distinct on (chain_id, contract, registrant) ",
        anchor_columns!(),
        "
         from anchor
         where size > $1 and pinned_at is not null
         order by chain_id, contract, registrant, size"
    ))
    .bind(leaf_index as i64)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Anchor::try_from).collect()
}
