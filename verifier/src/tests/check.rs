//! The whole check: a receipt, a policy, and the contract on a real chain.

use std::time::{Duration, Instant};

use anchor_worker::{AnchorPolicy, Anchorer};
use chain::dev::{DEV_BRIDGE_KEY, DEV_KEY, ensure_contract};
use chain::{Account, AuditLog, Chain, fees_for, tip_floor_wei};
use devstack::{Anvil, AnvilConfig};
use proof::{Checkpoint, Receipt, SignedNote};

use super::*;
use crate::{ChainFinding, Report, check, check_folder, could_not_check, judge};

fn account() -> Account {
    Account::from_key(DEV_KEY).unwrap()
}

/// A sealed posting, and its receipt.
async fn sealed() -> (World, Vec<u8>) {
    let mut world = World::new().await;
    let id = world.earn(MEMBER, 5).await;
    world.seal().await;
    let receipt = world.receipt(id, "member-key", "").await.bytes;
    (world, receipt)
}

fn expect(report: &Report, exit_status: u8, verdict: &str, code: Option<&str>, words: &str) {
    assert_eq!(
        (report.exit_status, report.verdict, report.code),
        (exit_status, verdict, code),
        "{}",
        report.sentence
    );
    assert!(report.sentence.contains(words), "{}", report.sentence);
    assert!(report.sentence.ends_with('.') && !report.sentence.contains('\n'), "{}", report.sentence);
}

#[tokio::test]
async fn a_verdict_has_a_status_a_code_and_one_sentence() {
    let (world, receipt) = sealed().await;
    let place = AnchorPlace { chain_id: 31337, contract: [0xc0; 20], registrant: [1; 20] };
    let policy = world.policy(&[place]);
    let anchored = ChainFinding::Anchored { place, block: Some(7), is_final: true };
    let tell = |finding: &ChainFinding| judge(&receipt, &policy, finding);
    expect(&tell(&ChainFinding::NotAsked), 0, "valid", None, "the chain was not asked");
    expect(&tell(&anchored), 0, "valid", None, "on chain 31337 holds that checkpoint since block 7");
    expect(&tell(&ChainFinding::NotAnchored), 2, "not_anchored", None, "ask again");
    expect(&tell(&ChainFinding::PassedOver), 2, "not_anchored", None, "fetch the receipt again");
    expect(&tell(&ChainFinding::Disagrees), 1, "refused", Some("anchor_disagrees"), "another root");
    let unreachable = ChainFinding::Unreachable("connection refused".into());
    expect(&tell(&unreachable), 2, "could_not_check", None, "connection refused");
    expect(&could_not_check("no such file"), 2, "could_not_check", None, "no such file");
    // What the chain says of a receipt that is refused says nothing.
    for finding in [ChainFinding::NotAsked, anchored.clone(), ChainFinding::NotAnchored, unreachable] {
        expect(&judge(b"nothing", &policy, &finding), 1, "refused", Some("malformed_receipt"), "");
        let stranger = Policy::of_log(proof::Signer::new("other", &[3; 32]).unwrap().verifier_key());
        expect(&judge(&receipt, &stranger, &finding), 1, "refused", Some("unknown_log"), "");
    }
    // What a key has signed that has retired since counts where the contract holds it.
    let vkey = policy.log_keys[0].encode();
    let retired = Policy::parse(&format!("log {vkey}\nretired {vkey} 99 1\n")).unwrap();
    let tell_retired = |finding: &ChainFinding| judge(&receipt, &retired, finding);
    expect(&tell_retired(&anchored), 0, "valid", None, "holds that checkpoint");
    let unreachable = ChainFinding::Unreachable("connection refused".into());
    expect(&tell_retired(&unreachable), 2, "could_not_check", None, "connection refused");
    for finding in
        [ChainFinding::NotAsked, ChainFinding::NotAnchored, ChainFinding::PassedOver, ChainFinding::Disagrees]
    {
        expect(&tell_retired(&finding), 1, "refused", Some("retired_key"), "fetch the receipt again");
    }
    let body = serde_json::to_value(tell(&anchored)).unwrap();
    assert_eq!((&body["verdict"], &body["exit_status"]), (&json!("valid"), &json!(0)));
    assert_eq!(body["proves"]["anchored"]["contract"], format!("0x{}", "c0".repeat(20)));
    assert_eq!(body["proves"]["posting_kind"], "earn");
    assert_eq!(body.get("code"), None);
}

