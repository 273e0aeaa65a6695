use std::time::Duration;

use chain::dev::{DEV_BRIDGE_KEY, DEV_KEY, ensure_contract, ensure_points};
use chain::{Account, AuditLog, Chain, Gateway, fees_for, tip_floor_wei};
use devstack::{Anvil, AnvilConfig};
use ledger::{Command, Destination, MemberRef, Points};
use proof::Hash;
use store::{GatewayAt, Keyring};

use super::fixture::Fixture;
use crate::*;

fn account() -> Account {
    Account::from_key(DEV_KEY).unwrap()
}

/// A log, and a chain with its gateway.
pub(super) struct Bridged {
    pub(super) log: Fixture,
    pub(super) anvil: Anvil,
    pub(super) audit_log: AuditLog,
    pub(super) gateway: Gateway,
}

impl Bridged {
    pub(super) async fn new() -> Self {
        let log = Fixture::new().await;
        // A block is final once three have followed.
        let config = AnvilConfig { epoch_blocks: Some(1), ..AnvilConfig::default() };
        let anvil = tokio::task::spawn_blocking(move || Anvil::start(&config)).await.unwrap().unwrap();
        let chain = Chain::connect(&anvil.url()).await.unwrap();
        let (audit_log, gateway) = gateway_of(&chain, &log.log.log_id).await;
        Self { log, anvil, audit_log, gateway }
    }

    pub(super) async fn config(&self, first_block: u64) -> BridgeConfig {
        BridgeConfig {
            pool: self.log.pool.clone(),
            keyring: Keyring::new(&[9; 32]),
            committer: self.log.committer.clone(),
            tiles: self.log.folder.clone(),
            endpoints: vec![self.gateway.clone()],
            audit_logs: vec![self.audit_log.clone()],
            terms: agreed_terms(std::slice::from_ref(&self.gateway)).await.unwrap(),
            program_id: self.log.program.program_id,
            unit: 1,
            first_block,
            account: Some(Account::from_key(DEV_BRIDGE_KEY).unwrap()),
            accepted_claims: Vec::new(),
            fee_ceiling_wei: u128::MAX,
            check_every: Duration::ZERO,
            final_depth_min: 0,
            final_depth_alone: 0,
        }
    }

    pub(super) fn at(&self) -> GatewayAt {
        GatewayAt { chain_id: self.gateway.chain().id(), contract: self.gateway.contract() }
    }

    /// Withdraws so many of asha's points under an id of such bytes, to be claimed within so many seconds of the chain's clock.
    pub(super) async fn withdraw(&self, points: i64, id: u8, seconds: u64) {
        let claim_before = self.gateway.chain().latest_time_s().await.unwrap() + seconds;
        let GatewayAt { chain_id, contract: gateway } = self.at();
        let destination =
            Destination { chain_id, gateway, holder: HOLDER, withdrawal_id: [id; 32], claim_before };
        let member = MemberRef::External("asha".to_owned());
        let command = Command::Withdraw { member, points: Points::new(points).unwrap(), destination };
        let request = self.log.request("operator:test", &format!("withdraw {id}"), command);
        assert!(self.log.committer.submit(request).await.unwrap().outcome.is_ok());
    }

    /// Anchors a root of this size, the first one of the place.
    pub(super) async fn anchor(&self, size: u64, root: &Hash) {
        anchor_first(&self.audit_log, size, root).await;
    }
}

async fn anchor_first(audit_log: &AuditLog, size: u64, root: &Hash) {
    let chain = audit_log.chain();
    let nonce = chain.nonce(&account().address()).await.unwrap();
    let fees = fees_for(chain.base_fee_wei().await.unwrap(), tip_floor_wei(chain.id()), 40);
    let signed = audit_log.sign_anchor(&account(), nonce, fees, size, root, &[]).await.unwrap();
    chain.send_raw(&signed.raw).await.unwrap();
    while audit_log.head().await.unwrap().size != size {
        tokio::task::yield_now().await;
    }
}

/// anvil's sixth account, for which it signs by itself.
pub(super) const HOLDER: [u8; 20] =
    *b"\x99\x65\x50\x7d\x1a\x55\xbc\xc2\x69\x5c\x58\xba\x16\xfb\x37\xd8\x19\xb0\xa4\xdc";

pub(super) async fn gateway_of(chain: &Chain, log_id: &Hash) -> (AuditLog, Gateway) {
    let audit_log = ensure_contract(chain, &account(), log_id).await.unwrap();
    let points = ensure_points(&audit_log, &account(), log_id).await.unwrap().points.unwrap();
    (audit_log, Gateway::new(chain.clone(), points.points_gateway.into_array(), log_id))
}

