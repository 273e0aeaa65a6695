use alloy::primitives::{Address, keccak256};
use alloy::sol_types::SolCall;
use devstack::{Anvil, AnvilConfig};
use serde_json::{Value, json};

use super::*;
use crate::contracts::points_gateway::PointsGateway as Gateway;
use crate::dev::{DEV_KEY, ensure_contract, ensure_points};

const LOG_ID: Hash = [7; 32];
/// The key of anvil's second account, known to everyone.
const PROPOSER_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
/// Polygon's test network, on an anvil of ours: no development chain, as far as the code can tell.
const REAL: u64 = 80002;

async fn chain_of(chain_id: u64) -> (Anvil, Chain) {
    let config = AnvilConfig { chain_id, ..AnvilConfig::default() };
    let anvil = tokio::task::spawn_blocking(move || Anvil::start(&config)).await.unwrap().unwrap();
    let chain = Chain::connect(&anvil.url()).await.unwrap();
    (anvil, chain)
}

fn deployer() -> Account {
    Account::from_key(DEV_KEY).unwrap()
}

fn proposer() -> Account {
    Account::from_key(PROPOSER_KEY).unwrap()
}

/// Somebody for each role, and nobody for two.
fn terms() -> Terms {
    let proposer = Address::from(proposer().address());
    let text = format!(
        r#"{{
            "writer": "0x0101010101010101010101010101010101010101",
            "standby": "0x0202020202020202020202020202020202020202",
            "admin": "0x0303030303030303030303030303030303030303",
            "delay_seconds": 172800,
            "points": {{
                "name": "Points", "symbol": "PTS", "decimals": 2,
                "epoch_seconds": 2592000, "epoch_offset_seconds": 0, "validity_epochs": 12, "day_mint_max": 1000000,
                "pauser": "0x0404040404040404040404040404040404040404",
                "guardian": "0x0505050505050505050505050505050505050505",
                "timelock_delay_seconds": 604800,
                "proposers": ["{proposer}"],
                "executors": ["0x0000000000000000000000000000000000000000"],
                "claim_delay_seconds": 7200, "burn_min": 100, "zone_seconds": 10800
            }}
        }}"#
    );
    Terms::parse(&text).unwrap()
}