struct Anchored {
    world: World,
    anvil: Anvil,
    audit_log: AuditLog,
}

impl Anchored {
    async fn new() -> Self {
        let mut world = World::new().await;
        let anvil =
            tokio::task::spawn_blocking(|| Anvil::start(&AnvilConfig::default())).await.unwrap().unwrap();
        let chain = Chain::connect(&anvil.url()).await.unwrap();
        let audit_log = ensure_contract(&chain, &account(), &world.log.log_id).await.unwrap();
        world.serve(&[audit_log.place()]);
        Self { world, anvil, audit_log }
    }

    /// Anchors the newest checkpoint, and waits until it is written down.
    async fn anchor(&self, size: u64) {
        let policy = AnchorPolicy::new(self.audit_log.place().chain_id, Duration::ZERO);
        let folder = Arc::clone(&self.world.folder);
        let mut anchorer =
            Anchorer::new(self.world.pool.clone(), folder, self.audit_log.clone(), account(), policy);
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut conn = self.world.pool.acquire().await.unwrap();
        while store::latest_anchor(&mut conn, &self.audit_log.place()).await.unwrap().map(|it| it.size)
            != Some(size)
        {
            assert!(Instant::now() < deadline, "{size} leaves are still not anchored");
            anchorer.step().await.unwrap();
        }
        anchorer.leave().await.unwrap();
    }

    async fn check(&self, receipt: &[u8]) -> Report {
        check(receipt, &self.world.policy(&[self.audit_log.place()]), Some(&self.anvil.url())).await
    }
}

fn size(receipt: &[u8]) -> u64 {
    let receipt = Receipt::parse(receipt).unwrap();
    Checkpoint::parse(&SignedNote::parse(&receipt.checkpoint).unwrap().text).unwrap().size
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchored_receipt_carries_exactly_the_anchored_checkpoint() {
    let mut it = Anchored::new().await;
    let first = it.world.earn(MEMBER, 5).await;
    it.world.seal().await;
    let early = it.world.receipt(first, "member-key", "").await.bytes;
    expect(&it.check(&early).await, 2, "not_anchored", None, "ask again");

    it.world.earn(MEMBER, 5).await;
    it.world.seal().await;
    it.anchor(2).await;
    let third = it.world.earn(MEMBER, 5).await;
    it.world.seal().await;

    expect(&it.check(&early).await, 2, "not_anchored", None, "passed over");

    let receipt = it.world.receipt(first, "member-key", "").await.bytes;
    assert_eq!(size(&receipt), 2, "not the newest, which is larger");
    let hints = Receipt::parse(&receipt).unwrap().leaf.hints;
    let place = it.audit_log.place();
    assert_eq!(hints.len(), 1);
    assert_eq!(
        (hints[0].chain_id, hints[0].contract, hints[0].registrant),
        (place.chain_id, place.contract, place.registrant)
    );
    let report = it.check(&receipt).await;
    expect(&report, 0, "valid", None, "holds that checkpoint");
    assert_eq!(report.proves.unwrap().anchored.unwrap().block, Some(hints[0].block));

    // What no anchor covers yet comes with the newest checkpoint.
    let receipt = it.world.receipt(third, "member-key", "").await.bytes;
    assert_eq!(size(&receipt), 3);
    expect(&it.check(&receipt).await, 2, "not_anchored", None, "ask again");
    it.anchor(3).await;
    expect(&it.check(&receipt).await, 0, "valid", None, "holds that checkpoint");
    let again = it.world.receipt(first, "member-key", "").await.bytes;
    assert_eq!(size(&again), 2, "the smallest anchored one, so that the file stays as it is");
    // What is pinned is checked without asking for events: from then on it is what a receipt carries.
    let conn = &mut *it.world.pool.acquire().await.unwrap();
    store::record_pin(conn, &place, 3, true).await.unwrap();
    let pinned = it.world.receipt(first, "member-key", "").await.bytes;
    assert_eq!(size(&pinned), 3);
    expect(&it.check(&pinned).await, 0, "valid", None, "holds that checkpoint");
    store::record_pin(conn, &place, 3, false).await.unwrap();

    let body: Value = serde_json::from_slice(&it.world.get("/v1/anchors").await.bytes).unwrap();
    assert_eq!(body["anchors"][0]["latest"]["size"], 3);
    assert_eq!(body["anchors"][0]["chain_id"], place.chain_id);
}

/// That nothing came after the last receipt is held against the contract as each receipt is.
#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_is_not_anchored_completes_nothing() {
    let mut it = Anchored::new().await;
    let id = it.world.earn(MEMBER, 5).await;
    it.world.seal().await;
    it.anchor(1).await;
    it.world.map().await;
    it.world.seal().await;
    let receipt = it.world.receipt(id, "member-key", "").await.bytes;
    let (place, url) = (it.audit_log.place(), it.anvil.url());
    let judged = async |world: &World, policy: &Policy| {
        let map = world.map_proof(id, "member-key", "").await.bytes;
        let files = [("1.tlog-proof".to_owned(), receipt.clone()), ("newest.map-proof".to_owned(), map)];
        check_folder(&files, policy, Some(&url)).await
    };
    let policy = it.world.policy(&[place]);
    let early = judged(&it.world, &policy).await;
    assert_eq!((early.verdict, early.exit_status), ("not_anchored", 2), "{}", early.sentence);
    assert_eq!(early.file.as_deref(), Some("newest.map-proof"));
    it.anchor(2).await;
    let whole = judged(&it.world, &policy).await;
    assert_eq!((whole.exit_status, whole.accounts[0].complete_to), (0, Some(1)), "{}", whole.sentence);
    // The contract vouches for a map, too, that only a key has signed that has retired since.
    let retired = format!("{}retired {} 99 1\n", it.world.policy_text(&[place]), it.world.vkey);
    let whole = judged(&it.world, &Policy::parse(&retired).unwrap()).await;
    assert_eq!((whole.exit_status, whole.accounts[0].complete_to), (0, Some(1)), "{}", whole.sentence);
}

