//! Anchors: every transaction that may have left this machine, and what stands on the chains.

use proof::{AnchorPlace, Hash};
use sqlx::{Connection, FromRow, PgConnection};

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
    /// The head that it extends.
    pub extends: u64,
    /// The size of the checkpoint that it carries.
    pub size: u64,
    /// Who signed it.
    pub sender: [u8; 20],
    /// Its nonce.
    pub nonce: u64,
    /// Its hash.
    pub transaction: Hash,
    /// Its signed bytes.
    pub raw: Vec<u8>,
    /// What it offers for a unit of gas in all.
    pub fee_wei_max: u128,
    /// What it offers to the producer.
    pub tip_wei_max: u128,
    /// How far it has come.
    pub state: AttemptState,
    /// When it was stored, in milliseconds since 1970 by the database's clock.
    pub stored_ms: u64,
    /// When it was last handed to a node, if it ever was.
    pub sent_ms: Option<u64>,
    /// How often nodes refused it as too cheap a replacement.
    pub refusals: u32,
    /// The hash of the block that holds it, as noted last.
    pub block_hash: Option<Hash>,
}

/// A signed transaction about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    /// Where it anchors.
    pub place: AnchorPlace,
    /// The head that it extends.
    pub extends: u64,
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
    /// What it offers for a unit of gas in all.
    pub fee_wei_max: u128,
    /// What it offers to the producer.
    pub tip_wei_max: u128,
    /// Why it was made, in one line.
    pub why: &'a str,
}

/// Whether a transaction that anchors this size has not come to its end. One that pins the head has the same size, and anchors
/// nothing.
macro_rules! is_unsettled {
    () => {
        "exists (
             select from anchor_attempt as it
             where it.chain_id = $1 and it.contract = $2 and it.registrant = $3 and it.size = anchor.size
                 and it.extends < it.size and it.state in (1, 2, 3, 4, 5, 7, 8)
         )"
    };
}
pub(crate) use is_unsettled;

/// The columns of an [`AnchorRow`].
macro_rules! anchor_columns {
    () => {
        "chain_id, contract, registrant, size, block, transaction_hash, final_at is not null as is_final"
    };
}
pub(crate) use anchor_columns;

#[derive(FromRow)]
pub(crate) struct AnchorRow {
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
    extends: i64,
    size: i64,
    sender: Vec<u8>,
    nonce: i64,
    transaction_hash: Vec<u8>,
    raw: Vec<u8>,
    fee_wei_max: i64,
    tip_wei_max: i64,
    state: i16,
    stored_ms: i64,
    sent_ms: Option<i64>,
    refusals: i32,
    block_hash: Option<Vec<u8>>,
}

impl TryFrom<AttemptRow> for AnchorAttempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        Ok(Self {
            anchor_attempt_id: row.anchor_attempt_id,
            extends: row.extends as u64,
            size: row.size as u64,
            sender: fixed(row.sender)?,
            nonce: row.nonce as u64,
            transaction: fixed(row.transaction_hash)?,
            raw: row.raw,
            fee_wei_max: row.fee_wei_max as u128,
            tip_wei_max: row.tip_wei_max as u128,
            state: AttemptState::of(row.state)?,
            stored_ms: row.stored_ms as u64,
            sent_ms: row.sent_ms.map(|it| it as u64),
            refusals: row.refusals as u32,
            block_hash: row.block_hash.map(fixed).transpose()?,
        })
    }
}

impl AttemptState {
    /// Its name, as operators and auditors are told it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Broadcast => "broadcast",
            Self::Included => "included",
            Self::Final => "final",
            Self::Reverted => "reverted",
            Self::Replaced => "replaced",
            Self::Orphaned => "orphaned",
            Self::Dropped => "dropped",
            Self::Abandoned => "abandoned",
            Self::Archived => "archived",
            Self::Spent => "spent",
        }
    }

    pub(crate) fn of(state: i16) -> Result<Self, StoreError> {
        let known = [
            Self::Armed,
            Self::Broadcast,
            Self::Included,
            Self::Final,
            Self::Reverted,
            Self::Replaced,
            Self::Orphaned,
            Self::Dropped,
            Self::Abandoned,
            Self::Archived,
            Self::Spent,
        ];
        let found = known.into_iter().find(|it| *it as i16 == state);
        found.ok_or_else(|| StoreError::Damaged(format!("an anchor attempt has state {state}")))
    }
}

