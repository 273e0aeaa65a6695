//! Looking: what is stored, and what each endpoint shows.

use std::collections::BTreeMap;
use std::time::Duration;

use chain::{AuditLog, ChainError, Head, Snapshot, TransactionSight};
use futures::future::join_all;
use store::{AnchorAttempt, PgConnection, PlaceFacts, RecordedCheckpoint};

use super::{AnchorError, AnchorObstacle, Anchorer};
use crate::machine::{Attempt, Decision, HeadSeen, Owed, Report, Sight};

/// How long an endpoint has to show all that a round asks for. Whoever is silent must not outlast the lease.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);
/// The same for what is asked after the look.
pub(super) const ASK_PATIENCE: Duration = Duration::from_secs(2);

/// What an endpoint answers, or that it did not in time.
pub(super) async fn within<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, ChainError>>,
) -> Result<T, ChainError> {
    let late = |_| Err(ChainError::Unreachable(format!("the endpoint was not done in {patience:?}")));
    tokio::time::timeout(patience, asked).await.unwrap_or_else(late)
}

/// What a round sees.
pub(super) struct Looked {
    pub(super) stored: Vec<AnchorAttempt>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) snapshots: Vec<Option<Snapshot>>,
    pub(super) reports: Vec<Option<Report>>,
    pub(super) newest: Option<RecordedCheckpoint>,
    pub(super) log_size: u64,
    failure: Option<ChainError>,
}

impl Anchorer {
    /// Asks all endpoints at once, and holds what they show against our own records.
    pub(super) async fn look(&mut self, conn: &mut PgConnection) -> Result<Looked, AnchorError> {
        let stored = store::open_attempts(conn, &self.endpoints[0].place()).await?;
        let hashes: Vec<[u8; 32]> = stored.iter().map(|it| it.transaction).collect();
        let sender = self.account.address();
        let endpoints = self.endpoints.iter().zip(&self.is_known);
        let asked = join_all(
            endpoints.map(async |(it, known)| within(LOOK_PATIENCE, ask(it, *known, &sender, &hashes)).await),
        )
        .await;
        let mut failure = None;
        let mut snapshots = Vec::new();
        for (endpoint, answer) in asked.into_iter().enumerate() {
            // Another contract is nobody's passing trouble: whatever it says means nothing, and nothing is ever sent to it.
            if let Err(error @ (ChainError::UnknownCode(_) | ChainError::NoContract(_))) = &answer
                && !self.is_known[endpoint]
                && self.endpoints.len() == 1
            {
                return Err(error.clone().into());
            }
            self.is_known[endpoint] |= answer.is_ok();
            if let Err(error) = &answer {
                tracing::debug!(chain_id = self.chain_id(), endpoint, %error, "an endpoint does not answer");
                failure.get_or_insert_with(|| error.clone());
            }
            snapshots.push(answer.ok());
        }
        // Read after the heads: whatever an honest one shows was published before it was sent.
        let newest = self.published(conn).await?;
        let log_size = super::log_size(conn).await?;
        let lowest = snapshots.iter().flatten().map(|it| it.head.size).min();
        if let (Some(lowest), Some(newest)) = (lowest, &newest) {
            self.hurry.look(conn, lowest, newest.size).await?;
        }
        let mut heads = BTreeMap::new();
        let mut reports = Vec::new();
        for snapshot in &snapshots {
            let Some(snapshot) = snapshot else {
                reports.push(None);
                continue;
            };
            let key = (snapshot.head.size, snapshot.head.root);
            let held = match heads.get(&key) {
                Some(held) => *held,
                None => self.held_against_ours(conn, &snapshot.head, newest.as_ref()).await?,
            };
            heads.insert(key, held);
            let admits_us = !snapshot.head.halted && snapshot.head.writer == sender;
            let seen = HeadSeen { admits_us, ..held };
            reports.push(Some(report(snapshot, seen, &stored)));
        }
        let attempts = stored.iter().map(|it| self.attempt(it)).collect();
        Ok(Looked { stored, attempts, snapshots, reports, newest, log_size, failure })
    }

    /// Whether any endpoint answers; else why not. The database is not asked.
    pub(super) async fn sees(&self) -> Result<(), ChainError> {
        let sender = self.account.address();
        let endpoints = self.endpoints.iter().zip(&self.is_known);
        let asked = join_all(
            endpoints.map(async |(it, known)| within(LOOK_PATIENCE, ask(it, *known, &sender, &[])).await),
        )
        .await;
        let is_seen = asked.iter().any(Result::is_ok);
        let failure = asked.into_iter().find_map(Result::err).filter(|_| !is_seen);
        failure.map_or(Ok(()), Err)
    }

