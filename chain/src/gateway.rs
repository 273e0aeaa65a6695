//! The gateway between the books and the token: what it shows, and what anybody may ask of it.

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::{Block, Filter, Log, TransactionInput, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};
use proof::{Commitments, Hash};

use crate::account::{Account, SignedTransaction, Unsigned};
use crate::contracts::loyalty_points::LoyaltyPoints as Token;
use crate::contracts::points_gateway::PointsGateway as Bindings;
use crate::contracts::points_gateway::PointsGateway::{
    Claim as EncodedClaim, Commitments as EncodedCommitments,
};
use crate::error::ChainError;
use crate::fees::Fees;
use crate::rpc::Chain;

/// What a batch takes beyond its claims, generously.
const BATCH_GAS: u64 = 50_000;
/// How much gas a transaction may have at most (EIP-7825).
const TRANSACTION_GAS_MAX: u64 = 1 << 24;

/// What a gateway was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayTerms {
    /// The token.
    pub points: [u8; 20],
    /// The audit contract.
    pub audit: [u8; 20],
    /// The log's place in it.
    pub place: Hash,
    /// By how many seconds the program's local time is ahead of UTC.
    pub zone_s: i32,
    /// How long the token's epochs are, in seconds.
    pub epoch_s: u32,
}

/// A withdrawal that was paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSeen {
    /// Which.
    pub withdrawal_id: Hash,
    /// To whom.
    pub holder: [u8; 20],
    /// Epochs and amounts.
    pub minted: Vec<(u64, u64)>,
    /// How much had expired.
    pub lapsed: u64,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: Hash,
}

/// Points that were burned to be credited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurnSeen {
    /// Its number.
    pub burn_id: u64,
    /// Who burned.
    pub holder: [u8; 20],
    /// What they named.
    pub credit_to: Hash,
    /// Epochs and amounts.
    pub amounts: Vec<(u64, u64)>,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: Hash,
}

/// What a range of blocks shows, as of its last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySeen {
    /// The last block.
    pub block: u64,
    /// Its hash.
    pub block_hash: Hash,
    /// Its time, in seconds since 1970.
    pub time_s: u64,
    /// What was paid.
    pub claims: Vec<ClaimSeen>,
    /// What was burned.
    pub burns: Vec<BurnSeen>,
    /// Which heads of the log were settled, by size and root.
    pub settled: Vec<(u64, Hash)>,
}

/// A withdrawal leaf with all that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawalClaim {
    /// The settled head's size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The leaf's place.
    pub leaf_index: u64,
    /// The commitments of its parts.
    pub parts: Commitments,
    /// The body's salt.
    pub salt: Hash,
    /// The body.
    pub body: Vec<u8>,
    /// The inclusion proof.
    pub path: Vec<Hash>,
}

/// What the token holds, as of one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// What all holders can spend.
    pub unexpired: u64,
    /// What they have of each epoch that was asked for.
    pub by_epoch: Vec<u64>,
}

/// A gateway, through one endpoint.
#[derive(Clone, Debug)]
pub struct Gateway {
    chain: Chain,
    contract: Address,
    log_id: B256,
}

