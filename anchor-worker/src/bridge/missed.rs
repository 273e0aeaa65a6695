//! Payments that were never read: an endpoint's index of events had lost them, or lagged behind its blocks. That a withdrawal is
//! paid the contract itself says; the event is looked for in the blocks that were read without it, and closes the withdrawal
//! like any other.

use std::collections::BTreeMap;

use chain::{ChainError, Gateway};
use futures::future::join_all;
use proof::Hash;
use store::{GatewayState, OpenWithdrawal};

use super::watch::{STRIDE_MAX, Shown};
use super::{Bridge, BridgeError, agreement};

/// For how long a withdrawal can be claimed at most.
const CLAIM_S_MAX: u64 = 90 * 24 * 3600;

/// How far back was looked.
#[derive(Debug)]
pub(super) struct Search {
    /// The last block of the next stride; none where it is the last one that was read.
    end: Option<u64>,
    /// How many blocks are asked for at once.
    stride: u64,
}

impl Search {
    pub(super) const BEGIN: Self = Self { end: None, stride: STRIDE_MAX };
}

impl Bridge {
    /// Looks for these payments in one stride of blocks, further back in each round. Where none of them can be any more, it
    /// begins again: an index may have caught up.
    pub(super) async fn look_for(&mut self, paid: &[OpenWithdrawal]) -> Result<(), BridgeError> {
        let Some(claim_before) = paid.iter().map(|it| it.withdrawal.claim_before).min() else {
            self.search = Search::BEGIN;
            return Ok(());
        };
        let Some(state) = self.known_state().await? else { return Ok(()) };
        let end = self.search.end.map_or(state.block, |it| it.min(state.block));
        let begin = end.saturating_sub(self.search.stride - 1);
        let ids: Vec<Hash> = paid.iter().map(|it| it.withdrawal.withdrawal_id).collect();
        let shown = match self.payments(&ids, begin, end).await {
            Ok(shown) => shown,
            Err(BridgeError::Retry(obstacle)) => {
                // Perhaps it was asked for too many blocks.
                self.search.stride = (self.search.stride / 2).max(1);
                tracing::warn!(%obstacle, chain_id = self.at.chain_id, "payments that were missed are not found");
                return Ok(());
            }
            Err(doubt) => return Err(doubt),
        };
        let is_too_early = shown.seen.time_s.saturating_add(CLAIM_S_MAX) < claim_before;
        let stride = (self.search.stride * 2).min(STRIDE_MAX);
        let next = Search { end: begin.checked_sub(1).filter(|_| !is_too_early), stride };
        if shown.seen.claims.is_empty() {
            self.search = next;
            return Ok(());
        }
        self.expiries.extend(&shown.expiries);
        let events = self.events(shown);
        // While another bridge reads on, no claim can be told to be strange: then the same stride is looked at again.
        let Some(state) = self.known_state().await? else { return Ok(()) };
        if let Some(doubt) = self.strange_claim(&state, &events).await? {
            return Err(doubt.into());
        }
        if self.known_state().await?.is_none_or(|it| it.block != state.block) {
            return Ok(());
        }
        store::record_missed_claims(&mut *self.connection().await?, &self.at, &events).await?;
        // Not before: what is in doubt halts each round, and what was not written down is found again.
        self.search = next;
        let claims = events.claims.len();
        tracing::info!(chain_id = self.at.chain_id, claims, "payments are read that had been missed");
        Ok(())
    }

    async fn known_state(&self) -> Result<Option<GatewayState>, BridgeError> {
        Ok(store::gateway_state(&mut *self.connection().await?, &self.at).await?)
    }

    /// What more than half of all endpoints show alike of these payments.
    async fn payments(&self, ids: &[Hash], begin: u64, end: u64) -> Result<Shown, BridgeError> {
        let points = self.config.terms.points;
        let ask = async |it: &Gateway| {
            let seen = it.payments(ids, begin, end).await?;
            let mut expiries = BTreeMap::new();
            for (epoch, _) in seen.claims.iter().flat_map(|it| &it.minted) {
                expiries.insert(*epoch, it.expires_at(&points, *epoch).await?);
            }
            Ok::<_, ChainError>(Shown { before: None, seen, expiries, times: BTreeMap::new() })
        };
        let answers = join_all(self.config.endpoints.iter().map(ask)).await;
        agreement::agreed(answers, format!("payments in the blocks from {begin} to {end}"))
    }
}