    async fn held_against_ours(
        &self,
        conn: &mut PgConnection,
        head: &Head,
        newest: Option<&RecordedCheckpoint>,
    ) -> Result<HeadSeen, AnchorError> {
        let is_ours = head.size == 0
            || store::checkpoint_at(conn, head.size).await?.is_some_and(|it| it.root == head.root);
        let owed = match newest {
            Some(newest) if head.size < newest.size => {
                // A leaf that is no posting has no time of its own: it waits with the next that has.
                let oldest_ms = store::leaf_time_ms(conn, head.size).await?;
                let hurried_ms = self.hurry.beyond(conn, head.size, newest.size).await?;
                Some(Owed { size: newest.size, oldest_ms: oldest_ms.unwrap_or(0), hurried_ms })
            }
            _ => None,
        };
        Ok(HeadSeen { size: head.size, is_ours, admits_us: true, owed })
    }

    fn attempt(&self, it: &AnchorAttempt) -> Attempt {
        Attempt {
            id: it.anchor_attempt_id,
            is_foreign: it.sender != self.account.address(),
            nonce: it.nonce,
            extends: it.extends,
            size: it.size,
            fees: chain::Fees { fee_wei_max: it.fee_wei_max, tip_wei_max: it.tip_wei_max },
            state: it.state,
            stored_ms: it.stored_ms,
            sent_ms: self
                .sent
                .get(&it.anchor_attempt_id)
                .copied()
                .or(it.sent_ms.filter(|_| self.has_stood_by)),
            refusals: it.refusals,
            block_hash: it.block_hash,
        }
    }
}

async fn ask(
    endpoint: &AuditLog,
    is_known: bool,
    sender: &[u8; 20],
    hashes: &[[u8; 32]],
) -> Result<Snapshot, ChainError> {
    endpoint.chain().check_id().await?;
    // Once is enough: the code of a contract never changes.
    if !is_known {
        endpoint.check_code().await?;
    }
    endpoint.snapshot(sender, hashes).await
}

fn report(snapshot: &Snapshot, head: HeadSeen, stored: &[AnchorAttempt]) -> Report {
    let sight = |it: &TransactionSight| match *it {
        TransactionSight::Unknown => Sight::Unknown,
        TransactionSight::Pooled => Sight::Pooled,
        TransactionSight::Mined { block, block_hash, succeeded, .. } => {
            Sight::Mined { block, block_hash, succeeded }
        }
    };
    let ids = stored.iter().map(|it| it.anchor_attempt_id);
    Report {
        block: snapshot.block,
        base_fee_wei: snapshot.base_fee_wei,
        finalized: snapshot.finalized,
        head,
        nonce: snapshot.nonce,
        nonce_final: snapshot.nonce_final,
        balance_wei: snapshot.balance_wei,
        sights: ids.zip(snapshot.transactions.iter().map(sight)).collect(),
    }
}

impl Looked {
    /// Whether no endpoint has answered.
    pub(super) fn is_blind(&self) -> bool {
        self.snapshots.iter().all(Option::is_none)
    }

    /// Why nobody could be believed, where nobody was.
    pub(super) fn obstacle(&self, decision: &Decision, facts: &PlaceFacts) -> Option<AnchorObstacle> {
        if decision.believed.is_some() {
            return None;
        }
        let shown = self.reports.iter().flatten().map(|it| it.head.size).max();
        match (shown, &self.failure) {
            (Some(shown), _) if shown < facts.settled_size => {
                Some(AnchorObstacle::Stale { shown, finalized: facts.settled_size })
            }
            (_, Some(failure)) => Some(AnchorObstacle::Chain(failure.clone())),
            _ => None,
        }
    }

    /// What a transaction cost and how much gas it took, as any endpoint says.
    pub(super) fn paid(&self, id: i64) -> Option<(u128, u64)> {
        let index = self.stored.iter().position(|it| it.anchor_attempt_id == id)?;
        self.snapshots.iter().flatten().find_map(|it| match it.transactions.get(index) {
            Some(TransactionSight::Mined { paid_wei, gas_used, .. }) => Some((*paid_wei, *gas_used)),
            _ => None,
        })
    }

    /// What the endpoint in the middle shows, by the number of its newest block: one that makes blocks up is never there.
    pub(super) fn usual(&self) -> Option<&Snapshot> {
        let mut shown: Vec<&Snapshot> = self.snapshots.iter().flatten().collect();
        shown.sort_by_key(|it| it.block);
        shown.get(shown.len().saturating_sub(1) / 2).copied()
    }

    /// The newest block that more than half of all endpoints call final.
    pub(super) fn finalized(&self) -> Option<u64> {
        let mut claims: Vec<u64> = self.snapshots.iter().flatten().filter_map(|it| it.finalized).collect();
        claims.sort_unstable_by_key(|it| std::cmp::Reverse(*it));
        claims.get(self.reports.len() / 2).copied()
    }
}
