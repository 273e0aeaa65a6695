//! Settlements and claims. Anybody may send them and none of them can do harm, so nothing is stored before it is sent: what
//! was lost is found owing again, and what was sent twice the gateway refuses, at the price of some gas.

use std::time::{Duration, Instant};

use chain::{Account, AuditLog, ChainError, Fees, Gateway, SignedTransaction, WithdrawalClaim};
use proof::{Body, Hash};
use store::OpenWithdrawal;

use super::{Bridge, BridgeError, Pending};

/// For how long a transaction may wait before it offers more.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how long a claim is handed in again that is not paid, each further time after twice as long.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// For how long the right to send holds.
const LEASE_MS: u64 = 60_000;
/// How many claims one transaction carries at most: about three million gas.
const BATCH: usize = 50;
/// For how many blocks the fee cap must suffice.
const FEE_BLOCKS: u32 = 12;
/// A claim that would come in this little time before it is too late is not sent.
const MARGIN_S: u64 = 60;

/// How often and when a claim was handed in last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    times: u32,
    last: Instant,
}

impl Tried {
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
            return Ok(0);
        }
        let lease = self.lease(&account);
        let mut conn = self.connection().await?;
        if store::hold_lease(&mut conn, &lease, self.holder, LEASE_MS).await?.is_none() {
            return Ok(0);
        }
        drop(conn);
        let mut failure = None;
        for number in 0..self.config.endpoints.len() {
            let (gateway, audit_log) =
                (self.config.endpoints[number].clone(), self.config.audit_logs[number].clone());
            match self.claim_through(&gateway, &audit_log, &account, open).await {
                Ok(sent) => return Ok(sent),
                Err(BridgeError::Retry(super::BridgeObstacle::Chain(error))) => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.expect("there is an endpoint").into())
    }

    async fn claim_through(
        &mut self,
        gateway: &Gateway,
        audit_log: &AuditLog,
        account: &Account,
        open: &[OpenWithdrawal],
    ) -> Result<u64, BridgeError> {
        let chain = gateway.chain();
        chain.check_id().await?;
        let nonce = chain.nonce(&account.address()).await?;
        self.pending = self.pending.filter(|it| nonce <= it.nonce);
        if self.pending.is_some_and(|it| it.sent.elapsed() < PATIENCE) {
            return Ok(0);
        }
        let base_fee_wei = chain.base_fee_wei().await?;
        let tip_wei = chain::tip_floor_wei(chain.id());
        if self.config.fee_ceiling_wei < base_fee_wei + tip_wei {
            tracing::debug!(base_fee_wei, "claims wait for a lower price");
            return Ok(0);
        }
        let fees = self.bumped(chain::fees_for(base_fee_wei, tip_wei, FEE_BLOCKS));
        let latest = chain.latest_block().await?;
        let now_s = gateway.block(latest).await?.map_or(0, |it| it.1);
        let (claims, uncovered) = self.due(gateway, account, open, now_s).await?;
        let signed = if claims.is_empty() {
            let Some(leaf_index) = uncovered else { return Ok(0) };
            self.settlement(gateway, audit_log, account, nonce, fees, leaf_index).await?
        } else {
            tracing::info!(chain_id = chain.id(), claims = claims.len(), "claims are handed in");
            let signed = gateway.sign_claims(account, nonce, fees, &claims).await?;
            self.note_tried(claims.iter().map(|it| it.0.leaf_index));
            Some(signed)
        };
        let Some(signed) = signed else { return Ok(0) };
        self.pending = Some(Pending { nonce, fees, sent: Instant::now() });
        for endpoint in &self.config.endpoints {
            if let Err(error) = endpoint.chain().hand(&signed.raw).await {
                tracing::debug!(%error, "an endpoint did not take a transaction");
            }
        }
        Ok(1)
    }

    /// What a replacement must offer, where one of ours still waits.
    fn bumped(&self, fees: Fees) -> Fees {
        let Some(Pending { fees: before, .. }) = self.pending else { return fees };
        let more = |it: u128| it + it / 8 + 1;
        Fees {
            fee_wei_max: fees.fee_wei_max.max(more(before.fee_wei_max)),
            tip_wei_max: fees.tip_wei_max.max(more(before.tip_wei_max)),
        }
    }

    /// The claims that the gateway would pay now, and the first leaf that no settled head holds.
    async fn due(
        &mut self,
        gateway: &Gateway,
        account: &Account,
        open: &[OpenWithdrawal],
        now_s: u64,
    ) -> Result<(Vec<(WithdrawalClaim, u64)>, Option<u64>), BridgeError> {
        let mut claims = Vec::new();
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
            let claim = WithdrawalClaim {
                size: *size,
                root: *root,
                leaf_index: it.leaf_index,
                parts: it.parts.clone(),
                salt: it.salt,
                body: Body::Withdrawal(it.withdrawal.clone()).encode(),
                path: self.path(it.leaf_index, *size).await?,
            };
            match gateway.try_claim(&account.address(), &claim).await {
                Ok(gas) => claims.push((claim, gas)),
                Err(ChainError::Reverted(why)) => self.note_refused(it.leaf_index, why),
                Err(error) => return Err(error.into()),
            }
        }
        Ok((claims, uncovered))
    }

    /// Whatever keeps a claim from being paid although it would be, it must not cost more and more.
    fn note_tried(&mut self, leaves: impl Iterator<Item = u64>) {
        for leaf_index in leaves {
            let times = self.tried.get(&leaf_index).map_or(0, |it| it.times + 1);
            self.tried.insert(leaf_index, Tried { times, last: Instant::now() });
        }
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
        known.extend(self.settling.iter().filter(|it| leaf_index < it.0));
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

    /// A settlement of the head, if it holds the leaf and is not settled.
    async fn settlement(
        &mut self,
        gateway: &Gateway,
        audit_log: &AuditLog,
        account: &Account,
        nonce: u64,
        fees: Fees,
        leaf_index: u64,
    ) -> Result<Option<SignedTransaction>, BridgeError> {
        let head = audit_log.head().await?;
        let is_strange = head.size != 0 && !self.is_ours(head.size, &head.root).await?;
        let strange = is_strange.then_some((head.size, head.root));
        if strange.is_some() && self.strange != strange {
            let (chain_id, size) = (self.at.chain_id, head.size);
            tracing::error!(
                chain_id,
                size,
                "an endpoint shows a head that is none of this log's: it is not settled"
            );
        }
        self.strange = strange;
        if is_strange
            || head.size <= leaf_index
            || head.halted
            || gateway.matures_at(head.size, &head.root).await? != 0
        {
            return Ok(None);
        }
        let signed = gateway.sign_settle(account, nonce, fees, &self.config.terms.place).await?;
        tracing::info!(chain_id = self.at.chain_id, size = head.size, "a head is settled for claims");
        self.settling.push((head.size, head.root));
        Ok(Some(signed))
    }

    /// Whether this log was sealed so. Of any other head nothing of ours can be proven, and to settle it would help whoever
    /// anchored it.
    async fn is_ours(&self, size: u64, root: &Hash) -> Result<bool, BridgeError> {
        let sealed = store::checkpoint_at(&mut *self.connection().await?, size).await?;
        Ok(sealed.is_some_and(|it| it.root == *root))
    }

    async fn path(&self, leaf_index: u64, size: u64) -> Result<Vec<Hash>, BridgeError> {
        let tiles = self.config.tiles.clone();
        let path = tokio::task::spawn_blocking(move || tiles.inclusion_proof(leaf_index, size)).await;
        Ok(path.expect("reading tiles does not panic")?)
    }
}
