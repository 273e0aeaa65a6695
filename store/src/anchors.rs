//! Anchors: every transaction that may have left this machine, and what stands on the chains.

use proof::{AnchorPlace, Hash};
use sqlx::{FromRow, PgConnection};

use crate::error::StoreError;

/// A checkpoint that stands on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Where.
    pub place: AnchorPlace,
    /// The size of the checkpoint.
    pub size: u64,
    /// The block that holds it.
    pub block: u64,
    /// The transaction that put it there.
    pub transaction: Hash,
    /// Whether the chain has promised to keep it.
    pub is_final: bool,
}

/// How far a signed transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// Signed and stored: it may never have been sent.
    Armed = 1,
    /// Handed to a node, perhaps.
    Broadcast = 2,
    /// In a block.
    Included = 3,
    /// In a block that the chain keeps.
    Final = 4,
    /// In a block, and refused by the contract.
    Reverted = 5,
    /// Its nonce went to another transaction of ours.
    Replaced = 6,
    /// It was in a block that a reorganisation took away.
    Orphaned = 7,
    /// No endpoint knows it any more.
    Dropped = 8,
    /// Its nonce went to a transaction that is not ours.
    Abandoned = 9,
    /// Final, and so deep that nobody asks again.
    Archived = 10,
    /// Reverted, and so deep that nobody asks again.
    Spent = 11,
}

/// A signed transaction whose story has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorAttempt {
    /// Its row.
    pub anchor_attempt_id: i64,
    /// The size of the checkpoint that it carries.
    pub size: u64,
    /// Its nonce.
    pub nonce: u64,
    /// Its hash.
    pub transaction: Hash,
    /// Its signed bytes.
    pub raw: Vec<u8>,
    /// How far it has come.
    pub state: AttemptState,
    /// Milliseconds since it was last handed to a node, if it ever was.
    pub sent_age_ms: Option<u64>,
}

/// A signed transaction about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    /// Where it anchors.
    pub place: AnchorPlace,
    /// The size of the checkpoint that it carries.
    pub size: u64,
    /// Who signed it.
    pub sender: [u8; 20],
    /// Its nonce.
    pub nonce: u64,
    /// Its hash.
    pub transaction: Hash,
    /// Its signed bytes.
    pub raw: &'a [u8],
}

#[derive(FromRow)]
struct AnchorRow {
    chain_id: i64,
    contract: Vec<u8>,
    registrant: Vec<u8>,
    size: i64,
    block: i64,
    transaction_hash: Vec<u8>,
    is_final: bool,
}

impl TryFrom<AnchorRow> for Anchor {
    type Error = StoreError;

    fn try_from(row: AnchorRow) -> Result<Self, StoreError> {
        Ok(Self {
            place: AnchorPlace {
                chain_id: row.chain_id as u64,
                contract: fixed(row.contract)?,
                registrant: fixed(row.registrant)?,
            },
            size: row.size as u64,
            block: row.block as u64,
            transaction: fixed(row.transaction_hash)?,
            is_final: row.is_final,
        })
    }
}

#[derive(FromRow)]
struct AttemptRow {
    anchor_attempt_id: i64,
    size: i64,
    nonce: i64,
    transaction_hash: Vec<u8>,
    raw: Vec<u8>,
    state: i16,
    sent_age_ms: Option<i64>,
}

impl TryFrom<AttemptRow> for AnchorAttempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let state = match row.state {
            1 => AttemptState::Armed,
            2 => AttemptState::Broadcast,
            3 => AttemptState::Included,
            state => return Err(StoreError::Damaged(format!("an open anchor attempt has state {state}"))),
        };
        Ok(Self {
            anchor_attempt_id: row.anchor_attempt_id,
            size: row.size as u64,
            nonce: row.nonce as u64,
            transaction: fixed(row.transaction_hash)?,
            raw: row.raw,
            state,
            sent_age_ms: row.sent_age_ms.map(|it| it.max(0) as u64),
        })
    }
}

fn fixed<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Damaged(format!("an anchor holds a value that is not {N} bytes")))
}

/// Stores a signed transaction. Only once this is committed may it be sent.
pub async fn store_attempt(conn: &mut PgConnection, attempt: &NewAttempt<'_>) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "insert into anchor_attempt
             (chain_id, contract, registrant, size, sender, nonce, transaction_hash, raw)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict on constraint anchor_attempt_once do update set state = 1
         returning anchor_attempt_id",
    )
    .bind(attempt.place.chain_id as i64)
    .bind(&attempt.place.contract[..])
    .bind(&attempt.place.registrant[..])
    .bind(attempt.size as i64)
    .bind(&attempt.sender[..])
    .bind(attempt.nonce as i64)
    .bind(&attempt.transaction[..])
    .bind(attempt.raw)
    .fetch_one(conn)
    .await?;
    Ok(id)
}

