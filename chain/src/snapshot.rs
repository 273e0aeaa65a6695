//! What one endpoint shows of a sender and of a log's place, all of it as of one block.

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::{Block, Transaction, TransactionInput, TransactionReceipt, TransactionRequest};
use futures::future::try_join_all;

use crate::audit_log::{AuditLog, Head};
use crate::error::ChainError;

/// How many transactions an endpoint is asked for at once: more than are ever open, unless a chain is in trouble.
const AT_ONCE: usize = 64;

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
    /// Asks the endpoint for all that a decision needs: for the newest block first, then for everything as of it at once, so
    /// that it takes no longer for more transactions. Receipts count only up to that block: nothing in the answer is newer
    /// than the rest of it.
    pub async fn snapshot(
        &self,
        sender: &[u8; 20],
        transactions: &[[u8; 32]],
    ) -> Result<Snapshot, ChainError> {
        let chain = self.chain();
        let latest: Option<Block> = chain.ask("eth_getBlockByNumber", ("latest", false)).await?;
        let latest = latest.ok_or_else(|| ChainError::Refused("it has no newest block".into()))?.header;
        let number = U64::from(latest.number);
        let (to, input) = self.head_call();
        let request = TransactionRequest {
            to: Some(to.into()),
            input: TransactionInput::both(input),
            ..Default::default()
        };
        let head = async {
            let answer: Bytes = chain.ask("eth_call", (request, number)).await?;
            self.read_head(&answer)
        };
        let sender = Address::from(*sender);
        let nonce = chain.ask::<_, U64>("eth_getTransactionCount", (sender, number));
        let balance = chain.ask::<_, U256>("eth_getBalance", (sender, number));
        let finality = self.finality(sender);
        let sights = self.sights(transactions, latest.number);
        let (head, nonce, balance, (finalized, nonce_final), sights) =
            futures::try_join!(head, nonce, balance, finality, sights)?;
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

    /// The newest block that the endpoint calls final, and the sender's nonce as of it.
    async fn finality(&self, sender: Address) -> Result<(Option<u64>, Option<u64>), ChainError> {
        let Some(block) = self.chain().finalized_block().await? else { return Ok((None, None)) };
        let asked = self.chain().ask::<_, U64>("eth_getTransactionCount", (sender, U64::from(block))).await;
        match asked {
            Ok(nonce) => Ok((Some(block), Some(nonce.to()))),
            // It does not keep the state of that block: then it does not say.
            Err(ChainError::Refused(_)) => Ok((Some(block), None)),
            Err(error) => Err(error),
        }
    }

    async fn sights(
        &self,
        transactions: &[[u8; 32]],
        upto: u64,
    ) -> Result<Vec<TransactionSight>, ChainError> {
        let mut sights = Vec::with_capacity(transactions.len());
        for some in transactions.chunks(AT_ONCE) {
            let asked = some.iter().map(|hash| self.sight(B256::from(*hash), upto));
            sights.extend(try_join_all(asked).await?);
        }
        Ok(sights)
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
