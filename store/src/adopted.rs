//! Leaves that were lost and are taken back as they were published.

use proof::{Body, Leaf, LeafKind, Text};
use sqlx::{Connection, PgConnection};

use crate::checkpoints::RecordedCheckpoint;
use crate::declarations;
use crate::error::StoreError;
use crate::log_head::{self, LogIdentity};

/// What a database has lost of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The lost leaves, in order, from the database's size on.
    pub leaves: Vec<Leaf>,
    /// The lost checkpoints that somebody has seen, in order; the last covers all of these leaves.
    pub checkpoints: Vec<RecordedCheckpoint>,
}

impl Lost {
    /// The leaves of lost withdrawals. Their gateways pay them all the same, to whoever has the receipt.
    pub fn withdrawals(&self) -> Vec<u64> {
        let withdrawn = self.leaves.iter().filter(|it| it.kind == LeafKind::Withdrawal);
        withdrawn.map(|it| it.leaf_index).collect()
    }
}

/// Takes lost leaves back in their places, with what was signed over them; then declares each an orphan, and the incident.
/// All or nothing. Answers the first orphan's leaf index.
pub async fn adopt_lost(
    conn: &mut PgConnection,
    log: &LogIdentity,
    lost: &Lost,
    reason: Text,
) -> Result<u64, StoreError> {
    let damaged = |problem: &str| StoreError::Damaged(problem.to_owned());
    let first = lost.leaves.first().ok_or_else(|| damaged("nothing is lost"))?.leaf_index;
    let mut transaction = conn.begin().await?;
    let (head, ..) = log_head::lock(&mut transaction, &log.log_id).await?;
    if head.size as u64 != first {
        return Err(damaged("the log has grown meanwhile: whoever still posts is to be stopped first"));
    }
    insert_leaves(&mut transaction, first, &lost.leaves).await?;
    for checkpoint in &lost.checkpoints {
        sqlx::query("insert into checkpoint (size, previous_size, root, note) values ($1, $2, $3, $4)")
            .bind(checkpoint.size as i64)
            .bind(checkpoint.previous_size as i64)
            .bind(&checkpoint.root[..])
            .bind(&checkpoint.note)
            .execute(&mut *transaction)
            .await?;
    }
    let leaves = lost.leaves.len() as u64;
    let orphans = lost.leaves.iter().map(|it| Body::Orphan(it.encode()));
    let incident = Body::Incident { first_leaf_index: first, leaves, reason };
    let bodies = orphans.chain([incident]).collect();
    let first_orphan = declarations::append(&mut transaction, log, bodies).await?;
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(first_orphan)
}

async fn insert_leaves(conn: &mut PgConnection, first: u64, leaves: &[Leaf]) -> Result<(), StoreError> {
    let (kinds, commitments): (Vec<i16>, Vec<Vec<u8>>) =
        leaves.iter().map(|it| (it.kind as i16, it.commitment.to_vec())).unzip();
    sqlx::query(
        "with lost as (
             select $1 + ordinal - 1 as leaf_index, kind, commitment
             from unnest($2::smallint[], $3::bytea[]) with ordinality as lost (kind, commitment, ordinal)
         ), leaves as (
             insert into leaf (leaf_index, kind, commitment)
             select leaf_index, kind, commitment
             from lost
         ), marks as (
             insert into lost_leaf (leaf_index)
             select leaf_index
             from lost
         )
         update log_head
         set size = size + $4",
    )
    .bind(first as i64)
    .bind(kinds)
    .bind(commitments)
    .bind(leaves.len() as i64)
    .execute(conn)
    .await?;
    Ok(())
}
