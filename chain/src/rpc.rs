//! One RPC endpoint of a chain: typed questions with a deadline each.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::{Block, Filter, Log, TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::transports::{RpcError, TransportError, TransportErrorKind};

use crate::account::{Account, SignedTransaction, Unsigned};
use crate::error::ChainError;
use crate::fees::Fees;

const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a sender waits: its lease must not end while one endpoint is silent.
pub(crate) const SENDER_PATIENCE: Duration = Duration::from_secs(2);

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The block that holds it.
    pub block: u64,
    /// Whether it did what it was to do; else it was reverted.
    pub succeeded: bool,
}

/// A chain, through one RPC endpoint.
#[derive(Clone)]
pub struct Chain {
    client: RpcClient,
    // Endpoints' URLs often hold a key: it stands in no error and no log.
    url: String,
    chain_id: u64,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({})", self.chain_id)
    }
}

impl Chain {
    /// Connects, asking the endpoint which chain it serves.
    pub async fn connect(url: &str) -> Result<Self, ChainError> {
        let parsed =
            url.parse().map_err(|_| ChainError::Malformed("the chain's RPC URL is not a URL".into()))?;
        let mut chain = Self { client: RpcClient::new_http(parsed), url: url.to_owned(), chain_id: 0 };
        chain.chain_id = chain.ask::<_, U64>("eth_chainId", ()).await?.to();
        Ok(chain)
    }

    /// Connects to the chain of this id, without asking: for an endpoint that may be down for now.
    pub fn of_id(url: &str, chain_id: u64) -> Result<Self, ChainError> {
        let parsed =
            url.parse().map_err(|_| ChainError::Malformed("the chain's RPC URL is not a URL".into()))?;
        Ok(Self { client: RpcClient::new_http(parsed), url: url.to_owned(), chain_id })
    }

    /// Its id.
    pub fn id(&self) -> u64 {
        self.chain_id
    }

    /// Whether the endpoint serves the chain that was meant.
    pub async fn check_id(&self) -> Result<(), ChainError> {
        let found = self.ask::<_, U64>("eth_chainId", ()).await?.to();
        let expected = self.chain_id;
        if found == expected { Ok(()) } else { Err(ChainError::OtherChain { found, expected }) }
    }

    /// The newest block's number.
    pub async fn latest_block(&self) -> Result<u64, ChainError> {
        Ok(self.ask::<_, U64>("eth_blockNumber", ()).await?.to())
    }

    /// The newest block's time, in seconds since 1970: the clock that contracts go by.
    pub async fn latest_time_s(&self) -> Result<u64, ChainError> {
        let block: Option<Block> = self.ask("eth_getBlockByNumber", ("latest", false)).await?;
        let block = block.ok_or_else(|| ChainError::Refused("it has no newest block".into()))?;
        Ok(block.header.timestamp)
    }

