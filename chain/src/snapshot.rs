//! What one endpoint shows of a sender and of a log's place, all of it as of one block.

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::{Block, Transaction, TransactionInput, TransactionReceipt, TransactionRequest};

use crate::audit_log::{AuditLog, Head};
use crate::error::ChainError;

/// What an endpoint shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The newest block's number: everything below is as of it.
    pub block: u64,
    /// Its time.
    pub block_time_s: u64,
    /// Its base fee.
    pub base_fee_wei: u128,
    /// The newest block that the endpoint calls final, where it says.
    pub finalized: Option<u64>,
    /// The contract's head.
    pub head: Head,
    /// How many transactions of the sender are in blocks. Never the node's `pending`: one dropped transaction would stall
    /// all that follow.
    pub nonce: u64,
    /// The same as of the finalized block.
    pub nonce_final: Option<u64>,
    /// What the sender has.
    pub balance_wei: u128,
    /// What is known of each transaction that was asked for, in that order.
    pub transactions: Vec<TransactionSight>,
}

/// What an endpoint knows of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionSight {
    /// Nothing.
    Unknown,
    /// It waits for a block.
    Pooled,
    /// It is in a block.
    Mined {
        /// The block's number.
        block: u64,
        /// The block's hash.
        block_hash: [u8; 32],
        /// Whether it did what it was to do; else it was reverted.
        succeeded: bool,
        /// What it cost.
        paid_wei: u128,
        /// How much gas it took.
        gas_used: u64,
    },
}

impl AuditLog {
    /// Asks the endpoint for all that a decision needs. Receipts come last and count only up to the block that was read
    /// first, so that nothing in the answer is newer than the rest of it.
    pub async fn snapshot(
        &self,
        sender: &[u8; 20],
        transactions: &[[u8; 32]],
    ) -> Result<Snapshot, ChainError> {
        let chain = self.chain();
        let latest: Option<Block> = chain.ask("eth_getBlockByNumber", ("latest", false)).await?;
        let latest = latest.ok_or_else(|| ChainError::Refused("it has no newest block".into()))?.header;
        let number = U64::from(latest.number);
        let finalized = chain.finalized_block().await?;
        let (to, input) = self.head_call();
        let request = TransactionRequest {
            to: Some(to.into()),
            input: TransactionInput::both(input),
            ..Default::default()
        };
        let head: Bytes = chain.ask("eth_call", (request, number)).await?;
        let head = self.read_head(&head)?;
        let sender = Address::from(*sender);
        let nonce: U64 = chain.ask("eth_getTransactionCount", (sender, number)).await?;
        let balance: U256 = chain.ask("eth_getBalance", (sender, number)).await?;
        let nonce_final = match finalized {
            Some(block) => {
                let asked = chain.ask::<_, U64>("eth_getTransactionCount", (sender, U64::from(block))).await;
                match asked {
                    Ok(nonce) => Some(nonce.to()),
                    // It does not keep the state of that block: then it does not say.
                    Err(ChainError::Refused(_)) => None,
                    Err(error) => return Err(error),
                }
            }
            None => None,
        };
        let mut sights = Vec::with_capacity(transactions.len());
        for hash in transactions {
            sights.push(self.sight(B256::from(*hash), latest.number).await?);
        }
        Ok(Snapshot {
            block: latest.number,
            block_time_s: latest.timestamp,
            base_fee_wei: u128::from(latest.base_fee_per_gas.unwrap_or(0)),
            finalized,
            head,
            nonce: nonce.to(),
            nonce_final,
            balance_wei: u128::try_from(balance).unwrap_or(u128::MAX),
            transactions: sights,
        })
    }

    async fn sight(&self, hash: B256, upto: u64) -> Result<TransactionSight, ChainError> {
        let receipt: Option<TransactionReceipt> =
            self.chain().ask("eth_getTransactionReceipt", (hash,)).await?;
        if let Some(receipt) = receipt
            && let (Some(block), Some(block_hash)) = (receipt.block_number, receipt.block_hash)
        {
            if upto < block {
                return Ok(TransactionSight::Pooled);
            }
            let paid_wei = u128::from(receipt.gas_used).saturating_mul(receipt.effective_gas_price);
            let succeeded = receipt.status();
            let gas_used = receipt.gas_used;
            return Ok(TransactionSight::Mined {
                block,
                block_hash: block_hash.0,
                succeeded,
                paid_wei,
                gas_used,
            });
        }
        let known: Option<Transaction> = self.chain().ask("eth_getTransactionByHash", (hash,)).await?;
        Ok(if known.is_some() { TransactionSight::Pooled } else { TransactionSight::Unknown })
    }
}
