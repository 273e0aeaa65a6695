//! Puts the contracts on a chain: the same bytes at the same addresses everywhere, and no role for whoever sends them.

use alloy::primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy::sol_types::{SolCall, SolConstructor};
use proof::Hash;

use crate::account::Account;
use crate::audit_log::contract::AuditLog as AuditBindings;
use crate::audit_log::place_of;
use crate::contracts::loyalty_points::LoyaltyPoints as Token;
use crate::contracts::points_deployment::PointsDeployment as Made;
use crate::contracts::timelock::TimelockController as Timelock;
use crate::dev;
use crate::error::ChainError;
use crate::rpc::Chain;
use crate::terms::{Addresses, PointsAddresses, PointsTerms, Terms};

/// The deployer of code at addresses that follow from the code alone. It stands at the same address on nearly every chain, anvil
/// and Polygon among them: <https://github.com/Arachnid/deterministic-deployment-proxy>.
const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
const SALT: B256 = B256::ZERO;

/// Deploys what is not there yet and registers the log. Running it again changes nothing and gives the same addresses. The
/// account pays, and is the log's registrant, which is a name and no power.
pub async fn deploy(
    chain: &Chain,
    account: &Account,
    log_id: &Hash,
    terms: &Terms,
) -> Result<Addresses, ChainError> {
    let registrant = Address::from(account.address());
    // On a development chain one account may well be everything.
    if !dev::is_dev(chain.id()) && terms.holders().contains(&registrant) {
        return Err(ChainError::Malformed(format!(
            "{registrant} deploys and is to hold a role: its key should be worth nothing afterwards"
        )));
    }
    let audit_log = deploy_audit_log(chain, account).await?;
    register(chain, account, audit_log, log_id, terms).await?;
    let mut addresses = Addresses { chain_id: chain.id(), audit_log, registrant, points: None };
    if let Some(points) = &terms.points {
        addresses.points = Some(deploy_points(chain, account, &addresses, log_id, points).await?);
    }
    Ok(addresses)
}

pub(crate) async fn deploy_audit_log(chain: &Chain, account: &Account) -> Result<Address, ChainError> {
    ensure(chain, account, AuditBindings::BYTECODE.to_vec()).await
}

async fn register(
    chain: &Chain,
    account: &Account,
    contract: Address,
    log_id: &Hash,
    terms: &Terms,
) -> Result<(), ChainError> {
    let place = place_of(log_id, &account.address());
    let standby = terms.standby.unwrap_or_default();
    let charter = ask(chain, contract, AuditBindings::charterCall { place }).await?;
    if charter.admin == Address::ZERO {
        let call = AuditBindings::registerCall {
            log: (*log_id).into(),
            writer: terms.writer,
            standby,
            admin: terms.admin,
            delay: terms.delay_seconds,
        };
        dev::send(chain, account, Some(contract), call.abi_encode()).await?;
        return Ok(());
    }
    let head = ask(chain, contract, AuditBindings::headCall { place }).await?;
    let there = (head.writer, charter.standby, charter.admin, charter.delay);
    if there != (terms.writer, standby, terms.admin, terms.delay_seconds) {
        return Err(ChainError::Malformed(format!(
            "the log is registered with other terms: writer, standby, admin and delay are {there:?}"
        )));
    }
    Ok(())
}

pub(crate) async fn deploy_points(
    chain: &Chain,
    account: &Account,
    at: &Addresses,
    log_id: &Hash,
    terms: &PointsTerms,
) -> Result<PointsAddresses, ChainError> {
    let implementation = ensure(chain, account, Token::BYTECODE.to_vec()).await?;
    let arguments = Made::constructorCall {
        implementation,
        audit: at.audit_log,
        place: place_of(log_id, &account.address()),
        terms: terms.encoded(),
    };
    let code = [Made::BYTECODE.to_vec(), arguments.abi_encode()].concat();
    let deployment = ensure(chain, account, code).await?;
    Ok(PointsAddresses {
        loyalty_points: ask(chain, deployment, Made::pointsCall {}).await?,
        implementation,
        points_gateway: ask(chain, deployment, Made::gatewayCall {}).await?,
        timelock: ask(chain, deployment, Made::timelockCall {}).await?,
        deployment,
    })
}

/// A change of the token's code, for the timelock: who may propose sends `schedule`, and after the delay who may execute sends
/// `execute`. Both are calls of the timelock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The new code.
    pub implementation: Address,
    /// The timelock.
    pub timelock: Address,
    /// How long it is announced.
    pub delay_seconds: u64,
    /// The first call's data.
    pub schedule: Bytes,
    /// The second call's data.
    pub execute: Bytes,
}

/// Deploys the token's code of this build and prepares the change to it. The token is as it was until the timelock has run.
pub async fn prepare_upgrade(
    chain: &Chain,
    account: &Account,
    points: &PointsAddresses,
) -> Result<Upgrade, ChainError> {
    prepare_upgrade_to(chain, account, points, Token::BYTECODE.to_vec()).await
}

pub(crate) async fn prepare_upgrade_to(
    chain: &Chain,
    account: &Account,
    points: &PointsAddresses,
    code: Vec<u8>,
) -> Result<Upgrade, ChainError> {
    let implementation = ensure(chain, account, code).await?;
    let delay = ask(chain, points.timelock, Timelock::getMinDelayCall {}).await?;
    let call = Token::upgradeToAndCallCall { newImplementation: implementation, data: Bytes::new() };
    let (target, payload) = (points.loyalty_points, Bytes::from(call.abi_encode()));
    // The same code twice, with another in between, is another change: it has the salt of what it replaces.
    let salt = keccak256(chain.storage_at(target, IMPLEMENTATION_SLOT).await?);
    let schedule = Timelock::scheduleCall {
        target,
        value: U256::ZERO,
        data: payload.clone(),
        predecessor: B256::ZERO,
        salt,
        delay,
    };
    let execute = Timelock::executeCall { target, value: U256::ZERO, payload, predecessor: B256::ZERO, salt };
    Ok(Upgrade {
        implementation,
        timelock: points.timelock,
        delay_seconds: delay.saturating_to(),
        schedule: schedule.abi_encode().into(),
        execute: execute.abi_encode().into(),
    })
}

/// Where ERC-1967 has a proxy keep its implementation: keccak256("eip1967.proxy.implementation") - 1.
pub(crate) const IMPLEMENTATION_SLOT: U256 =
    alloy::primitives::uint!(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc_U256);

/// The address of this code, deployed if it is not there yet.
async fn ensure(chain: &Chain, account: &Account, code: Vec<u8>) -> Result<Address, ChainError> {
    let to = CREATE2_DEPLOYER.create2_from_code(SALT, &code);
    if !chain.code_at(to).await?.is_empty() {
        return Ok(to);
    }
    if chain.code_at(CREATE2_DEPLOYER).await?.is_empty() {
        return Err(ChainError::NoContract(format!(
            "chain {} has no deterministic deployer at {CREATE2_DEPLOYER}",
            chain.id()
        )));
    }
    dev::send(chain, account, Some(CREATE2_DEPLOYER), [SALT.as_slice(), &code].concat()).await?;
    match chain.code_at(to).await?.is_empty() {
        true => Err(ChainError::NoContract(format!("nothing was deployed at {to}"))),
        false => Ok(to),
    }
}

async fn ask<C: SolCall>(chain: &Chain, contract: Address, call: C) -> Result<C::Return, ChainError> {
    let answer = chain.call(contract, call.abi_encode()).await?;
    C::abi_decode_returns(&answer).map_err(|error| ChainError::NoContract(error.to_string()))
}

#[cfg(test)]
mod tests;
