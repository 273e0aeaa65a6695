//! Acting: a transaction is signed and stored in one round, and sent from what was stored in the next.

use std::sync::Arc;

use chain::{Chain, ChainError, Handed};
use futures::future::join_all;
use store::{AttemptState, NewAttempt, PgConnection};

use super::look::{ASK_PATIENCE, within};
use super::note::tell;
use super::{AnchorDoubt, AnchorError, AnchorObstacle, Anchorer, Looked, Stepped};
use crate::failpoint::{Act as Durable, Moment};
use crate::machine::{Doubt, Plan};

impl From<Doubt> for AnchorDoubt {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::HeadDisagrees { size } => Self::HeadDisagrees { size },
            Doubt::Reverted { size, block } => {
                Self::Reverted { size, why: format!("its transaction was reverted in block {block}") }
            }
        }
    }
}

impl Anchorer {
    /// Signs what was planned and stores it, under the lease that this round began with.
    pub(super) async fn arm(
        &mut self,
        conn: &mut PgConnection,
        looked: &Looked,
        plan: &Plan,
        why: &str,
        token: i64,
    ) -> Result<Stepped, AnchorError> {
        let newest = looked.newest.as_ref().filter(|it| it.size == plan.size);
        let root = match newest {
            Some(newest) => newest.root,
            None => match store::checkpoint_at(conn, plan.size).await? {
                Some(checkpoint) => checkpoint.root,
                None => return Ok(Stepped::Rested("the checkpoint to carry again is gone".to_owned())),
            },
        };
        let (old, new) = (plan.extends, plan.size);
        let endpoint = &self.endpoints[plan.endpoint];
        if old == new && within(ASK_PATIENCE, endpoint.pinned_root(new)).await? == Some(root) {
            store::record_pin(conn, &endpoint.place(), new, true).await?;
            return Ok(Stepped::Rested("somebody has pinned the head already".to_owned()));
        }
        let signed = match old == new {
            true => endpoint.sign_pin(&self.account, plan.nonce, plan.fees).await,
            false => {
                let folder = Arc::clone(&self.folder);
                let proof = tokio::task::spawn_blocking(move || folder.consistency_proof(old, new)).await;
                let proof = proof.expect("the object store does not panic")?;
                endpoint.sign_anchor(&self.account, plan.nonce, plan.fees, new, &root, &proof).await
            }
        };
        let signed = match signed {
            Ok(signed) => signed,
            Err(ChainError::Reverted(why)) => return self.refused(conn, plan, why).await,
            // Not the endpoint's fault.
            Err(error @ ChainError::Signing(_)) => return Err(error.into()),
            Err(error) => {
                self.memory.note_failure(plan.endpoint);
                return Err(error.into());
            }
        };
        // From here the transaction can be followed: whatever happens after this, its hash is known.
        self.passes(Durable::StoreAttempt, Moment::Before)?;
        let attempt = NewAttempt {
            place: endpoint.place(),
            extends: old,
            size: new,
            sender: self.account.address(),
            nonce: plan.nonce,
            transaction: signed.hash,
            raw: &signed.raw,
            fee_wei_max: plan.fees.fee_wei_max,
            tip_wei_max: plan.fees.tip_wei_max,
            why,
        };
        if store::store_attempt(conn, &attempt, token).await?.is_none() {
            // Signed too late, and never sent: whoever holds the lease now has decided anew.
            return Ok(Stepped::StoodBy);
        }
        if plan.replaces.is_none() && old != new {
            self.schedule.sent();
        }
        if plan.presses
            && let Some(seen) = looked.usual()
        {
            self.schedule.pressed(plan.nonce, seen.block);
        }
        tell(old, new, &signed.hash, AttemptState::Armed, None);
        self.passes(Durable::StoreAttempt, Moment::After)?;
        Ok(Stepped::Armed)
    }

    /// The contract would refuse it: where nothing has changed in the meantime, that is a reason to stop, not to try again.
    async fn refused(
        &self,
        conn: &mut PgConnection,
        plan: &Plan,
        why: String,
    ) -> Result<Stepped, AnchorError> {
        let heads = join_all(self.endpoints.iter().map(|it| within(ASK_PATIENCE, it.head()))).await;
        let same = heads.iter().flatten().filter(|it| it.size == plan.extends).count();
        if same <= self.endpoints.len() / 2 {
            return Ok(Stepped::Rested("the head has moved in the meantime".to_owned()));
        }
        let doubt = AnchorDoubt::Reverted { size: plan.size, why };
        store::halt_anchoring(conn, &self.endpoints[0].place(), &doubt.to_string()).await?;
        Err(doubt.into())
    }

    /// Hands stored bytes to every endpoint that answered in this round: to wait for the others would outlast the lease.
    /// Noted as sent before it is: an error of any kind means that it was sent, perhaps.
    pub(super) async fn broadcast(
        &mut self,
        conn: &mut PgConnection,
        looked: &Looked,
        ids: &[i64],
        why: &str,
        now_ms: u64,
    ) -> Result<Stepped, AnchorError> {
        let seen = self.endpoints.iter().zip(&looked.snapshots);
        let mut chains: Vec<Chain> =
            seen.filter(|(_, shown)| shown.is_some()).map(|(it, _)| it.chain().clone()).collect();
        for attempt in ids.iter().filter_map(|id| looked.stored.iter().find(|it| it.anchor_attempt_id == *id))
        {
            store::record_sending(conn, attempt.anchor_attempt_id, why).await?;
            self.sent.insert(attempt.anchor_attempt_id, now_ms);
            self.passes(Durable::SendAttempt, Moment::Before)?;
            let handed = join_all(chains.iter().map(|it| it.hand(&attempt.raw))).await;
            self.passes(Durable::SendAttempt, Moment::After)?;
            if handed.contains(&Ok(Handed::Underpriced)) {
                store::record_refusal(conn, attempt.anchor_attempt_id).await?;
                let chain_id = self.chain_id().to_string();
                metrics::counter!("daftari_anchor_refusals", "chain_id" => chain_id).increment(1);
            }
            // Whoever was silent is not waited for again.
            let mut answers = handed.iter();
            chains.retain(|_| !matches!(answers.next(), Some(Err(ChainError::Unreachable(_)))));
            if handed.iter().all(Result::is_err)
                && let Some(Err(error)) = handed.into_iter().next()
            {
                return Err(AnchorObstacle::Chain(error).into());
            }
        }
        Ok(Stepped::Broadcast)
    }
}