impl Gateway {
    /// The gateway at this address, for this log.
    pub fn new(chain: Chain, contract: [u8; 20], log_id: &Hash) -> Self {
        Self { chain, contract: contract.into(), log_id: log_id.into() }
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Its address.
    pub fn contract(&self) -> [u8; 20] {
        self.contract.into_array()
    }

    /// What it was made with. That it is the operator's own contract, whoever names its address has to know.
    pub async fn terms(&self) -> Result<GatewayTerms, ChainError> {
        let points = self.ask(Bindings::pointsCall {}).await?;
        let epoch_s = self.ask_at(points, Token::epochLengthCall {}, None).await?;
        Ok(GatewayTerms {
            points: points.into_array(),
            audit: self.ask(Bindings::auditCall {}).await?.into_array(),
            place: self.ask(Bindings::placeCall {}).await?.0,
            zone_s: self.ask(Bindings::zoneCall {}).await?,
            epoch_s: u32::try_from(epoch_s)
                .map_err(|_| ChainError::Malformed(format!("epochs of {epoch_s} seconds")))?,
        })
    }

    /// The hash and the time of a block; none where the endpoint has no such block.
    pub async fn block(&self, number: u64) -> Result<Option<(Hash, u64)>, ChainError> {
        let block: Option<Block> = self.chain.ask("eth_getBlockByNumber", (U64::from(number), false)).await?;
        Ok(block.map(|it| (it.header.hash.0, it.header.timestamp)))
    }

    /// What these blocks show, both ends with them. A node whose index of events lags behind its blocks shows fewer than there
    /// were: where its own state tells how many burns there were before and after, what it shows must be all of them.
    pub async fn seen(&self, begin: u64, end: u64) -> Result<GatewaySeen, ChainError> {
        let filter = Filter::new().event_signature(vec![
            Bindings::Claimed::SIGNATURE_HASH,
            Bindings::BurnedForCredit::SIGNATURE_HASH,
            Bindings::Settled::SIGNATURE_HASH,
        ]);
        let seen = self.events(filter, begin, end).await?;
        let before = self.burns_as_of(begin.saturating_sub(1)).await?;
        let after = self.burns_as_of(end).await?;
        match lacking(seen.burns.iter().map(|it| it.burn_id), before, after) {
            Some(burn) => {
                Err(ChainError::Malformed(format!("its events up to block {end} lack burn {burn}")))
            }
            None => Ok(seen),
        }
    }

    /// The payments of these withdrawals in these blocks, both ends with them, and nothing else of what they show.
    pub async fn payments(&self, ids: &[Hash], begin: u64, end: u64) -> Result<GatewaySeen, ChainError> {
        let wanted: Vec<B256> = ids.iter().map(B256::from).collect();
        let filter = Filter::new().event_signature(Bindings::Claimed::SIGNATURE_HASH).topic1(wanted);
        let mut seen = self.events(filter, begin, end).await?;
        seen.claims.retain(|it| ids.contains(&it.withdrawal_id));
        Ok(seen)
    }

    async fn events(&self, filter: Filter, begin: u64, end: u64) -> Result<GatewaySeen, ChainError> {
        let absent = || ChainError::Refused(format!("it has no block {end}"));
        let (block_hash, time_s) = self.block(end).await?.ok_or_else(absent)?;
        let filter = filter.address(self.contract).from_block(begin).to_block(end);
        let (claims, burns, settled) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = GatewaySeen { block: end, block_hash, time_s, claims, burns, settled };
        for log in self.chain.logs(&filter).await? {
            if !log.removed && log.address() == self.contract {
                self.read(&log, &mut seen)?;
            }
        }
        Ok(seen)
    }

    /// How many burns there were as of a block; none where the endpoint keeps no state of then.
    async fn burns_as_of(&self, block: u64) -> Result<Option<u64>, ChainError> {
        match self.ask_at(self.contract, Bindings::burnsCall {}, Some(block)).await {
            Ok(burns) => Ok(Some(small(burns))),
            // There was no gateway yet.
            Err(ChainError::NoContract(_)) => Ok(Some(0)),
            Err(ChainError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, log: &Log, seen: &mut GatewaySeen) -> Result<(), ChainError> {
        let unread = |_| ChainError::Malformed("an event of the gateway cannot be read".to_owned());
        let (Some(block), Some(transaction)) = (log.block_number, log.transaction_hash) else {
            return Err(ChainError::Malformed("an event of the gateway is in no block".to_owned()));
        };
        let transaction = transaction.0;
        match log.topic0() {
            Some(&Bindings::Claimed::SIGNATURE_HASH) => {
                let event = Bindings::Claimed::decode_log(&log.inner).map_err(unread)?;
                let minted = event.minted.iter().map(|it| (small(it.epoch), small(it.amount))).collect();
                seen.claims.push(ClaimSeen {
                    withdrawal_id: event.id.0,
                    holder: event.holder.into_array(),
                    minted,
                    lapsed: small(event.lapsed),
                    block,
                    transaction,
                });
            }
            Some(&Bindings::BurnedForCredit::SIGNATURE_HASH) => {
                let event = Bindings::BurnedForCredit::decode_log(&log.inner).map_err(unread)?;
                seen.burns.push(BurnSeen {
                    burn_id: small(event.burnId),
                    holder: event.holder.into_array(),
                    credit_to: event.creditTo.0,
                    amounts: event.amounts.iter().map(|it| (small(it.epoch), small(it.amount))).collect(),
                    block,
                    transaction,
                });
            }
            Some(&Bindings::Settled::SIGNATURE_HASH) => {
                let event = Bindings::Settled::decode_log(&log.inner).map_err(unread)?;
                if event.log == self.log_id {
                    seen.settled.push((event.size, event.root.0));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// When the points of an epoch expire, in seconds since 1970. It never changes.
    pub async fn expires_at(&self, points: &[u8; 20], epoch: u64) -> Result<u64, ChainError> {
        let call = Token::expiresAtCall { epoch: U256::from(epoch) };
        Ok(small(self.ask_at(Address::from(*points), call, None).await?))
    }

    /// What the token holds as of a block.
    pub async fn supply(&self, points: &[u8; 20], epochs: &[u64], block: u64) -> Result<Supply, ChainError> {
        let points = Address::from(*points);
        let unexpired = small(self.ask_at(points, Token::totalSupplyCall {}, Some(block)).await?);
        let mut by_epoch = Vec::with_capacity(epochs.len());
        for epoch in epochs {
            let call = Token::supplyAtEpochCall { epoch: U256::from(*epoch) };
            by_epoch.push(small(self.ask_at(points, call, Some(block)).await?));
        }
        Ok(Supply { unexpired, by_epoch })
    }

    /// From when on claims are made against this head: 0 where it is not settled, 2^64 - 1 where that was cancelled.
    pub async fn matures_at(&self, size: u64, root: &Hash) -> Result<u64, ChainError> {
        self.ask(Bindings::maturesAtCall { log: self.log_id, size, root: root.into() }).await
    }

    /// Whether a withdrawal is paid as of the newest block.
    pub async fn is_claimed(&self, withdrawal_id: &Hash) -> Result<bool, ChainError> {
        self.ask(Bindings::claimedCall { id: withdrawal_id.into() }).await
    }

    /// How much gas this claim takes by itself as of the newest block, or why it is refused.
    pub async fn try_claim(&self, from: &[u8; 20], claim: &WithdrawalClaim) -> Result<u64, ChainError> {
        let call = Bindings::claimCall { claim_: self.encoded(claim) };
        self.chain.gas(from, Some(self.contract), &call.abi_encode()).await
    }

    /// Signs a settlement of the log's present head. Nothing is sent.
    pub async fn sign_settle(
        &self,
        account: &Account,
        nonce: u64,
        fees: Fees,
        place: &Hash,
    ) -> Result<SignedTransaction, ChainError> {
        let call = Bindings::settleCall { place_: place.into() };
        self.chain.sign(account, nonce, fees, Some(self.contract), call.abi_encode()).await
    }

    /// Signs a batch of claims, with how much gas each takes by itself. One that is refused by then is skipped. Nothing is
    /// sent. A node's estimate would be worth nothing here: a claim that runs out of gas is skipped as well, and the
    /// cheapest batch is one that pays nobody.
    pub async fn sign_claims(
        &self,
        account: &Account,
        nonce: u64,
        fees: Fees,
        claims: &[(WithdrawalClaim, u64)],
    ) -> Result<SignedTransaction, ChainError> {
        let call = Bindings::claimBatchCall { claims: claims.iter().map(|it| self.encoded(&it.0)).collect() };
        let gas_max = batch_gas(claims.iter().map(|it| it.1));
        let input = Bytes::from(call.abi_encode());
        let (chain_id, to) = (self.chain.id(), Some(self.contract));
        account.sign(Unsigned { chain_id, nonce, gas_max, fees, to, input }).await
    }

    fn encoded(&self, claim: &WithdrawalClaim) -> EncodedClaim {
        EncodedClaim {
            log: self.log_id,
            size: claim.size,
            root: claim.root.into(),
            leafIndex: claim.leaf_index,
            parts: EncodedCommitments {
                header: claim.parts.header.into(),
                details: claim.parts.details.into(),
                body: claim.parts.body.unwrap_or_default().into(),
                entries: claim.parts.entries.iter().map(B256::from).collect(),
            },
            salt: claim.salt.into(),
            body: Bytes::copy_from_slice(&claim.body),
            proof: claim.path.iter().map(B256::from).collect(),
        }
    }

    async fn ask<C: SolCall>(&self, call: C) -> Result<C::Return, ChainError> {
        self.ask_at(self.contract, call, None).await
    }

    async fn ask_at<C: SolCall>(
        &self,
        contract: Address,
        call: C,
        block: Option<u64>,
    ) -> Result<C::Return, ChainError> {
        let input = Bytes::from(call.abi_encode());
        let request = TransactionRequest {
            to: Some(contract.into()),
            input: TransactionInput::both(input),
            ..Default::default()
        };
        let answer: Bytes = match block {
            Some(block) => self.chain.ask("eth_call", (request, U64::from(block))).await?,
            None => self.chain.ask("eth_call", (request, "latest")).await?,
        };
        C::abi_decode_returns(&answer).map_err(|error| ChainError::NoContract(error.to_string()))
    }
}

/// Our amounts and epochs fit; what does not is the greatest number, which the check of the bridge will not overlook.
fn small(number: U256) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Which burn is missing among those that were shown, where there were so many before and after them: burns are numbered
/// without holes.
fn lacking(shown: impl Iterator<Item = u64>, before: Option<u64>, after: Option<u64>) -> Option<u64> {
    let mut last = before;
    for burn in shown {
        if last.is_some_and(|it| it.checked_add(1) != Some(burn)) {
            return last.map(|it| it.saturating_add(1));
        }
        last = Some(burn);
    }
    last.zip(after).filter(|(last, after)| last != after).map(|(last, _)| last.saturating_add(1))
}

/// How much gas a batch is given for claims that take so much by themselves: a quarter more, since a call inside gets 63 of 64
/// parts of what is left.
fn batch_gas(claims: impl Iterator<Item = u64>) -> u64 {
    let gas = claims.fold(0, u64::saturating_add);
    (gas.saturating_mul(5) / 4).saturating_add(BATCH_GAS).min(TRANSACTION_GAS_MAX)
}

#[cfg(test)]
mod tests {
    use super::{batch_gas, lacking};

    #[test]
    fn a_burn_that_is_not_shown_is_missed() {
        let check = |shown: &[u64], before, after, expected| {
            assert_eq!(
                lacking(shown.iter().copied(), before, after),
                expected,
                "{shown:?} {before:?} {after:?}"
            );
        };
        check(&[], Some(0), Some(0), None);
        check(&[1, 2], Some(0), Some(2), None);
        check(&[], Some(0), Some(1), Some(1));
        check(&[1], Some(0), Some(2), Some(2));
        check(&[2], Some(0), Some(2), Some(1));
        check(&[5, 7], Some(4), Some(7), Some(6));
        // One more than there were.
        check(&[1, 2], Some(0), Some(1), Some(3));
        // An endpoint that keeps no state of then: what it shows must have no hole, and end where it should.
        check(&[], None, None, None);
        check(&[], None, Some(7), None);
        check(&[5, 6], None, None, None);
        check(&[5, 7], None, None, Some(6));
        check(&[5, 6], None, Some(7), Some(7));
        check(&[6], Some(4), None, Some(5));
    }

    #[test]
    fn a_batch_has_a_quarter_more_gas_than_its_claims_and_never_more_than_a_transaction_may() {
        let check = |claims: &[u64], expected| assert_eq!(batch_gas(claims.iter().copied()), expected);
        check(&[100_000], 175_000);
        check(&[100_000, 60_000], 250_000);
        check(&[12_000_000], 15_050_000);
        check(&[14_000_000], 16_777_216);
        check(&[u64::MAX, u64::MAX], 16_777_216);
    }
}
