//! The audit contract, as one log sees it.

use std::ops::RangeInclusive;

use alloy::primitives::{Address, B256, Bytes, keccak256};
use alloy::rpc::types::Filter;
use alloy::sol_types::{SolCall, SolEvent, SolInterface, SolValue};
use proof::{AnchorPlace, Hash};

use crate::account::{Account, SignedTransaction};
use crate::contracts::{loyalty_points, points_gateway};
use crate::error::ChainError;
use crate::fees::Fees;
use crate::gateway::GatewayTerms;
use crate::rpc::Chain;

pub(crate) mod contract {
    alloy::sol!(
        #[derive(Debug)]
        AuditLog,
        "abi/AuditLog.json"
    );
}

use contract::AuditLog as Bindings;

/// The last anchored checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its size; 0 where nothing is anchored yet.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Who may anchor; zeros where nobody has registered the place.
    pub writer: [u8; 20],
    /// Whether anchoring is halted, or over for ever.
    pub halted: bool,
}

/// An anchor, as an event in a block shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The anchored root.
    pub root: Hash,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: [u8; 32],
}

/// How much gas an anchor may take, with a proof for the largest log and room to spare.
pub const ANCHOR_GAS_MAX: u64 = 110_000;

/// What is offered for an anchor or a pin: what is not used is not paid, and one that runs out of it stops the sender.
const ANCHOR_GAS: RangeInclusive<u64> = ANCHOR_GAS_MAX..=2 * ANCHOR_GAS_MAX;

/// How many blocks are searched at once, at first: few enough for most nodes, and twice as many each time while none
/// refuses.
const RANGE_BLOCKS: u64 = 10_000;

/// What a range of blocks shows of a size.
enum Found {
    /// Its anchor.
    Here(Sighting),
    /// An anchor that extends a smaller head to another size: before it the head was smaller still, so there is nothing
    /// further back. The first anchor of all extends a head of 0.
    Nowhere,
    /// Nothing, or only anchors after it.
    Unseen,
}

/// One log's place in the audit contract.
#[derive(Clone, Debug)]
pub struct AuditLog {
    chain: Chain,
    at: AnchorPlace,
    contract: Address,
    log_id: B256,
    place: B256,
}