pub(crate) fn fixed<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("a row holds a value that is not {N} bytes")))
}

/// Stores a signed transaction, if the lease of this token still holds. Only once this is committed may it be sent.
pub async fn store_attempt(
    conn: &mut PgConnection,
    attempt: &NewAttempt<'_>,
    token: i64,
) -> Result<Option<i64>, StoreError> {
    let id = sqlx::query_scalar(
        "with attempt as (
             insert into anchor_attempt
                 (chain_id, contract, registrant, extends, size, sender, nonce, transaction_hash, raw,
                  fee_wei_max, tip_wei_max, why)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
             from anchor_lease
             where chain_id = $1 and contract = $2 and registrant = $3
                 and token = $13 and clock_timestamp() < expires_at
             returning anchor_attempt_id
         ), step as (
             insert into anchor_step (anchor_attempt_id, state, why)
             select anchor_attempt_id, 1, $12 from attempt
         )
         select anchor_attempt_id from attempt",
    )
    .bind(attempt.place.chain_id as i64)
    .bind(&attempt.place.contract[..])
    .bind(&attempt.place.registrant[..])
    .bind(attempt.extends as i64)
    .bind(attempt.size as i64)
    .bind(&attempt.sender[..])
    .bind(attempt.nonce as i64)
    .bind(&attempt.transaction[..])
    .bind(attempt.raw)
    .bind(i64::try_from(attempt.fee_wei_max).unwrap_or(i64::MAX))
    .bind(i64::try_from(attempt.tip_wei_max).unwrap_or(i64::MAX))
    .bind(attempt.why)
    .bind(token)
    .fetch_optional(conn)
    .await?;
    Ok(id)
}

