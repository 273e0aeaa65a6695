//! The whole story of each transaction that anchored, or tried to: for operators and auditors.

use proof::{AnchorPlace, Hash};
use sqlx::{FromRow, PgConnection};

use crate::anchors::{AttemptState, fixed};
use crate::error::StoreError;

/// A transaction with its story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptStory {
    /// Its row.
    pub anchor_attempt_id: i64,
    /// The head that it extends.
    pub extends: u64,
    /// The size of the checkpoint that it carries.
    pub size: u64,
    /// Its nonce.
    pub nonce: u64,
    /// Its hash.
    pub transaction: Hash,
    /// How far it has come.
    pub state: AttemptState,
    /// The block that holds it.
    pub block: Option<u64>,
    /// What it offers for a unit of gas in all.
    pub fee_wei_max: u128,
    /// What it offers to the producer.
    pub tip_wei_max: u128,
    /// What it cost.
    pub paid_wei: Option<u128>,
    /// What happened, in order.
    pub steps: Vec<StoryStep>,
}

/// One step of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoryStep {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it became.
    pub state: AttemptState,
    /// The block that held it then.
    pub block: Option<u64>,
    /// Why.
    pub why: String,
}

#[derive(FromRow)]
struct StoryRow {
    anchor_attempt_id: i64,
    extends: i64,
    size: i64,
    nonce: i64,
    transaction_hash: Vec<u8>,
    state: i16,
    block: Option<i64>,
    fee_wei_max: i64,
    tip_wei_max: i64,
    paid_wei: Option<String>,
}

#[derive(FromRow)]
struct StepRow {
    anchor_attempt_id: i64,
    at_ms: i64,
    state: i16,
    block: Option<i64>,
    why: String,
}

/// The last so many transactions at a place, or those that carry this size, oldest first.
pub async fn attempt_stories(
    conn: &mut PgConnection,
    place: &AnchorPlace,
    size: Option<u64>,
    limit: u32,
) -> Result<Vec<AttemptStory>, StoreError> {
    let rows: Vec<StoryRow> = sqlx::query_as(
        "select anchor_attempt_id, extends, size, nonce, transaction_hash, state, block, fee_wei_max, tip_wei_max,
                paid_wei::text as paid_wei
         from anchor_attempt
         where chain_id = $1 and contract = $2 and registrant = $3 and ($4::bigint is null or size = $4)
         order by anchor_attempt_id desc
         limit $5",
    )
    .bind(place.chain_id as i64)
    .bind(&place.contract[..])
    .bind(&place.registrant[..])
    .bind(size.map(|it| it as i64))
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<i64> = rows.iter().map(|it| it.anchor_attempt_id).collect();
    let steps: Vec<StepRow> = sqlx::query_as(
        "select anchor_attempt_id, (extract(epoch from stepped_at) * 1000)::bigint as at_ms, state, block, why
         from anchor_step
         where anchor_attempt_id = any($1)
         order by anchor_step_id",
    )
    .bind(&ids)
    .fetch_all(conn)
    .await?;
    rows.into_iter().rev().map(|row| row.told(&steps)).collect()
}

impl StoryRow {
    fn told(self, steps: &[StepRow]) -> Result<AttemptStory, StoreError> {
        let own = steps.iter().filter(|it| it.anchor_attempt_id == self.anchor_attempt_id);
        let step = |it: &StepRow| {
            Ok(StoryStep {
                at_ms: it.at_ms as u64,
                state: AttemptState::of(it.state)?,
                block: it.block.map(|it| it as u64),
                why: it.why.clone(),
            })
        };
        Ok(AttemptStory {
            anchor_attempt_id: self.anchor_attempt_id,
            extends: self.extends as u64,
            size: self.size as u64,
            nonce: self.nonce as u64,
            transaction: fixed(self.transaction_hash)?,
            state: AttemptState::of(self.state)?,
            block: self.block.map(|it| it as u64),
            fee_wei_max: self.fee_wei_max as u128,
            tip_wei_max: self.tip_wei_max as u128,
            paid_wei: self.paid_wei.and_then(|it| it.parse().ok()),
            steps: own.map(step).collect::<Result<_, StoreError>>()?,
        })
    }
}