/// Calls a contract as this account; an error is a refusal.
async fn call_as(anvil: &Anvil, from: Address, to: Address, call: impl SolCall) -> Result<Value, String> {
    let data = format!("0x{}", alloy::primitives::hex::encode(call.abi_encode()));
    anvil
        .rpc("eth_call", json!([{"from": from, "to": to, "data": data}, "latest"]))
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_same_contracts_stand_at_the_same_addresses_everywhere() {
    let (_first, chain) = chain_of(REAL).await;
    let (_second, other) = chain_of(31337).await;
    let made = deploy(&chain, &deployer(), &LOG_ID, &terms()).await.unwrap();
    assert_eq!(Addresses::parse(&made.to_json()), Ok(made), "the file is read as it was written");
    let elsewhere = deploy(&other, &deployer(), &LOG_ID, &terms()).await.unwrap();
    assert_eq!(elsewhere, Addresses { chain_id: 31337, ..made });

    let nonce = chain.nonce(&deployer().address()).await.unwrap();
    assert_eq!(deploy(&chain, &deployer(), &LOG_ID, &terms()).await, Ok(made));
    assert_eq!(chain.nonce(&deployer().address()).await, Ok(nonce), "nothing is sent a second time");

    let other_terms = Terms { delay_seconds: 3600, ..terms() };
    let refused = deploy(&chain, &deployer(), &LOG_ID, &other_terms).await.unwrap_err();
    assert!(refused.to_string().contains("registered with other terms"), "{refused}");
    let misspelt = Terms::parse(r#"{"writr": "0x"}"#).unwrap_err();
    assert!(matches!(misspelt, ChainError::Malformed(_)), "{misspelt}");
}

/// Every role that was ever granted, on any contract, is told by an event: the deployer is in none of them.
#[tokio::test]
async fn the_deployer_is_left_with_nothing() {
    let (anvil, chain) = chain_of(REAL).await;
    let me = Address::from(deployer().address());
    let mine = Terms { admin: me, ..terms() };
    let refused = deploy(&chain, &deployer(), &LOG_ID, &mine).await.unwrap_err();
    assert!(refused.to_string().contains("should be worth nothing afterwards"), "{refused}");

    let made = deploy(&chain, &deployer(), &LOG_ID, &terms()).await.unwrap();
    let points = made.points.unwrap();
    let granted = keccak256("RoleGranted(bytes32,address,address)");
    let filter = json!([{"fromBlock": "0x0", "toBlock": "latest", "topics": [granted]}]);
    let grants = anvil.rpc("eth_getLogs", filter).unwrap();
    let holders: Vec<String> = grants
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["topics"][2].as_str().unwrap()[26..].to_owned())
        .collect();
    assert_eq!(holders.len(), 7, "three roles of the token, four of the timelock: {holders:?}");
    assert!(holders.iter().all(|it| !format!("{me:?}").ends_with(it)), "{holders:?}");
    let place = place_of(&LOG_ID, &deployer().address());
    let charter = ask(&chain, made.audit_log, AuditBindings::charterCall { place }).await.unwrap();
    let head = ask(&chain, made.audit_log, AuditBindings::headCall { place }).await.unwrap();
    let Terms { writer, standby, admin, .. } = terms();
    assert_eq!((head.writer, Some(charter.standby), charter.admin), (writer, standby, admin));
    let guardian = ask(&chain, points.points_gateway, Gateway::guardianCall {}).await.unwrap();
    assert_eq!(guardian, terms().points.unwrap().guardian);

    // And whatever it tries is refused, where those who are meant to can.
    let pause = Token::pauseCall {};
    let pauser = terms().points.unwrap().pauser;
    assert!(call_as(&anvil, pauser, points.loyalty_points, pause.clone()).await.is_ok());
    let halt = AuditBindings::haltCall { place };
    assert!(call_as(&anvil, admin, made.audit_log, halt.clone()).await.is_ok());
    for refused in [
        call_as(&anvil, me, points.loyalty_points, pause).await,
        call_as(&anvil, me, made.audit_log, halt).await,
        call_as(&anvil, me, made.audit_log, AuditBindings::takeOverCall { place }).await,
        call_as(&anvil, me, points.loyalty_points, Token::setMintMaxCall { mintMax: 1 }).await,
        call_as(&anvil, me, points.points_gateway, Gateway::setGuardianCall { guardian_: me }).await,
        call_as(&anvil, me, points.timelock, Timelock::updateDelayCall { newDelay: U256::ZERO }).await,
    ] {
        assert!(refused.is_err(), "{refused:?}");
    }
}

#[tokio::test]
async fn the_tokens_code_is_replaced_through_the_timelock_alone() {
    let (anvil, chain) = chain_of(REAL).await;
    let points = deploy(&chain, &deployer(), &LOG_ID, &terms()).await.unwrap().points.unwrap();
    // The same code with a byte after it, which it never reads: another address.
    let next = [Token::BYTECODE.to_vec(), vec![0]].concat();
    let upgrade = prepare_upgrade_to(&chain, &deployer(), &points, next).await.unwrap();
    assert_eq!(upgrade.delay_seconds, 604_800);
    let implementation = async || {
        let slot = chain.storage_at(points.loyalty_points, IMPLEMENTATION_SLOT).await.unwrap();
        Address::from_word(slot)
    };
    assert_eq!(implementation().await, points.implementation);
    let to = Some(upgrade.timelock);
    let (schedule, execute) = (upgrade.schedule.to_vec(), upgrade.execute.to_vec());
    let refused = dev::send(&chain, &deployer(), to, schedule.clone()).await.unwrap_err();
    assert!(matches!(refused, ChainError::Reverted(_)), "{refused}");
    dev::send(&chain, &proposer(), to, schedule).await.unwrap();
    let early = dev::send(&chain, &proposer(), to, execute.clone()).await.unwrap_err();
    assert!(matches!(early, ChainError::Reverted(_)), "{early}");
    anvil.rpc("evm_increaseTime", json!([604_800])).unwrap();
    anvil.rpc("evm_mine", json!([])).unwrap();
    dev::send(&chain, &deployer(), to, execute).await.unwrap();
    assert_eq!(implementation().await, upgrade.implementation);
    let name = ask(&chain, points.loyalty_points, Token::symbolCall {}).await.unwrap();
    assert_eq!(name, "PTS", "what the token was stays");
}

#[tokio::test]
async fn only_the_audit_contracts_own_code_is_known() {
    let (anvil, chain) = chain_of(31337).await;
    let log = ensure_contract(&chain, &deployer(), &LOG_ID).await.unwrap();
    log.check_code().await.unwrap();
    let all = ensure_points(&log, &deployer(), &LOG_ID).await.unwrap();
    let of = |contract: Address| {
        let at = proof::AnchorPlace { contract: contract.into_array(), ..log.place() };
        crate::AuditLog::new(chain.clone(), at, &LOG_ID).unwrap()
    };
    let token = of(all.points.unwrap().loyalty_points).check_code().await;
    assert!(matches!(token, Err(ChainError::UnknownCode(_))), "{token:?}");
    let nobody = of(Address::repeat_byte(9)).check_code().await;
    assert!(matches!(nobody, Err(ChainError::NoContract(_))), "{nobody:?}");
    // A backdoor of one byte, and code that is only the end of the true one.
    let code = AuditBindings::DEPLOYED_BYTECODE.to_vec();
    let mut bent = code.clone();
    *bent.last_mut().unwrap() ^= 1;
    for wrong in [bent, code[code.len() - 40..].to_vec()] {
        let hex = format!("0x{}", alloy::primitives::hex::encode(wrong));
        anvil.rpc("anvil_setCode", json!([all.audit_log, hex])).unwrap();
        let changed = log.check_code().await;
        assert!(matches!(changed, Err(ChainError::UnknownCode(_))), "{changed:?}");
    }
}