/// The order of the policy's lines does not decide which of two contracts is heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_disagrees_is_heard_beside_one_that_does_not() {
    let mut it = Anchored::new().await;
    let id = it.world.earn(MEMBER, 5).await;
    it.world.seal().await;
    it.anchor(1).await;
    let receipt = it.world.receipt(id, "member-key", "").await.bytes;
    let (chain, other) = (it.audit_log.chain(), Account::from_key(DEV_BRIDGE_KEY).unwrap());
    let differing = ensure_contract(chain, &other, &it.world.log.log_id).await.unwrap();
    let [first, second] = [it.audit_log.place(), differing.place()];
    let url = it.anvil.url();
    let asked = async |places: &[AnchorPlace]| check(&receipt, &it.world.policy(places), Some(&url)).await;
    for places in [[first, second], [second, first]] {
        expect(&asked(&places).await, 0, "valid", None, "holds that checkpoint");
    }

    let nonce = chain.nonce(&other.address()).await.unwrap();
    let fees = fees_for(chain.base_fee_wei().await.unwrap(), tip_floor_wei(chain.id()), 40);
    let signed = differing.sign_anchor(&other, nonce, fees, 1, &[7; 32], &[]).await.unwrap();
    chain.send_raw(&signed.raw).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while differing.head().await.unwrap().size != 1 {
        assert!(Instant::now() < deadline, "it is still not mined");
        tokio::task::yield_now().await;
    }
    for places in [[first, second], [second, first]] {
        expect(&asked(&places).await, 1, "refused", Some("anchor_disagrees"), "another root");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_cannot_be_asked_is_no_refusal() {
    let (world, receipt) = sealed().await;
    let anvil = tokio::task::spawn_blocking(|| Anvil::start(&AnvilConfig::default())).await.unwrap().unwrap();
    let url = anvil.url();
    let nowhere = AnchorPlace { chain_id: 31337, contract: [0xc0; 20], registrant: [1; 20] };
    let elsewhere = AnchorPlace { chain_id: 137, ..nowhere };
    let asked =
        async |places: &[AnchorPlace], url: &str| check(&receipt, &world.policy(places), Some(url)).await;
    expect(&asked(&[nowhere], &url).await, 2, "could_not_check", None, "could not be asked");
    expect(
        &asked(&[elsewhere], &url).await,
        2,
        "could_not_check",
        None,
        "the policy names no contract there",
    );
    expect(&asked(&[], &url).await, 2, "could_not_check", None, "the policy names no contract there");
    expect(&asked(&[nowhere], "not a url").await, 2, "could_not_check", None, "URL");
    tokio::task::spawn_blocking(move || anvil.stop()).await.unwrap().unwrap();
    expect(&asked(&[nowhere], &url).await, 2, "could_not_check", None, "could not be asked");
    let offline = check(&receipt, &world.policy(&[nowhere]), None).await;
    expect(&offline, 0, "valid", None, "the chain was not asked");
}
