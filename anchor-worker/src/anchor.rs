//! Anchor: the newest checkpoint goes to the contract. The contract's state is the truth and our records only explain
//! it, so every step begins by reading the contract, and a restart is no special case.

use std::sync::Arc;
use std::time::Duration;

use chain::{Account, AuditLog, ChainError, Head, Receipt};
use store::{
    Anchor, AnchorAttempt, AttemptState, NewAttempt, PgConnection, PgPool, RecordedCheckpoint, StoreError,
};
use tiles::{TileError, TileStore};

use crate::failpoint::{Act, Failpoint, Moment};
use crate::step::{AnchorPolicy, Pending, Sighting, Step, next_step};

/// A failure of anchoring, by what to do about it. Sealing goes on whatever it is.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The world is bad: back off, then try again.
    #[error("anchoring waits: {0}")]
    Retry(#[from] AnchorObstacle),
    /// We no longer know our own state, or the contract refuses us: stop this chain's sender, and raise the alarm.
    #[error("anchoring halts: {0}")]
    Halt(#[from] AnchorDoubt),
}

/// What keeps us from anchoring for now.
#[derive(Debug, thiserror::Error)]
pub enum AnchorObstacle {
    /// PostgreSQL does not answer.
    #[error(transparent)]
    Store(StoreError),
    /// The object store does not answer.
    #[error(transparent)]
    Tiles(TileError),
    /// The chain does not answer, or refuses. A transaction may have been sent.
    #[error(transparent)]
    Chain(ChainError),
    /// The contract was told to take no anchors from us.
    #[error("the contract takes no anchors from {0}: it is halted, or another is its writer")]
    NotAdmitted(String),
    /// The chain shows less than it made final before.
    #[error(
        "the chain shows a head of {shown} leaves after it made {finalized} final: the endpoint is behind, or serves \
         another chain. Point --chain-rpc-url at a node that is in step; a development chain that was reset is taken \
         up by the next start of `daftari up`"
    )]
    Stale {
        /// What it shows.
        shown: u64,
        /// What was final.
        finalized: u64,
    },
    /// A test ended the worker here.
    #[error("a failpoint: {0:?}, {1:?}")]
    Failpoint(Act, Moment),
}

/// What makes us stop a chain's sender.
#[derive(Debug, thiserror::Error)]
pub enum AnchorDoubt {
    /// The contract holds a checkpoint that this log has not signed.
    #[error(
        "the contract's head of {size} leaves is not a checkpoint of this log: two histories, or lost commits"
    )]
    HeadDisagrees {
        /// The head's size.
        size: u64,
    },
    /// A transaction was reverted, or would be.
    #[error("the contract refuses the checkpoint of {size} leaves: {why}")]
    Reverted {
        /// The checkpoint's size.
        size: u64,
        /// In the contract's words.
        why: String,
    },
    /// The chain, the contract or their configuration is not what it should be.
    #[error(transparent)]
    Chain(ChainError),
    /// Tiles are missing or damaged.
    #[error(transparent)]
    Tiles(TileError),
    /// The books are damaged.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AnchorError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(_) => Self::Retry(AnchorObstacle::Store(error)),
            _ => Self::Halt(AnchorDoubt::Store(error)),
        }
    }
}

impl From<TileError> for AnchorError {
    fn from(error: TileError) -> Self {
        if error.is_passing() {
            Self::Retry(AnchorObstacle::Tiles(error))
        } else {
            Self::Halt(AnchorDoubt::Tiles(error))
        }
    }
}

impl From<ChainError> for AnchorError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Unreachable(_) | ChainError::Refused(_) | ChainError::Reverted(_) => {
                Self::Retry(AnchorObstacle::Chain(error))
            }
            _ => Self::Halt(AnchorDoubt::Chain(error)),
        }
    }
}