/// Another contract stands for an endpoint that lies about this one.
#[tokio::test]
async fn a_gateway_is_what_most_endpoints_say() {
    let it = Bridged::new().await;
    let (_, other) = gateway_of(it.gateway.chain(), &[8; 32]).await;
    let (honest, lying) = (it.gateway.terms().await.unwrap(), other.terms().await.unwrap());
    assert_ne!(honest.points, lying.points);
    assert_eq!(honest.epoch_s, 30 * 24 * 3600);
    let most = [other.clone(), it.gateway.clone(), it.gateway.clone()];
    assert_eq!(agreed_terms(&most).await.unwrap(), honest);
    let error = agreed_terms(&most[..2]).await.unwrap_err();
    assert!(error.to_string().contains("only 1 of 2 endpoints"), "{error}");

    // The same holds for what is checked.
    let mut bridge = Bridge::open(it.config(0).await).await.unwrap();
    assert_ne!(bridge.step().await.unwrap().blocks, 0);
    let audited = audit_bridge(&it.log.pool, &most[1..]).await.unwrap();
    assert_eq!(audited.problems, Vec::<String>::new());
    let error = audit_bridge(&it.log.pool, &most[..2]).await.unwrap_err();
    assert!(error.to_string().contains("only 1 of 2 endpoints"), "{error}");
}

#[tokio::test]
async fn a_gateway_is_read_from_a_block_that_is_final_already() {
    let it = Bridged::new().await;
    let error = Bridge::open(it.config(100_000).await).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, BridgeError::Retry(BridgeObstacle::FirstBlock { .. })), "{error}");
    let mut conn = it.log.pool.acquire().await.unwrap();
    assert_eq!(store::gateway_state(&mut conn, &it.at()).await.unwrap(), None, "nothing is sent there");
    let last = it.gateway.chain().finalized_block().await.unwrap().unwrap();
    Bridge::open(it.config(last).await).await.unwrap();
    // Where it was read from is settled by then.
    Bridge::open(it.config(100_000).await).await.unwrap();
}

/// The development gateway is three hours ahead of UTC, for ever.
#[tokio::test]
async fn a_gateway_whose_days_end_after_the_programs_is_refused() {
    let it = Bridged::new().await;
    for (zone, is_taken) in [
        ("Asia/Tokyo", false),
        // Two hours ahead in winter, and three in summer.
        ("Europe/Helsinki", true),
        // Half an hour more.
        ("Asia/Tehran", false),
        ("Africa/Nairobi", true),
        ("America/New_York", true),
    ] {
        let policy = format!(r#"{{"time_zone": "{zone}"}}"#);
        let conn = &mut *it.log.pool.acquire().await.unwrap();
        store::add_policy(conn, it.log.program.program_id, policy.as_bytes()).await.unwrap();
        match Bridge::open(it.config(0).await).await {
            Ok(_) => assert!(is_taken, "{zone}"),
            Err(error) => {
                assert!(!is_taken, "{zone}: {error}");
                assert!(matches!(error, BridgeError::Retry(BridgeObstacle::LocalTime { .. })), "{error}");
            }
        }
    }
}

/// A policy may change while the bridge runs.
#[tokio::test]
async fn a_program_whose_days_come_to_end_before_the_gateways_is_told() {
    let it = Bridged::new().await;
    let mut bridge = Bridge::open(it.config(0).await).await.unwrap();
    assert_ne!(bridge.step().await.unwrap().blocks, 0);
    for (zone, is_told) in [("Asia/Tokyo", true), ("Africa/Nairobi", false)] {
        let policy = format!(r#"{{"time_zone": "{zone}"}}"#);
        let conn = &mut *it.log.pool.acquire().await.unwrap();
        store::add_policy(conn, it.log.program.program_id, policy.as_bytes()).await.unwrap();
        bridge.check().await;
        let told: Vec<bool> =
            bridge.problems().iter().map(|it| it.contains("is behind the program's")).collect();
        assert_eq!(told, vec![true; usize::from(is_told)], "{zone}: {:?}", bridge.problems());
    }
}

/// Whoever stole the writer's key has to settle what they anchored themselves.
#[tokio::test]
async fn a_head_that_is_not_this_logs_is_not_settled() {
    let it = Bridged::new().await;
    let mut bridge = Bridge::open(it.config(0).await).await.unwrap();
    it.log.post(1).await;
    it.withdraw(2, 3, 24 * 3600).await;
    it.log.seal_all().await;
    let ours = store::latest_checkpoint(&mut it.log.pool.acquire().await.unwrap()).await.unwrap().unwrap();
    it.anchor(ours.size, &[6; 32]).await;
    assert_eq!(bridge.step().await.unwrap().sent, 0);
    assert_eq!(it.gateway.matures_at(ours.size, &[6; 32]).await.unwrap(), 0);
}

/// One endpoint of three shows another log's head as this one's. The others, which rounds begin at in turn, take nothing back of that.
#[tokio::test]
async fn a_strange_head_is_told_for_as_long_as_its_endpoint_shows_it() {
    let it = Bridged::new().await;
    let (lying, _) = gateway_of(it.gateway.chain(), &[8; 32]).await;
    anchor_first(&lying, 1, &[6; 32]).await;
    let audit_logs = vec![it.audit_log.clone(), lying, it.audit_log.clone()];
    let endpoints = vec![it.gateway.clone(); 3];
    let mut bridge =
        Bridge::open(BridgeConfig { endpoints, audit_logs, ..it.config(0).await }).await.unwrap();
    it.log.post(1).await;
    it.withdraw(2, 3, 24 * 3600).await;
    it.log.seal_all().await;
    for is_told in [false, true, true, true, true] {
        assert_eq!(bridge.step().await.unwrap().sent, 0);
        assert_eq!(bridge.strange_heads(), vec![(1, [6; 32]); usize::from(is_told)]);
    }
}