    /// The newest block that the chain promises to keep; none where it does not say, as Polygon sometimes does not.
    pub async fn finalized_block(&self) -> Result<Option<u64>, ChainError> {
        match self.ask::<_, Option<Block>>("eth_getBlockByNumber", ("finalized", false)).await {
            Ok(block) => Ok(block.map(|it| it.header.number)),
            Err(ChainError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest block's base fee.
    pub async fn base_fee_wei(&self) -> Result<u128, ChainError> {
        let block: Option<Block> = self.ask("eth_getBlockByNumber", ("latest", false)).await?;
        let block = block.ok_or_else(|| ChainError::Refused("it has no newest block".into()))?;
        Ok(u128::from(block.header.base_fee_per_gas.unwrap_or(0)))
    }

    /// How many transactions of this account are in blocks. Never the node's `pending`: one dropped transaction would
    /// stall all that follow.
    pub async fn nonce(&self, address: &[u8; 20]) -> Result<u64, ChainError> {
        let address = Address::from(*address);
        Ok(self.ask::<_, U64>("eth_getTransactionCount", (address, "latest")).await?.to())
    }

    /// What became of a transaction; none where it is in no block.
    pub async fn receipt(&self, hash: &[u8; 32]) -> Result<Option<Receipt>, ChainError> {
        let receipt: Option<TransactionReceipt> =
            self.ask("eth_getTransactionReceipt", (B256::from(*hash),)).await?;
        Ok(receipt.and_then(|it| Some(Receipt { block: it.block_number?, succeeded: it.status() })))
    }

    /// Sends signed bytes. That the node knows them already is success. Any error means *perhaps sent*.
    pub async fn send_raw(&self, raw: &[u8]) -> Result<(), ChainError> {
        match self.ask::<_, B256>("eth_sendRawTransaction", (Bytes::copy_from_slice(raw),)).await {
            Ok(_) => Ok(()),
            Err(ChainError::Refused(why)) if is_known(&why) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn code_at(&self, address: Address) -> Result<Bytes, ChainError> {
        self.ask("eth_getCode", (address, "latest")).await
    }

    pub(crate) async fn storage_at(&self, address: Address, slot: U256) -> Result<B256, ChainError> {
        self.ask("eth_getStorageAt", (address, slot, "latest")).await
    }

    pub(crate) async fn call(&self, to: Address, input: Vec<u8>) -> Result<Bytes, ChainError> {
        let request = TransactionRequest {
            to: Some(to.into()),
            input: TransactionInput::both(input.into()),
            ..Default::default()
        };
        self.ask("eth_call", (request, "latest")).await
    }

    pub(crate) async fn logs(&self, filter: &Filter) -> Result<Vec<Log>, ChainError> {
        self.ask("eth_getLogs", (filter,)).await
    }

    /// Signs a transaction with room for a quarter more gas than it takes now. Nothing is sent.
    pub(crate) async fn sign(
        &self,
        account: &Account,
        nonce: u64,
        fees: Fees,
        to: Option<Address>,
        input: Vec<u8>,
    ) -> Result<SignedTransaction, ChainError> {
        self.sign_within(0..=u64::MAX, account, nonce, fees, to, input).await
    }

    /// The same with as much gas as these allow, whatever an endpoint says that it takes.
    pub(crate) async fn sign_within(
        &self,
        gas: RangeInclusive<u64>,
        account: &Account,
        nonce: u64,
        fees: Fees,
        to: Option<Address>,
        input: Vec<u8>,
    ) -> Result<SignedTransaction, ChainError> {
        let gas_max = self.gas(&account.address(), to, &input).await?.saturating_mul(5) / 4;
        let gas_max = gas_max.clamp(*gas.start(), *gas.end());
        let input = Bytes::from(input);
        account.sign(Unsigned { chain_id: self.chain_id, nonce, gas_max, fees, to, input }).await
    }

    /// How much gas a transaction takes now.
    pub(crate) async fn gas(
        &self,
        from: &[u8; 20],
        to: Option<Address>,
        input: &[u8],
    ) -> Result<u64, ChainError> {
        let request = TransactionRequest {
            from: Some(Address::from(*from)),
            to: to.map(Into::into),
            input: TransactionInput::both(Bytes::copy_from_slice(input)),
            ..Default::default()
        };
        let gas: U64 = self.ask_within(SENDER_PATIENCE, "eth_estimateGas", (request, "latest")).await?;
        Ok(gas.to())
    }

    pub(crate) async fn ask<P, R>(&self, method: &'static str, params: P) -> Result<R, ChainError>
    where
        P: alloy::rpc::json_rpc::RpcSend,
        R: alloy::rpc::json_rpc::RpcRecv,
    {
        self.ask_within(ANSWER_PATIENCE, method, params).await
    }

    pub(crate) async fn ask_within<P, R>(
        &self,
        patience: Duration,
        method: &'static str,
        params: P,
    ) -> Result<R, ChainError>
    where
        P: alloy::rpc::json_rpc::RpcSend,
        R: alloy::rpc::json_rpc::RpcRecv,
    {
        let answered = tokio::time::timeout(patience, self.client.request(method, params)).await;
        match answered {
            Ok(answer) => answer.map_err(|error| self.error(method, error)),
            Err(_) => Err(ChainError::Unreachable(format!("{method} took longer than {patience:?}"))),
        }
    }

    fn error(&self, method: &str, error: TransportError) -> ChainError {
        let (host, _) = self
            .url
            .rsplit_once("//")
            .map_or(("", ""), |(_, rest)| rest.split_once('/').unwrap_or((rest, "")));
        let told = |text: String| format!("{method}: {}", text.replace(&self.url, host));
        match error {
            // Nodes answer a revert with code 3 and its data; some with -32000 and the words alone.
            RpcError::ErrorResp(error) if error.code == 3 || error.message.contains("revert") => {
                let data = error.data.as_ref().map_or("", |it| it.get());
                ChainError::Reverted(
                    crate::audit_log::told_revert(data).unwrap_or_else(|| told(error.message.to_string())),
                )
            }
            RpcError::ErrorResp(error) => ChainError::Refused(told(error.message.to_string())),
            // How some endpoints refuse a question that is too large.
            RpcError::Transport(TransportErrorKind::HttpError(error))
                if [400, 413].contains(&error.status) =>
            {
                ChainError::Refused(told(error.to_string()))
            }
            RpcError::Transport(error) => ChainError::Unreachable(told(error.to_string())),
            error => ChainError::Refused(told(error.to_string())),
        }
    }
}

fn is_known(why: &str) -> bool {
    let why = why.to_lowercase();
    ["already known", "already imported", "known transaction"].iter().any(|it| why.contains(it))
}