/// Forgets what was recorded of a development chain that has begun anew since: one that shows no anchor of ours. It must be
/// called before any anchorer of the place starts. A real chain is never believed to have begun anew.
pub async fn forget_if_reset(pool: &PgPool, audit_log: &AuditLog) -> Result<(), AnchorError> {
    let place = audit_log.place();
    if !chain::dev::is_dev(place.chain_id) || audit_log.head().await?.size != 0 {
        return Ok(());
    }
    let conn = &mut *pool.acquire().await.map_err(StoreError::from)?;
    let forgotten = store::forget_place(conn, &place).await?;
    if forgotten != 0 {
        let chain_id = place.chain_id;
        tracing::warn!(
            chain_id,
            forgotten,
            "the development chain shows no anchor: what was recorded of it is forgotten"
        );
    }
    Ok(())
}

/// The sender of one log's anchors to one place.
pub struct Anchorer {
    pool: PgPool,
    folder: Arc<TileStore>,
    audit_log: AuditLog,
    account: Account,
    policy: AnchorPolicy,
    // The attempt that this sender handed to a node last.
    sent: Option<i64>,
    chain_is_checked: bool,
    failpoint: Failpoint,
}

impl Anchorer {
    /// A sender from this account to this place.
    pub fn new(
        pool: PgPool,
        folder: Arc<TileStore>,
        audit_log: AuditLog,
        account: Account,
        policy: AnchorPolicy,
    ) -> Self {
        let failpoint = crate::nowhere();
        Self { pool, folder, audit_log, account, policy, sent: None, chain_is_checked: false, failpoint }
    }

    /// The same sender, ending where the failpoint says.
    #[must_use]
    pub fn with_failpoint(self, failpoint: Failpoint) -> Self {
        Self { failpoint, ..self }
    }

    /// The chain that it sends to.
    pub fn chain_id(&self) -> u64 {
        self.audit_log.place().chain_id
    }

    /// Reads the contract, writes down what it shows, and takes the next step.
    pub async fn step(&mut self) -> Result<Step, AnchorError> {
        if !self.chain_is_checked {
            self.audit_log.chain().check_id().await?;
            self.chain_is_checked = true;
        }
        let pool = self.pool.clone();
        let conn = &mut *pool.acquire().await.map_err(StoreError::from)?;
        // The head is read before our checkpoints: whatever it shows was recorded before it was sent.
        let head = self.audit_log.head().await?;
        self.check_head(conn, &head).await?;
        self.reconcile(conn, &head).await?;
        let pending = self.follow(conn).await?;
        let newest = store::latest_checkpoint(conn).await?;
        let sighting = self.sighting(conn, &head, newest.as_ref(), pending.as_ref()).await?;
        let step = next_step(&self.policy, &sighting);
        match (step, pending, newest) {
            (Step::Send, Some(pending), _) => self.send(conn, &pending).await?,
            (Step::Anchor, _, Some(newest)) => self.anchor(conn, &head, &newest).await?,
            _ => {}
        }
        Ok(step)
    }

    async fn check_head(&self, conn: &mut PgConnection, head: &Head) -> Result<(), AnchorError> {
        if head.size == 0 {
            return Ok(());
        }
        match store::checkpoint_at(conn, head.size).await? {
            Some(recorded) if recorded.root == head.root => Ok(()),
            _ => Err(AnchorDoubt::HeadDisagrees { size: head.size }.into()),
        }
    }

    /// Makes our records say what the contract shows, whoever anchored it.
    async fn reconcile(&self, conn: &mut PgConnection, head: &Head) -> Result<(), AnchorError> {
        let place = self.audit_log.place();
        store::forget_anchors_beyond(conn, &place, head.size).await?;
        let latest = store::latest_anchor(conn, &place).await?;
        if let Some(latest) = latest
            && head.size < latest.size
        {
            return Err(AnchorObstacle::Stale { shown: head.size, finalized: latest.size }.into());
        }
        let finalized = self.audit_log.chain().finalized_block().await?;
        if head.size != 0 && latest.is_none_or(|it| it.size < head.size) {
            self.record(conn, head.size, None, finalized).await?;
        }
        // Looked for again before it is called final: a reorganisation may have moved it.
        for anchor in store::anchors_to_settle(conn, &place, finalized.unwrap_or(0)).await? {
            self.record(conn, anchor.size, Some(anchor.block), finalized).await?;
        }
        Ok(())
    }