impl AuditLog {
    /// The place of this log, as the policy names it.
    pub fn new(chain: Chain, at: AnchorPlace, log_id: &Hash) -> Result<Self, ChainError> {
        if chain.id() != at.chain_id {
            return Err(ChainError::OtherChain { found: chain.id(), expected: at.chain_id });
        }
        let place = place_of(log_id, &at.registrant);
        Ok(Self { chain, contract: Address::from(at.contract), at, log_id: log_id.into(), place })
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Where it is.
    pub fn place(&self) -> AnchorPlace {
        self.at
    }

    /// Whether a gateway with these terms settles the heads of this place.
    pub fn is_settled_by(&self, terms: &GatewayTerms) -> bool {
        (terms.audit, terms.place) == (self.at.contract, self.place.0)
    }

    /// Refuses a contract whose code is not the one that this build was made with: whatever it answers would mean nothing.
    /// The code of a contract never changes, so once is enough.
    pub async fn check_code(&self) -> Result<(), ChainError> {
        let code = self.chain.code_at(self.contract).await?;
        if code.is_empty() {
            return Err(ChainError::NoContract(format!("there is no audit contract at {}", self.contract)));
        }
        if code != Bindings::DEPLOYED_BYTECODE {
            return Err(ChainError::UnknownCode(format!(
                "the code of the contract at {} is not the audit contract's: its hash is {}, not {}",
                self.contract,
                keccak256(&code),
                keccak256(&Bindings::DEPLOYED_BYTECODE)
            )));
        }
        Ok(())
    }

    /// The last anchored checkpoint.
    pub async fn head(&self) -> Result<Head, ChainError> {
        let head = self.call(Bindings::headCall { place: self.place }).await?;
        Ok(Head { size: head.size, root: head.root.0, writer: head.writer.into_array(), halted: head.halted })
    }

    /// The call that asks for the head: to whom, and with what.
    pub(crate) fn head_call(&self) -> (Address, Bytes) {
        (self.contract, Bindings::headCall { place: self.place }.abi_encode().into())
    }

    /// The head in a call's answer.
    pub(crate) fn read_head(&self, answer: &[u8]) -> Result<Head, ChainError> {
        if answer.is_empty() {
            return Err(ChainError::NoContract(format!("there is no audit contract at {}", self.contract)));
        }
        let head = Bindings::headCall::abi_decode_returns(answer)
            .map_err(|error| ChainError::NoContract(error.to_string()))?;
        Ok(Head { size: head.size, root: head.root.0, writer: head.writer.into_array(), halted: head.halted })
    }

    /// The root at this size, if it is the head's or a pinned one.
    pub async fn stored_root(&self, size: u64) -> Result<Option<Hash>, ChainError> {
        let root = self.call(Bindings::rootAtCall { place: self.place, size }).await?;
        Ok(Some(root.0).filter(|it| *it != Hash::default()))
    }

    /// The event that anchored this size: first looked for in the hinted block, then back from the newest one. Many nodes
    /// answer only for a range of blocks, so it goes range by range, in smaller ones where the node refuses.
    pub async fn sighting(&self, size: u64, hint_block: Option<u64>) -> Result<Option<Sighting>, ChainError> {
        if let Some(block) = hint_block
            // A hint may name a block that the chain has never had, which some nodes answer with an error.
            && let Ok(Found::Here(sighting)) = self.find(size, block, block).await
        {
            return Ok(Some(sighting));
        }
        let (mut end, mut blocks, mut was_refused) = (self.chain.latest_block().await?, RANGE_BLOCKS, false);
        loop {
            let begin = (end + 1).saturating_sub(blocks);
            match self.find(size, begin, end).await {
                Ok(Found::Here(sighting)) => return Ok(Some(sighting)),
                Ok(Found::Nowhere) => return Ok(None),
                Ok(Found::Unseen) if begin == 0 => return Ok(None),
                Ok(Found::Unseen) => {
                    end = begin - 1;
                    blocks = if was_refused { blocks } else { blocks.saturating_mul(2) };
                }
                Err(ChainError::Refused(_)) if 1 < blocks => (blocks, was_refused) = (blocks / 2, true),
                Err(error) => return Err(error),
            }
        }
    }

    async fn find(&self, size: u64, begin: u64, end: u64) -> Result<Found, ChainError> {
        let filter = self.anchors_between(begin, end);
        let mut found = Found::Unseen;
        for log in self.chain.logs(&filter).await?.iter().filter(|it| !it.removed) {
            let Ok(event) = Bindings::Anchored::decode_log(&log.inner) else { continue };
            if log.address() != self.contract || event.place != self.place {
                continue;
            }
            if event.size == size
                && let (Some(block), Some(transaction)) = (log.block_number, log.transaction_hash)
            {
                found = Found::Here(Sighting { root: event.root.0, block, transaction: transaction.0 });
            } else if event.oldSize < size && !matches!(found, Found::Here(_)) {
                found = Found::Nowhere;
            }
        }
        Ok(found)
    }

    /// Every size that the chain's events show anchored here, with where, oldest first: back from the newest block to the
    /// first anchor, range by range, in smaller ones where the node refuses.
    pub async fn history(&self) -> Result<Vec<(u64, Sighting)>, ChainError> {
        let (mut end, mut blocks) = (self.chain.latest_block().await?, RANGE_BLOCKS);
        let mut history = Vec::new();
        loop {
            let begin = (end + 1).saturating_sub(blocks);
            let filter = self.anchors_between(begin, end);
            let logs = match self.chain.logs(&filter).await {
                Err(ChainError::Refused(_)) if 1 < blocks => {
                    blocks /= 2;
                    continue;
                }
                logs => logs?,
            };
            let mut is_first = false;
            for log in logs.iter().rev().filter(|it| !it.removed && it.address() == self.contract) {
                let Ok(event) = Bindings::Anchored::decode_log(&log.inner) else { continue };
                if event.place == self.place
                    && let (Some(block), Some(transaction)) = (log.block_number, log.transaction_hash)
                {
                    is_first |= event.oldSize == 0;
                    let root = event.root.0;
                    history.push((event.size, Sighting { root, block, transaction: transaction.0 }));
                }
            }
            if is_first || begin == 0 {
                history.reverse();
                return Ok(history);
            }
            end = begin - 1;
        }
    }

    fn anchors_between(&self, begin: u64, end: u64) -> Filter {
        Filter::new()
            .address(self.contract)
            .event_signature(Bindings::Anchored::SIGNATURE_HASH)
            .topic1(self.place)
            .from_block(begin)
            .to_block(end)
    }

    /// The root at this size from wherever the contract has it: its head, a pin, or its history of events.
    pub async fn anchored_root(
        &self,
        size: u64,
        hint_block: Option<u64>,
    ) -> Result<Option<Hash>, ChainError> {
        match self.stored_root(size).await? {
            Some(root) => Ok(Some(root)),
            None => Ok(self.sighting(size, hint_block).await?.map(|it| it.root)),
        }
    }

    /// Whether the contract itself finds this leaf in the tree of this size, its head's or a pinned one.
    pub async fn includes(&self, size: u64, leaf: &[u8], path: &[Hash]) -> Result<bool, ChainError> {
        let proof = path.iter().map(B256::from).collect();
        self.call(Bindings::includesCall {
            log: self.log_id,
            registrant: self.at.registrant.into(),
            size,
            leaf: Bytes::copy_from_slice(leaf),
            proof,
        })
        .await
    }

    /// Signs an anchor of this checkpoint, which extends the contract's head by this proof. Nothing is sent; that the
    /// contract would refuse it is found here.
    pub async fn sign_anchor(
        &self,
        account: &Account,
        nonce: u64,
        fees: Fees,
        size: u64,
        root: &Hash,
        proof: &[Hash],
    ) -> Result<SignedTransaction, ChainError> {
        let call = Bindings::anchorCall {
            place: self.place,
            newSize: size,
            newRoot: B256::from(*root),
            proof: proof.iter().map(B256::from).collect(),
        };
        self.chain.sign_within(ANCHOR_GAS, account, nonce, fees, Some(self.contract), call.abi_encode()).await
    }

    /// Signs a pin: the contract keeps the head that it then has in its storage for ever. Nothing is sent.
    pub async fn sign_pin(
        &self,
        account: &Account,
        nonce: u64,
        fees: Fees,
    ) -> Result<SignedTransaction, ChainError> {
        let call = Bindings::pinCall { place: self.place };
        self.chain.sign_within(ANCHOR_GAS, account, nonce, fees, Some(self.contract), call.abi_encode()).await
    }

    /// The root that is pinned at this size.
    pub async fn pinned_root(&self, size: u64) -> Result<Option<Hash>, ChainError> {
        let root = self.call(Bindings::pinnedRootCall { place: self.place, size }).await?;
        Ok(Some(root.0).filter(|it| *it != Hash::default()))
    }

    pub(crate) fn place_id(&self) -> B256 {
        self.place
    }

    pub(crate) async fn call<C: SolCall>(&self, call: C) -> Result<C::Return, ChainError> {
        let answer = self.chain.call(self.contract, call.abi_encode()).await?;
        if answer.is_empty() {
            return Err(ChainError::NoContract(format!("there is no audit contract at {}", self.contract)));
        }
        C::abi_decode_returns(&answer).map_err(|error| ChainError::NoContract(error.to_string()))
    }
}

/// What the contract calls the place of a log and its registrant.
pub(crate) fn place_of(log_id: &Hash, registrant: &[u8; 20]) -> B256 {
    keccak256((B256::from(*log_id), Address::from(*registrant)).abi_encode())
}

/// A revert in the contract's own words, from the error data of an answer.
pub(crate) fn told_revert(data: &str) -> Option<String> {
    let data: Bytes = data.trim_matches('"').parse().ok()?;
    if let Ok(error) = Bindings::AuditLogErrors::abi_decode(&data) {
        return Some(format!("{error:?}"));
    }
    if let Ok(error) = points_gateway::PointsGateway::PointsGatewayErrors::abi_decode(&data) {
        return Some(format!("{error:?}"));
    }
    let error = loyalty_points::LoyaltyPoints::LoyaltyPointsErrors::abi_decode(&data).ok()?;
    Some(format!("{error:?}"))
}