/// The transactions at this place whose story has not ended, oldest first.
pub async fn open_attempts(
    conn: &mut PgConnection,
    place: &AnchorPlace,
) -> Result<Vec<AnchorAttempt>, StoreError> {
    let rows: Vec<AttemptRow> = sqlx::query_as(
        "select anchor_attempt_id, size, nonce, transaction_hash, raw, state,
                (extract(epoch from clock_timestamp() - sent_at) * 1000)::bigint as sent_age_ms
         from anchor_attempt
         where chain_id = $1 and contract = $2 and registrant = $3 and state in (1, 2, 3)
         order by anchor_attempt_id",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(AnchorAttempt::try_from).collect()
}

/// Notes that a transaction is being handed to a node, now.
pub async fn record_sending(conn: &mut PgConnection, anchor_attempt_id: i64) -> Result<(), StoreError> {
    sqlx::query(
        "update anchor_attempt
         set state = 2, sent_at = clock_timestamp()
         where anchor_attempt_id = $1",
    )
    .bind(anchor_attempt_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes how a transaction's story goes on.
pub async fn record_attempt_state(
    conn: &mut PgConnection,
    anchor_attempt_id: i64,
    state: AttemptState,
) -> Result<(), StoreError> {
    sqlx::query("update anchor_attempt set state = $2 where anchor_attempt_id = $1")
        .bind(anchor_attempt_id)
        .bind(state as i16)
        .execute(conn)
        .await?;
    Ok(())
}

/// Records where a checkpoint stands on a chain, whoever put it there.
pub async fn record_anchor(conn: &mut PgConnection, anchor: &Anchor) -> Result<(), StoreError> {
    // After a reorganisation the same checkpoint may stand in another block, and an anchor once final stays final.
    sqlx::query(
        "insert into anchor (chain_id, contract, registrant, size, block, transaction_hash, final_at)
         values ($1, $2, $3, $4, $5, $6, case when $7 then clock_timestamp() end)
         on conflict on constraint anchor_pk do update
         set block = excluded.block,
             transaction_hash = excluded.transaction_hash,
             final_at = coalesce(anchor.final_at, excluded.final_at)",
    )
    .bind(anchor.place.chain_id as i64)
    .bind(&anchor.place.contract[..])
    .bind(&anchor.place.registrant[..])
    .bind(anchor.size as i64)
    .bind(anchor.block as i64)
    .bind(&anchor.transaction[..])
    .bind(anchor.is_final)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets anchors that the chain no longer shows: all beyond this size that are not final.
pub async fn forget_anchors_beyond(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    size: u64,
) -> Result<u64, StoreError> {
    let forgotten = sqlx::query(
        "delete from anchor
         where chain_id = $1 and contract = $2 and registrant = $3 and size > $4 and final_at is null",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(size as i64)
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}

/// Forgets everything about this place, what was final too: only for a development chain that began anew.
pub async fn forget_place(conn: &mut PgConnection, place: &AnchorPlace) -> Result<u64, StoreError> {
    let forgotten = sqlx::query(
        "with attempts as (
             delete from anchor_attempt where chain_id = $1 and contract = $2 and registrant = $3 returning 1
         ), anchors as (
             delete from anchor where chain_id = $1 and contract = $2 and registrant = $3 returning 1
         )
         select 1 from attempts union all select 1 from anchors",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_all(conn)
    .await?;
    Ok(forgotten.len() as u64)
}

/// The greatest anchor at this place.
pub async fn latest_anchor(
    conn: &mut PgConnection,
    place: &AnchorPlace,
) -> Result<Option<Anchor>, StoreError> {
    let row: Option<AnchorRow> = sqlx::query_as(
        "select chain_id, contract, registrant, size, block, transaction_hash, final_at is not null as is_final
         from anchor
         where chain_id = $1 and contract = $2 and registrant = $3
         order by size desc
         limit 1",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_optional(conn)
    .await?;
    row.map(Anchor::try_from).transpose()
}

/// The anchors up to this block that are not known to be final, oldest first, a few at a time.
pub async fn anchors_to_settle(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    block_max: u64,
) -> Result<Vec<Anchor>, StoreError> {
    let rows: Vec<AnchorRow> = sqlx::query_as(
        "select chain_id, contract, registrant, size, block, transaction_hash, false as is_final
         from anchor
         where chain_id = $1 and contract = $2 and registrant = $3 and block <= $4 and final_at is null
         order by size
         limit 16",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(block_max as i64)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Anchor::try_from).collect()
}

/// The size of the greatest anchor at this place before this size; 0 where there is none.
pub async fn anchored_before(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    size: u64,
) -> Result<u64, StoreError> {
    let before: i64 = sqlx::query_scalar(
        "select coalesce(max(size), 0)
         from anchor
         where chain_id = $1 and contract = $2 and registrant = $3 and size < $4",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(size as i64)
    .fetch_one(conn)
    .await?;
    Ok(before as u64)
}

/// Milliseconds since the greatest anchor at this place was first seen in a block.
pub async fn latest_anchor_age_ms(
    conn: &mut PgConnection,
    place: &AnchorPlace,
) -> Result<Option<u64>, StoreError> {
    let age: Option<i64> = sqlx::query_scalar(
        "select (extract(epoch from clock_timestamp() - included_at) * 1000)::bigint
         from anchor
         where chain_id = $1 and contract = $2 and registrant = $3
         order by size desc
         limit 1",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_optional(conn)
    .await?;
    Ok(age.map(|it| it.max(0) as u64))
}

/// The smallest anchor that covers this leaf, at every place that has one.
pub async fn anchors_covering(conn: &mut PgConnection, leaf_index: u64) -> Result<Vec<Anchor>, StoreError> {
    let rows: Vec<AnchorRow> = sqlx::query_as(
        "select distinct on (chain_id, contract, registrant)
                chain_id, contract, registrant, size, block, transaction_hash, final_at is not null as is_final
         from anchor
         where size > $1
         order by chain_id, contract, registrant, size",
    )
    .bind(leaf_index as i64)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Anchor::try_from).collect()
}