    async fn record(
        &self,
        conn: &mut PgConnection,
        size: u64,
        hint_block: Option<u64>,
        finalized: Option<u64>,
    ) -> Result<(), AnchorError> {
        let Some(sighting) = self.audit_log.sighting(size, hint_block).await? else { return Ok(()) };
        let chain::Sighting { block, transaction, .. } = sighting;
        let is_final = finalized.is_some_and(|finalized| block <= finalized);
        let anchor = Anchor { place: self.audit_log.place(), size, block, transaction, is_final };
        store::record_anchor(conn, &anchor).await?;
        Ok(())
    }

    /// Asks what became of every transaction whose story has not ended; gives the oldest that is in no block.
    async fn follow(&self, conn: &mut PgConnection) -> Result<Option<AnchorAttempt>, AnchorError> {
        let chain = self.audit_log.chain();
        let attempts = store::open_attempts(conn, &self.audit_log.place()).await?;
        if attempts.is_empty() {
            return Ok(None);
        }
        // The nonce is read before the receipts: a transaction that takes it in between has its receipt by then.
        let nonce = chain.nonce(&self.account.address()).await?;
        let finalized = chain.finalized_block().await?;
        let mut pending = None;
        for attempt in attempts {
            let receipt = chain.receipt(&attempt.transaction).await?;
            let state = match receipt {
                Some(Receipt { succeeded: false, block }) => {
                    self.note(conn, &attempt, AttemptState::Reverted, Some(block)).await?;
                    let why = format!("its transaction was reverted in block {block}");
                    return Err(AnchorDoubt::Reverted { size: attempt.size, why }.into());
                }
                Some(Receipt { block, .. }) if finalized.is_some_and(|it| block <= it) => AttemptState::Final,
                Some(_) => AttemptState::Included,
                None if attempt.nonce < nonce => AttemptState::Replaced,
                None => {
                    if pending.is_none() {
                        pending = Some(attempt);
                    }
                    continue;
                }
            };
            if state == AttemptState::Replaced {
                tracing::warn!(nonce = attempt.nonce, "the nonce of an anchor went to another transaction");
            }
            self.note(conn, &attempt, state, receipt.map(|it| it.block)).await?;
        }
        Ok(pending)
    }

    async fn note(
        &self,
        conn: &mut PgConnection,
        attempt: &AnchorAttempt,
        state: AttemptState,
        block: Option<u64>,
    ) -> Result<(), AnchorError> {
        if attempt.state != state {
            store::record_attempt_state(conn, attempt.anchor_attempt_id, state).await?;
            let first_leaf = store::anchored_before(conn, &self.audit_log.place(), attempt.size).await?;
            tell(first_leaf, attempt.size, &attempt.transaction, state, block);
        }
        Ok(())
    }

    async fn sighting(
        &self,
        conn: &mut PgConnection,
        head: &Head,
        newest: Option<&RecordedCheckpoint>,
        pending: Option<&AnchorAttempt>,
    ) -> Result<Sighting, AnchorError> {
        let place = self.audit_log.place();
        let anchor_age = store::latest_anchor_age_ms(conn, &place).await?.map(Duration::from_millis);
        let log_size = store::log_size(conn).await?;
        let chain_id = place.chain_id.to_string();
        metrics::gauge!("daftari_unanchored_leaves", "chain_id" => chain_id.clone())
            .set(log_size.saturating_sub(head.size) as f64);
        if let Some(age) = anchor_age {
            metrics::gauge!("daftari_last_anchor_age_seconds", "chain_id" => chain_id).set(age.as_secs_f64());
        }
        Ok(Sighting {
            checkpoint_size: newest.map_or(0, |it| it.size),
            head_size: head.size,
            anchor_age,
            pending: pending.map(|it| Pending {
                // What another sender handed over counts as never sent: whatever ended it may have ended the node too,
                // and with it all that was in no block yet.
                sent_age: it
                    .sent_age_ms
                    .filter(|_| self.sent == Some(it.anchor_attempt_id))
                    .map(Duration::from_millis),
                vanished: it.state == AttemptState::Included,
            }),
        })
    }