/// The transactions at this place whose story has not ended, oldest first.
pub async fn open_attempts(
    conn: &mut PgConnection,
    place: &AnchorPlace,
) -> Result<Vec<AnchorAttempt>, StoreError> {
    let rows: Vec<AttemptRow> = sqlx::query_as(
        "select anchor_attempt_id, extends, size, sender, nonce, transaction_hash, raw, fee_wei_max, tip_wei_max, state,
                (extract(epoch from stored_at) * 1000)::bigint as stored_ms,
                (extract(epoch from sent_at) * 1000)::bigint as sent_ms,
                refusals, block_hash
         from anchor_attempt
         where chain_id = $1 and contract = $2 and registrant = $3 and state in (1, 2, 3, 4, 5, 7, 8)
         order by anchor_attempt_id",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(AnchorAttempt::try_from).collect()
}

/// Notes that a transaction is being handed to the endpoints, now.
pub async fn record_sending(
    conn: &mut PgConnection,
    anchor_attempt_id: i64,
    why: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "with step as (
             insert into anchor_step (anchor_attempt_id, state, why) values ($1, 2, $2)
         )
         update anchor_attempt
         set state = 2, sent_at = clock_timestamp()
         where anchor_attempt_id = $1",
    )
    .bind(anchor_attempt_id)
    .bind(why)
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts that a node refused a transaction as too cheap a replacement.
pub async fn record_refusal(conn: &mut PgConnection, anchor_attempt_id: i64) -> Result<(), StoreError> {
    sqlx::query("update anchor_attempt set refusals = refusals + 1 where anchor_attempt_id = $1")
        .bind(anchor_attempt_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// How a transaction's story goes on.
#[derive(Clone, Copy, Debug)]
pub struct AttemptNote {
    /// The transaction.
    pub anchor_attempt_id: i64,
    /// How far it has come.
    pub state: AttemptState,
    /// The block that holds it.
    pub block: Option<(u64, Hash)>,
    /// What it cost, and how much gas it took.
    pub paid: Option<(u128, u64)>,
    /// Why, in one line.
    pub why: &'static str,
    /// The anchor that it made, where it made one.
    pub anchor: Option<Anchor>,
}

/// Writes down a round's notes together. Anchors beyond the head that the chain shows, if it is to be believed, are
/// forgotten first.
pub async fn record_round(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    head_size: Option<u64>,
    notes: &[AttemptNote],
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    if let Some(head_size) = head_size {
        forget_anchors_beyond(&mut transaction, place, head_size).await?;
    }
    for note in notes {
        record_note(&mut transaction, note).await?;
        if let Some(anchor) = &note.anchor {
            record_anchor(&mut transaction, anchor).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

async fn record_note(conn: &mut PgConnection, note: &AttemptNote) -> Result<(), StoreError> {
    sqlx::query(
        "with step as (
             insert into anchor_step (anchor_attempt_id, state, block, why) values ($1, $2, $3, $6)
         )
         update anchor_attempt
         set state = $2,
             block = $3,
             block_hash = $4,
             paid_wei = coalesce($5::text::numeric, paid_wei),
             gas_used = coalesce($7, gas_used),
             included_at = case when $3 is not null then coalesce(included_at, clock_timestamp()) end
         where anchor_attempt_id = $1",
    )
    .bind(note.anchor_attempt_id)
    .bind(note.state as i16)
    .bind(note.block.map(|it| it.0 as i64))
    .bind(note.block.map(|it| it.1.to_vec()))
    .bind(note.paid.map(|it| it.0.to_string()))
    .bind(note.why)
    .bind(note.paid.map(|it| it.1 as i64))
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

/// Forgets anchors that the chain no longer shows: all beyond this size that are not final, or whose transaction is still
/// looked after although it was.
async fn forget_anchors_beyond(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    size: u64,
) -> Result<u64, StoreError> {
    let forgotten = sqlx::query(concat!(
        "delete from anchor
             where chain_id = $1 and contract = $2 and registrant = $3 and size > $4
                 and (final_at is null or ",
        is_unsettled!(),
        ")"
    ))
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
         ), prices as (
             delete from base_fee where chain_id = $1
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

/// Every anchor at this place, smallest first.
pub async fn anchors_at(conn: &mut PgConnection, place: &AnchorPlace) -> Result<Vec<Anchor>, StoreError> {
    let rows: Vec<AnchorRow> = sqlx::query_as(concat!(
        "select ",
        anchor_columns!(),
        "
         from anchor
         where chain_id = $1 and contract = $2 and registrant = $3
         order by size"
    ))
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Anchor::try_from).collect()
}

/// Forgets an anchor that the chain does not show, unless it was final.
pub async fn forget_anchor(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    size: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "delete from anchor
         where chain_id = $1 and contract = $2 and registrant = $3 and size = $4 and final_at is null",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(size as i64)
    .execute(conn)
    .await?;
    Ok(())
}

/// The greatest anchor at this place.
pub async fn latest_anchor(
    conn: &mut PgConnection,
    place: &AnchorPlace,
) -> Result<Option<Anchor>, StoreError> {
    let row: Option<AnchorRow> = sqlx::query_as(concat!(
        "select ",
        anchor_columns!(),
        "
         from anchor
         where chain_id = $1 and contract = $2 and registrant = $3
         order by size desc
         limit 1"
    ))
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .fetch_optional(conn)
    .await?;
    row.map(Anchor::try_from).transpose()
}

/// The anchors up to this block that others made and that are not known to be final, oldest first, a few at a time. Of our
/// own transactions the machine says when they are.
pub async fn anchors_to_settle(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    block_max: u64,
) -> Result<Vec<Anchor>, StoreError> {
    let rows: Vec<AnchorRow> = sqlx::query_as(concat!(
        "select ",
        anchor_columns!(),
        "
             from anchor
             where chain_id = $1 and contract = $2 and registrant = $3 and block <= $4 and final_at is null
                 and not ",
        is_unsettled!(),
        "
             order by size
             limit 16"
    ))
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

/// Whether a final anchor covers this leaf somewhere. Where the log is not anchored, as far as the caller and the database
/// know, nobody waits for one.
pub async fn is_announced(
    conn: &mut PgConnection,
    leaf_index: u64,
    is_anchored: bool,
) -> Result<bool, StoreError> {
    let announced = sqlx::query_scalar(
        "select exists (select from anchor where size > $1 and final_at is not null)
             or not ($2 or exists (select from anchor) or exists (select from anchor_attempt))",
    );
    Ok(announced.bind(leaf_index as i64).bind(is_anchored).fetch_one(conn).await?)
}

/// The smallest anchor that covers this leaf, at every place that has one.
pub async fn anchors_covering(conn: &mut PgConnection, leaf_index: u64) -> Result<Vec<Anchor>, StoreError> {
    let rows: Vec<AnchorRow> = sqlx::query_as(concat!(
        "select distinct on (chain_id, contract, registrant) ",
        anchor_columns!(),
        "
         from anchor
         where size > $1
         order by chain_id, contract, registrant, size"
    ))
    .bind(leaf_index as i64)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Anchor::try_from).collect()
}
