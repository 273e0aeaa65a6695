//! Settlements and claims. Anybody may send them and none of them can do harm, so nothing is stored before it is sent: what
//! was lost is found owing again, and what was sent twice the gateway refuses, at the price of some gas.

use std::time::{Duration, Instant};

use chain::{Account, ChainError, Fees, Gateway, Handed, WithdrawalClaim};
use futures::future::join_all;
use proof::{Body, Hash};
use store::OpenWithdrawal;

use super::{Bridge, BridgeError, Pending, fees};

/// For how long a transaction may wait before it offers more.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how long a claim is handed in again that is not paid, each further time after twice as long.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// For how long the right to send holds.
const LEASE_MS: u64 = 60_000;
/// How many claims one transaction carries at most: of one amount each, about four million gas.
const BATCH: usize = 50;
/// How much gas these may take by themselves: with a quarter more, less than the 16.7 million that a transaction may have.
const BATCH_GAS_MAX: u64 = 12_000_000;
/// A claim that would come in this little time before it is too late is not sent.
const MARGIN_S: u64 = 60;

/// How often and when a claim or a settlement was handed in last. Whatever keeps it from taking effect although it would, it must
/// not cost more and more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    times: u32,
    last: Instant,
}

impl Tried {
    fn once_more(before: Option<&Self>) -> Self {
        Self { times: before.map_or(0, |it| it.times + 1), last: Instant::now() }
    }

    fn rests(&self) -> bool {
        self.last.elapsed() < TRY_AGAIN * (1 << self.times.min(10))
    }
}