    async fn anchor(
        &mut self,
        conn: &mut PgConnection,
        head: &Head,
        newest: &RecordedCheckpoint,
    ) -> Result<(), AnchorError> {
        if head.halted || head.writer != self.account.address() {
            return Err(AnchorObstacle::NotAdmitted(format!("{:?}", self.account)).into());
        }
        let (folder, old, new) = (Arc::clone(&self.folder), head.size, newest.size);
        let proof = tokio::task::spawn_blocking(move || folder.consistency_proof(old, new)).await;
        let proof = proof.expect("the object store does not panic")?;
        let chain = self.audit_log.chain();
        let nonce = chain.nonce(&self.account.address()).await?;
        let fees = chain::fees_for(chain.base_fee_wei().await?, self.policy.tip_wei, self.policy.fee_blocks);
        let signed = self.audit_log.sign_anchor(&self.account, nonce, fees, new, &newest.root, &proof).await;
        let signed = match signed {
            Ok(signed) => signed,
            // Another worker may have anchored in the meantime: then the next step sees another head.
            Err(ChainError::Reverted(_)) if self.audit_log.head().await? != *head => return Ok(()),
            Err(ChainError::Reverted(why)) => return Err(AnchorDoubt::Reverted { size: new, why }.into()),
            Err(error) => return Err(error.into()),
        };
        // From here the transaction can be followed: whatever happens after this, its hash is known.
        self.passes(Act::StoreAttempt, Moment::Before)?;
        let attempt = NewAttempt {
            place: self.audit_log.place(),
            size: new,
            sender: self.account.address(),
            nonce,
            transaction: signed.hash,
            raw: &signed.raw,
        };
        let anchor_attempt_id = store::store_attempt(conn, &attempt).await?;
        tell(old, new, &signed.hash, AttemptState::Armed, None);
        self.passes(Act::StoreAttempt, Moment::After)?;
        self.hand_over(conn, anchor_attempt_id, &signed.raw).await
    }

    async fn send(&mut self, conn: &mut PgConnection, pending: &AnchorAttempt) -> Result<(), AnchorError> {
        self.hand_over(conn, pending.anchor_attempt_id, &pending.raw).await
    }

    // Noted as sent before it is: an error of any kind means that it was sent, perhaps.
    async fn hand_over(
        &mut self,
        conn: &mut PgConnection,
        anchor_attempt_id: i64,
        raw: &[u8],
    ) -> Result<(), AnchorError> {
        store::record_sending(conn, anchor_attempt_id).await?;
        self.sent = Some(anchor_attempt_id);
        self.passes(Act::SendAttempt, Moment::Before)?;
        self.audit_log.chain().send_raw(raw).await?;
        self.passes(Act::SendAttempt, Moment::After)
    }

    fn passes(&self, act: Act, moment: Moment) -> Result<(), AnchorError> {
        if (self.failpoint)(act, moment) {
            Err(AnchorObstacle::Failpoint(act, moment).into())
        } else {
            Ok(())
        }
    }
}

// From a request's line, which has its leaf's index, to the transaction that anchors it: by the range of leaves.
fn tell(first_leaf: u64, size: u64, transaction: &[u8; 32], state: AttemptState, block: Option<u64>) {
    let transaction: String = transaction.iter().map(|byte| format!("{byte:02x}")).collect();
    let transaction = format!("0x{transaction}");
    tracing::info!(first_leaf, last_leaf = size - 1, size, %transaction, ?state, block, "anchor");
}
