//! A contract on a development chain. Nothing here is for a chain with value on it.

use std::time::Duration;

use alloy::primitives::Address;
use alloy::sol_types::SolCall;
use proof::{AnchorPlace, Hash};

use crate::account::{Account, SignedTransaction};
use crate::audit_log::AuditLog;
use crate::audit_log::contract::AuditLog as Bindings;
use crate::deploy::{deploy_audit_log, deploy_points};
use crate::error::ChainError;
use crate::fees::{fees_for, tip_floor_wei};
use crate::rpc::Chain;
use crate::terms::{Addresses, PointsTerms};

/// The key of anvil's first account, known to everyone. Only for chains without value.
pub const DEV_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// The key of anvil's third account, known to everyone, for whoever settles and claims beside whoever anchors. Only for
/// chains without value.
pub const DEV_BRIDGE_KEY: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";

/// The ids of anvil and of hardhat: what this module is for.
const DEV_CHAINS: [u64; 2] = [31337, 1337];

const INCLUSION_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
// An hour: the shortest that the contract allows.
const DELAY_SECONDS: u64 = 3600;
const DAY_SECONDS: u32 = 24 * 3600;

/// Whether this is the id of a development chain.
pub fn is_dev(chain_id: u64) -> bool {
    DEV_CHAINS.contains(&chain_id)
}

/// The audit contract with this log registered, deployed by the account where it is not there yet.
pub async fn ensure_contract(
    chain: &Chain,
    account: &Account,
    log_id: &Hash,
) -> Result<AuditLog, ChainError> {
    if !is_dev(chain.id()) {
        return Err(ChainError::Malformed(format!(
            "chain {} is not a development chain: deploy the contract and name it in the configuration",
            chain.id()
        )));
    }
    let sender = account.address();
    let contract = deploy_audit_log(chain, account).await?;
    let at = AnchorPlace { chain_id: chain.id(), contract: contract.into_array(), registrant: sender };
    let audit_log = AuditLog::new(chain.clone(), at, log_id)?;
    // Who has which role in it is left as it is: a developer may have tried the rotation.
    if audit_log.head().await?.writer == [0; 20] {
        let (writer, admin) = (Address::from(sender), Address::from(sender));
        let call = Bindings::registerCall {
            log: (*log_id).into(),
            writer,
            standby: Address::ZERO,
            admin,
            delay: DELAY_SECONDS,
        };
        send(chain, account, Some(contract), call.abi_encode()).await?;
    }
    Ok(audit_log)
}

/// All the contracts, with one account in every role that is not another contract's.
pub async fn ensure_points(
    audit_log: &AuditLog,
    account: &Account,
    log_id: &Hash,
) -> Result<Addresses, ChainError> {
    let (chain, place, sender) = (audit_log.chain(), audit_log.place(), Address::from(account.address()));
    let mut addresses = Addresses {
        chain_id: place.chain_id,
        audit_log: place.contract.into(),
        registrant: place.registrant.into(),
        points: None,
    };
    let terms = PointsTerms {
        name: "Development Points".to_owned(),
        symbol: "DEV".to_owned(),
        decimals: 0,
        epoch_seconds: 30 * DAY_SECONDS,
        epoch_offset_seconds: 0,
        validity_epochs: 13,
        day_mint_max: 1_000_000_000,
        pauser: sender,
        guardian: sender,
        timelock_delay_seconds: DAY_SECONDS.into(),
        proposers: vec![sender],
        executors: vec![sender],
        claim_delay_seconds: 60,
        burn_min: 1,
        zone_seconds: 3 * 3600,
    };
    addresses.points = Some(deploy_points(chain, account, &addresses, log_id, &terms).await?);
    Ok(addresses)
}

/// Deploys the audit contract, at the address of the account's next nonce.
pub async fn deploy(chain: &Chain, account: &Account) -> Result<Address, ChainError> {
    let sent = send(chain, account, None, Bindings::BYTECODE.to_vec()).await?;
    let contract = Address::from(account.address()).create(sent.nonce);
    match is_audit_log(chain, contract).await? {
        true => Ok(contract),
        false => Err(ChainError::NoContract(format!("nothing was deployed at {contract}"))),
    }
}

// Whatever stands at the address, it is ours only if its code is.
async fn is_audit_log(chain: &Chain, address: Address) -> Result<bool, ChainError> {
    let code = chain.code_at(address).await?;
    Ok(code == Bindings::DEPLOYED_BYTECODE)
}

pub(crate) async fn send(
    chain: &Chain,
    account: &Account,
    to: Option<Address>,
    input: Vec<u8>,
) -> Result<SignedTransaction, ChainError> {
    let nonce = chain.nonce(&account.address()).await?;
    let fees = fees_for(chain.base_fee_wei().await?, tip_floor_wei(chain.id()), 40);
    let signed = chain.sign(account, nonce, fees, to, input).await?;
    chain.send_raw(&signed.raw).await?;
    let included = async {
        loop {
            match chain.receipt(&signed.hash).await? {
                Some(receipt) if receipt.succeeded => return Ok(()),
                Some(_) => return Err(ChainError::Reverted("a set-up transaction was reverted".into())),
                None => tokio::time::sleep(POLL).await,
            }
        }
    };
    let patience = tokio::time::timeout(INCLUSION_PATIENCE, included).await;
    patience.map_err(|_| ChainError::Unreachable("a set-up transaction is in no block yet".into()))??;
    Ok(signed)
}