impl Bridge {
    /// Hands in what is owed now: claims whose head is mature, else the settlement of a head that others wait for.
    pub(super) async fn claim(&mut self, open: &[OpenWithdrawal]) -> Result<u64, BridgeError> {
        self.tried.retain(|leaf, _| open.iter().any(|it| it.leaf_index == *leaf));
        let Some(account) = self.config.account.clone() else { return Ok(0) };
        if open.is_empty() {
            // Nothing waits for the contract's head, so nobody looks at it.
            self.strange.clear();
            return Ok(0);
        }
        let lease = self.lease(&account);
        let mut conn = self.connection().await?;
        if store::hold_lease(&mut conn, &lease, self.holder, LEASE_MS).await?.is_none() {
            return Ok(0);
        }
        drop(conn);
        let mut failure = None;
        // Each round begins at another: one that is behind, or lies about time or price, keeps claims only from its own rounds.
        let (first, count) = (self.turn, self.config.endpoints.len());
        self.turn = (first + 1) % count;
        for number in (first..count).chain(0..first) {
            match self.claim_through(number, &account, open).await {
                Ok(sent) => return Ok(sent),
                Err(BridgeError::Retry(super::BridgeObstacle::Chain(error))) => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.expect("there is an endpoint").into())
    }

    async fn claim_through(
        &mut self,
        number: usize,
        account: &Account,
        open: &[OpenWithdrawal],
    ) -> Result<u64, BridgeError> {
        let gateway = &self.config.endpoints[number].clone();
        let chain = gateway.chain();
        chain.check_id().await?;
        let nonce = chain.nonce(&account.address()).await?;
        self.pending.take_if(|it| it.nonce < nonce);
        if self.pending.as_ref().is_some_and(|it| it.sent.elapsed() < PATIENCE) {
            return Ok(0);
        }
        let base_fee_wei = chain.base_fee_wei().await?;
        let (tip_wei, ceiling_wei) = (chain::tip_floor_wei(chain.id()), self.config.fee_ceiling_wei);
        let waits = self.pending.as_ref().map(|it| it.fees);
        let Some(fees) = fees::offer(base_fee_wei, tip_wei, ceiling_wei, waits) else {
            tracing::debug!(base_fee_wei, "claims wait for a lower price");
            // Nodes forget what waits for long, and one that has it has lost nothing.
            if let Some(Pending { nonce, fees, raw, .. }) = self.pending.take() {
                self.hand(nonce, fees, raw.clone()).await;
                self.pending = Some(Pending { nonce, fees, raw, sent: Instant::now() });
            }
            return Ok(0);
        };
        let latest = chain.latest_block().await?;
        let now_s = gateway.block(latest).await?.map_or(0, |it| it.1);
        let (claims, uncovered) = self.due(gateway, account, open, now_s).await?;
        if !claims.is_empty() {
            let signed = gateway.sign_claims(account, nonce, fees, &claims).await?;
            if !self.hand(nonce, fees, signed.raw).await {
                return Ok(0);
            }
            tracing::info!(chain_id = chain.id(), claims = claims.len(), "claims are handed in");
            for (claim, _) in claims {
                let tried = Tried::once_more(self.tried.get(&claim.leaf_index));
                self.tried.insert(claim.leaf_index, tried);
            }
            return Ok(1);
        }
        let Some(leaf_index) = uncovered else {
            self.strange.clear();
            return Ok(0);
        };
        let Some(head) = self.unsettled(number, leaf_index).await? else { return Ok(0) };
        let signed = gateway.sign_settle(account, nonce, fees, &self.config.terms.place).await?;
        if !self.hand(nonce, fees, signed.raw).await {
            return Ok(0);
        }
        tracing::info!(chain_id = chain.id(), size = head.0, "a head is settled for claims");
        self.settling.insert(head, Tried::once_more(self.settling.get(&head)));
        Ok(1)
    }

    /// Hands a transaction to every endpoint. Where one may have it, it waits from now on, and whatever takes its place has to
    /// outbid it. Where none has, as while there is nothing to pay with, nothing was offered that had to be outbid.
    async fn hand(&mut self, nonce: u64, fees: Fees, raw: Vec<u8>) -> bool {
        let mut refusal = String::new();
        let mut is_taken = false;
        for endpoint in &self.config.endpoints {
            match endpoint.chain().hand(&raw).await {
                // It has this one, or one of ours that this one does not outbid.
                Ok(Handed::Taken | Handed::Underpriced) => is_taken = true,
                Ok(refused) => refusal = format!("{refused:?}"),
                // Perhaps it has it.
                Err(ChainError::Unreachable(_)) => is_taken = true,
                Err(error) => refusal = error.to_string(),
            }
        }
        if !is_taken && !self.is_refused {
            let chain_id = self.at.chain_id;
            tracing::warn!(chain_id, refusal, "no endpoint takes what the bridge sends");
        }
        self.is_refused = !is_taken;
        if is_taken {
            self.pending = Some(Pending { nonce, fees, raw, sent: Instant::now() });
        }
        is_taken
    }

    /// The claims that the gateway would pay now, and the first leaf that no settled head holds.
    async fn due(
        &mut self,
        gateway: &Gateway,
        account: &Account,
        open: &[OpenWithdrawal],
        now_s: u64,
    ) -> Result<(Vec<(WithdrawalClaim, u64)>, Option<u64>), BridgeError> {
        let (mut claims, mut gas_sum) = (Vec::new(), 0);
        let mut uncovered = None;
        let mut heads: Vec<(u64, Hash, u64)> = Vec::new();
        for it in open.iter().filter(|it| now_s + MARGIN_S < it.withdrawal.claim_before) {
            if claims.len() == BATCH {
                break;
            }
            if !heads.iter().any(|head| it.leaf_index < head.0) {
                heads = self.heads(gateway, it.leaf_index).await?;
            }
            let Some((size, root, matures_at)) =
                heads.iter().filter(|head| it.leaf_index < head.0).min_by_key(|head| head.2)
            else {
                uncovered = Some(it.leaf_index);
                break;
            };
            if now_s < *matures_at || self.tried.get(&it.leaf_index).is_some_and(Tried::rests) {
                continue;
            }
            let id = &it.withdrawal.withdrawal_id;
            if self.tried.contains_key(&it.leaf_index) && self.seems_paid(id).await {
                continue;
            }
            let claim = WithdrawalClaim {
                size: *size,
                root: *root,
                leaf_index: it.leaf_index,
                parts: it.parts.clone(),
                salt: it.salt,
                body: Body::Withdrawal(it.withdrawal.clone()).encode(),
                path: self.path(it.leaf_index, *size).await?,
            };
            match self.weigh(gateway, &account.address(), &claim, id).await? {
                Ok(gas) if !fits(gas_sum, gas) => break,
                Ok(gas) => {
                    gas_sum += gas;
                    claims.push((claim, gas));
                }
                Err(why) => self.note_refused(it.leaf_index, why),
            }
        }
        Ok((claims, uncovered))
    }

    /// How much gas a claim takes by itself, or why the gateway refuses it. That it does, one endpoint alone is not believed: what
    /// no more than half of all refuse is handed in, and where it is refused indeed, some gas is lost. Not so what seems paid.
    async fn weigh(
        &self,
        gateway: &Gateway,
        from: &[u8; 20],
        claim: &WithdrawalClaim,
        id: &Hash,
    ) -> Result<Result<u64, String>, BridgeError> {
        let why = match gateway.try_claim(from, claim).await {
            Ok(gas) => return Ok(Ok(gas)),
            Err(ChainError::Reverted(why)) => why,
            Err(error) => return Err(error.into()),
        };
        if self.seems_paid(id).await {
            return Ok(Err(why));
        }
        let answers = join_all(self.config.endpoints.iter().map(|it| it.try_claim(from, claim))).await;
        let refusals = answers.iter().filter(|it| matches!(it, Err(ChainError::Reverted(_)))).count();
        let gas = answers.into_iter().filter_map(Result::ok).max();
        Ok(gas.filter(|_| 2 * refusals <= self.config.endpoints.len()).ok_or(why))
    }

    /// Whether half of all endpoints say that this is paid already: one that lags would have it claimed again and again.
    async fn seems_paid(&self, id: &Hash) -> bool {
        let answers = join_all(self.config.endpoints.iter().map(|it| it.is_claimed(id))).await;
        let paid = answers.iter().filter(|it| matches!(it, Ok(true))).count();
        self.config.endpoints.len() <= 2 * paid
    }

    fn note_refused(&mut self, leaf_index: u64, why: String) {
        // Paid already, and not final yet.
        if why.contains("AlreadyClaimed") {
            return;
        }
        if self.refused.get(&leaf_index) != Some(&why) {
            tracing::warn!(leaf_index, why, "the gateway refuses a claim");
            self.refused.insert(leaf_index, why);
        }
    }

    /// The heads that hold this leaf and are settled, with when claims against each begin.
    async fn heads(&self, gateway: &Gateway, leaf_index: u64) -> Result<Vec<(u64, Hash, u64)>, BridgeError> {
        let mut known = store::settled_heads(&mut *self.connection().await?, &self.at, leaf_index).await?;
        known.extend(self.settling.keys().filter(|it| leaf_index < it.0));
        known.sort_unstable();
        known.dedup();
        let mut heads = Vec::new();
        for (size, root) in known {
            if !self.is_ours(size, &root).await? {
                continue;
            }
            let matures_at = gateway.matures_at(size, &root).await?;
            if matures_at != 0 && matures_at != u64::MAX {
                heads.push((size, root, matures_at));
            }
        }
        Ok(heads)
    }

    /// The contract's head, if it holds the leaf, is not settled and is to be.
    async fn unsettled(
        &mut self,
        number: usize,
        leaf_index: u64,
    ) -> Result<Option<(u64, Hash)>, BridgeError> {
        let head = self.config.audit_logs[number].head().await?;
        let is_strange = self.is_strange(number, head.size, &head.root).await?;
        let head_at = (head.size, head.root);
        let is_wanted = !is_strange && leaf_index < head.size && !head.halted;
        let rests = self.settling.get(&head_at).is_some_and(Tried::rests);
        let gateway = &self.config.endpoints[number];
        if !is_wanted || rests || gateway.matures_at(head.size, &head.root).await? != 0 {
            return Ok(None);
        }
        Ok(Some(head_at))
    }

    async fn path(&self, leaf_index: u64, size: u64) -> Result<Vec<Hash>, BridgeError> {
        let tiles = self.config.tiles.clone();
        let path = tokio::task::spawn_blocking(move || tiles.inclusion_proof(leaf_index, size)).await;
        Ok(path.expect("reading tiles does not panic")?)
    }
}

/// Whether claims that take so much gas leave room for one of this much. One alone is always tried.
fn fits(gas_sum: u64, gas: u64) -> bool {
    gas_sum == 0 || gas_sum.saturating_add(gas) <= BATCH_GAS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_no_more_gas_than_a_transaction_may_have() {
        let check = |gas_sum, gas, expected| assert_eq!(fits(gas_sum, gas), expected, "{gas_sum} {gas}");
        check(0, 4_000_000, true);
        check(8_000_000, 4_000_000, true);
        check(8_000_001, 4_000_000, false);
        // What an endpoint says that lies.
        check(0, u64::MAX, true);
        check(u64::MAX, 1, false);
        check(1, u64::MAX, false);
    }
}
