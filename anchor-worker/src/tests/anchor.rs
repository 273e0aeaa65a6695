use std::sync::Arc;
use std::time::{Duration, Instant};

use chain::dev::{DEV_KEY, ensure_contract};
use chain::{Account, AuditLog, Chain, ChainError, Role, RoleCall};
use devstack::{Anvil, AnvilConfig, RpcFate, RpcWire};
use proof::{AnchorPlace, Checkpoint, Hash};
use serde_json::{Value, json};
use store::{Anchor, PgPool};
use tiles::TileStore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fixture::Fixture;
use crate::*;

const PATIENCE: Duration = Duration::from_secs(60);
/// An endpoint that nobody gives to a server: a free port might become another test's.
const NOBODY: &str = "http://127.0.0.1:1";

/// A log with a chain to anchor it on.
pub(super) struct Anchored {
    pub(super) log: Fixture,
    pub(super) anvil: Anvil,
    pub(super) audit_log: AuditLog,
    pub(super) holder: Uuid,
}

pub(super) fn account() -> Account {
    Account::from_key(DEV_KEY).unwrap()
}

pub(super) fn policy() -> AnchorPolicy {
    AnchorPolicy { resend_after_ms: 0, rewind_patience_ms: 0, ..AnchorPolicy::new(31337, Duration::ZERO) }
}

impl Anchored {
    pub(super) async fn new() -> Self {
        let log = Fixture::new().await;
        let anvil =
            tokio::task::spawn_blocking(|| Anvil::start(&AnvilConfig::default())).await.unwrap().unwrap();
        let chain = Chain::connect(&anvil.url()).await.unwrap();
        let audit_log = ensure_contract(&chain, &account(), &log.log.log_id).await.unwrap();
        Self { log, anvil, audit_log, holder: Uuid::new_v4() }
    }

    /// A sender as a new process would start it.
    fn anchorer(&self) -> Anchorer {
        self.anchorer_of(account(), policy())
    }

    fn anchorer_of(&self, account: Account, policy: AnchorPolicy) -> Anchorer {
        let folder = Arc::clone(&self.log.folder);
        Anchorer::new(self.log.pool.clone(), folder, self.audit_log.clone(), account, policy)
            .of_holder(self.holder)
    }

    pub(super) async fn grow(&self, leaves: u64) {
        self.log.post(leaves).await;
        self.log.seal_all().await;
    }

    /// Steps until the contract has this size and our records say so.
    async fn anchor_until(&self, size: u64) {
        let mut anchorer = self.anchorer();
        let started = Instant::now();
        while self.latest().await.is_none_or(|it| it.size < size) {
            anchorer.step().await.unwrap();
            assert!(started.elapsed() < PATIENCE, "it is not anchored in time");
        }
        // Writes down what the chain shows of the transaction itself.
        anchorer.step().await.unwrap();
    }

    pub(super) async fn latest(&self) -> Option<Anchor> {
        let conn = &mut *self.log.pool.acquire().await.unwrap();
        store::latest_anchor(conn, &self.audit_log.place()).await.unwrap()
    }

    pub(super) async fn nonce(&self) -> u64 {
        self.audit_log.chain().nonce(&account().address()).await.unwrap()
    }

    fn rpc(&self, method: &str, params: Value) -> Value {
        self.anvil.rpc(method, params).unwrap()
    }

    /// Makes blocks until one holds this: anvil answers before what it was sent is ready for a block.
    async fn mine(&self, attempt: &store::AnchorAttempt) {
        let chain = self.audit_log.chain();
        eventually("mined", || async {
            self.rpc("evm_mine", json!([]));
            chain.receipt(&attempt.transaction).await.unwrap().is_some()
        })
        .await;
    }

    /// The contract itself refuses this root at this size from the log's own writer.
    async fn is_refused_by_the_contract(&self, size: u64, root: &Hash, proof: &[Hash]) {
        let fees = chain::fees_for(1_000_000_000, 1_000_000_000, 40);
        let (account, nonce) = (account(), self.nonce().await);
        let refused = self.audit_log.sign_anchor(&account, nonce, fees, size, root, proof).await;
        let is_it = |why: &str| why.contains("NotAnExtension");
        assert!(matches!(&refused, Err(ChainError::Reverted(why)) if is_it(why)), "{refused:?}");
    }

    pub(super) async fn open_attempts(&self) -> Vec<store::AnchorAttempt> {
        let conn = &mut *self.log.pool.acquire().await.unwrap();
        store::open_attempts(conn, &self.audit_log.place()).await.unwrap()
    }
}

fn rests(stepped: Stepped) -> bool {
    matches!(stepped, Stepped::Rested(_))
}

#[tokio::test]
async fn the_newest_checkpoint_is_anchored_once() {
    let it = Anchored::new().await;
    let mut anchorer = it.anchorer();
    assert!(rests(anchorer.step().await.unwrap()), "an empty log owes nothing");
    let nonce = it.nonce().await;
    for size in [3, 4, 300] {
        it.grow(size - it.latest().await.map_or(0, |it| it.size)).await;
        it.anchor_until(size).await;
        let head = it.audit_log.head().await.unwrap();
        assert_eq!((head.size, head.root), (size, it.log.published().unwrap().root));
        assert!(rests(anchorer.step().await.unwrap()));
    }
    assert_eq!(it.nonce().await, nonce + 3, "one transaction for each");
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    for (leaf_index, size) in [(0, 3), (2, 3), (3, 4), (4, 300), (299, 300)] {
        let anchors = store::anchors_covering(conn, leaf_index).await.unwrap();
        assert_eq!(anchors.iter().map(|it| it.size).collect::<Vec<_>>(), [size], "leaf {leaf_index}");
        let receipt = it.audit_log.chain().receipt(&anchors[0].transaction).await.unwrap().unwrap();
        assert_eq!(receipt.block, anchors[0].block);
    }
    assert!(store::anchors_covering(conn, 300).await.unwrap().is_empty());
    assert!(!it.latest().await.unwrap().is_final);
    it.rpc("anvil_mine", json!(["0x50"]));
    anchorer.step().await.unwrap();
    assert!(it.latest().await.unwrap().is_final);
    assert_eq!(it.open_attempts().await.len(), 3, "looked after until nothing can undo them");
    it.rpc("anvil_mine", json!(["0x200"]));
    anchorer.step().await.unwrap();
    assert!(it.open_attempts().await.is_empty(), "every story has ended");
}

#[tokio::test]
async fn an_anchor_survives_the_end_of_its_worker_at_any_point() {
    let it = Anchored::new().await;
    let mut nonce = it.nonce().await;
    for (number, act) in [Act::StoreAttempt, Act::SendAttempt].into_iter().enumerate() {
        for (half, moment) in [Moment::Before, Moment::After].into_iter().enumerate() {
            let size = 3 * (2 * number + half + 1) as u64;
            it.grow(3).await;
            let ends: Failpoint = Arc::new(move |at, when| (at, when) == (act, moment));
            let mut anchorer = it.anchorer().with_failpoint(ends);
            let ended = loop {
                if let Err(ended) = anchorer.step().await {
                    break ended;
                }
            };
            assert!(matches!(ended, AnchorError::Retry(AnchorObstacle::Failpoint(..))), "{ended}");
            it.anchor_until(size).await;
            nonce += 1;
            assert_eq!(it.nonce().await, nonce, "one transaction, {act:?} {moment:?}");
        }
    }
}

#[tokio::test]
async fn what_a_node_forgot_in_a_crash_is_sent_at_the_next_start() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.rpc("evm_setAutomine", json!([false]));
    let start = || it.anchorer_of(account(), AnchorPolicy { resend_after_ms: 3_600_000, ..policy() });
    let mut first = start();
    assert_eq!(first.step().await.unwrap(), Stepped::Armed);
    assert_eq!(first.step().await.unwrap(), Stepped::Broadcast);
    it.rpc("anvil_dropAllTransactions", json!([]));
    let mut anchorer = start();
    assert_eq!(
        anchorer.step().await.unwrap(),
        Stepped::Broadcast,
        "sent an instant ago, but not by this one"
    );
    assert!(rests(anchorer.step().await.unwrap()));
    assert_eq!(
        start().step().await.unwrap(),
        Stepped::Broadcast,
        "that the node knows it already is success"
    );
    let attempt = it.open_attempts().await.remove(0);
    it.mine(&attempt).await;
    assert!(rests(anchorer.step().await.unwrap()));
    assert_eq!(it.latest().await.unwrap().size, 3);
}

#[tokio::test]
async fn a_reorganised_anchor_is_anchored_again() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.anchor_until(3).await;
    it.grow(4).await;
    let before = it.rpc("evm_snapshot", json!([]));
    it.anchor_until(7).await;
    assert_eq!(it.rpc("evm_revert", json!([before])), json!(true));
    it.rpc("anvil_mine", json!(["0x3"]));
    assert_eq!(it.audit_log.head().await.unwrap().size, 3);
    let first = it.latest().await.unwrap();
    assert_eq!(
        it.anchorer().step().await.unwrap(),
        Stepped::Broadcast,
        "a vanished transaction is missing again"
    );
    it.anchor_until(7).await;
    let again = it.latest().await.unwrap();
    assert_eq!((again.size, again.transaction), (7, first.transaction), "the same bytes serve");
    assert!(first.block < again.block);
}

/// The deterministic deployer, through which contracts have the same address everywhere.
const DEPLOYER: &str = "0x4e59b44847b379578588920cA78FbF26c0B4956C";

#[tokio::test]
async fn a_development_chain_that_began_anew_is_anchored_anew() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.anchor_until(3).await;
    it.rpc("anvil_mine", json!(["0x200"]));
    it.anchorer().step().await.unwrap();
    assert!(it.latest().await.unwrap().is_final);
    forget_if_reset(&it.log.pool, &it.audit_log).await.unwrap();
    assert_eq!(it.latest().await.unwrap().size, 3, "it stands, so it stays");

    // A chain that is started anew has the deterministic deployer from the first block; one that is reset has not.
    let code = it.rpc("eth_getCode", json!([DEPLOYER, "latest"]));
    it.rpc("anvil_reset", json!([]));
    it.rpc("anvil_setCode", json!([DEPLOYER, code]));
    let again = ensure_contract(it.audit_log.chain(), &account(), &it.log.log.log_id).await.unwrap();
    assert_eq!(again.place(), it.audit_log.place());
    let waits = it.anchorer().step().await.unwrap_err();
    assert!(matches!(waits, AnchorError::Retry(AnchorObstacle::Stale { shown: 0, finalized: 3 })), "{waits}");
    forget_if_reset(&it.log.pool, &it.audit_log).await.unwrap();
    it.anchor_until(3).await;
    assert!(!it.latest().await.unwrap().is_final);
}

#[tokio::test]
async fn a_real_chain_that_shows_nothing_is_never_forgotten() {
    let it = Fixture::new().await;
    it.post(3).await;
    it.seal_all().await;
    let config = AnvilConfig { chain_id: 80002, ..AnvilConfig::default() };
    let anvil = tokio::task::spawn_blocking(move || Anvil::start(&config)).await.unwrap().unwrap();
    let chain = Chain::connect(&anvil.url()).await.unwrap();
    let contract = chain::dev::deploy(&chain, &account()).await.unwrap().into_array();
    let place = AnchorPlace { chain_id: 80002, contract, registrant: account().address() };
    let anchor = Anchor { place, size: 3, block: 1, transaction: [1; 32], is_final: true };
    store::record_anchor(&mut it.pool.acquire().await.unwrap(), &anchor).await.unwrap();
    let audit_log = AuditLog::new(chain, place, &it.log.log_id).unwrap();
    assert_eq!(audit_log.head().await.unwrap().size, 0);
    forget_if_reset(&it.pool, &audit_log).await.unwrap();
    let kept = store::latest_anchor(&mut it.pool.acquire().await.unwrap(), &place).await.unwrap();
    assert_eq!(kept, Some(anchor));
    let folder = Arc::clone(&it.folder);
    let mut anchorer = Anchorer::new(it.pool.clone(), folder, audit_log, account(), policy());
    let waits = anchorer.step().await.unwrap_err();
    assert!(waits.to_string().contains("Point --chain-rpc-url at a node that is in step"), "{waits}");
}

#[tokio::test]
async fn what_another_anchored_is_written_down() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.anchor_until(3).await;
    let anchored = it.latest().await.unwrap();
    it.log.tamper("delete from anchor; delete from anchor_attempt").await;
    let nonce = it.nonce().await;
    assert!(rests(it.anchorer().step().await.unwrap()));
    assert_eq!(it.latest().await.unwrap(), anchored);
    assert_eq!(it.nonce().await, nonce, "nothing is anchored twice");
}

/// Of what another anchored one endpoint alone does not say that it is final.
#[tokio::test]
async fn what_another_anchored_is_final_once_most_endpoints_show_it() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.anchor_until(3).await;
    it.log.tamper("delete from anchor; delete from anchor_attempt").await;
    it.rpc("anvil_mine", json!(["0x200"]));
    let wires = [(); 3].map(|()| RpcWire::start(it.anvil.port()).unwrap());
    let endpoint = |wire: &RpcWire| {
        let chain = Chain::of_id(&wire.url(), it.audit_log.chain().id()).unwrap();
        AuditLog::new(chain, it.audit_log.place(), &it.log.log.log_id).unwrap()
    };
    let endpoints = wires.iter().map(endpoint).collect();
    let (pool, folder) = (it.log.pool.clone(), Arc::clone(&it.log.folder));
    let mut anchorer =
        Anchorer::with_endpoints(pool, folder, endpoints, account(), policy()).of_holder(it.holder);
    for wire in &wires[1..] {
        wire.set(|method| match method {
            "eth_getLogs" => RpcFate::Answer("[]"),
            _ => RpcFate::Pass,
        });
    }
    for _ in 0..3 {
        assert!(rests(anchorer.step().await.unwrap()));
    }
    assert_eq!(it.latest().await.map(|it| (it.size, it.is_final)), Some((3, false)));
    wires[1].set(|_| RpcFate::Pass);
    assert!(rests(anchorer.step().await.unwrap()));
    assert_eq!(it.latest().await.map(|it| (it.size, it.is_final)), Some((3, true)));
}

#[tokio::test]
async fn a_rewritten_history_is_refused_by_the_contract() {
    let mut it = Anchored::new().await;
    it.grow(10).await;
    it.anchor_until(10).await;
    // Whoever has the database, the folder and the key rewrites it all, and seals it anew.
    it.log
        .tamper(
            "delete from anchor_attempt; delete from anchor; delete from checkpoint;
                 update entry set commitment = sha256('x') where leaf_index = 4 and ordinal = 0",
        )
        .await;
    let mut conn = it.log.pool.acquire().await.unwrap();
    let changed = store::leaves(&mut conn, 4, 1).await.unwrap()[0].parts.as_ref().unwrap().commitment();
    drop(conn);
    let hex: String = changed.iter().map(|byte| format!("{byte:02x}")).collect();
    it.log.tamper(&format!("update leaf set commitment = '\\x{hex}' where leaf_index = 4")).await;
    it.log.post(1).await;
    let rewritten = Arc::new(TileStore::open(it.log.home.path().join("rewritten")).unwrap());
    let mut sealer = Sealer::new(it.log.pool.clone(), Arc::clone(&rewritten), it.log.key());
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 11 });
    it.log.folder = rewritten;

    let halted = it.anchorer().step().await.unwrap_err();
    assert!(matches!(halted, AnchorError::Halt(AnchorDoubt::HeadDisagrees { size: 10 })), "{halted}");
    // A sealer that asks the contract before it signs does not sign it.
    let asking = Sealer::new(it.log.pool.clone(), Arc::clone(&it.log.folder), it.log.key());
    let halted = asking.with_contracts(vec![it.audit_log.clone()]).seal().await.unwrap_err();
    assert!(matches!(halted, SealError::Halt(Doubt::SeenOtherwise { size: 10, .. })), "{halted}");
    // And with a worker that does not look, the contract itself refuses.
    let root = it.log.published().unwrap().root;
    let proof = it.log.folder.consistency_proof(10, 11).unwrap();
    it.is_refused_by_the_contract(11, &root, &proof).await;
}

/// A contract that is away at the start is asked again while sealing goes on, through each of its endpoints: one that stands still
/// does not answer for the others.
#[tokio::test]
async fn a_contract_that_was_away_is_asked_until_it_answers() {
    let it = Anchored::new().await;
    let endpoint = |url: &str| {
        let chain = Chain::of_id(url, it.audit_log.chain().id()).unwrap();
        AuditLog::new(chain, it.audit_log.place(), &it.log.log.log_id).unwrap()
    };
    let behind = RpcWire::start(it.anvil.port()).unwrap();
    behind.set(|_| RpcFate::Stale);
    assert_eq!(endpoint(&behind.url()).head().await.unwrap().size, 0);
    it.grow(10).await;
    it.anchor_until(10).await;
    // The database and the tiles forget six of ten leaves: only the contract remembers.
    it.log
        .tamper(
            "delete from anchor_attempt; delete from anchor; delete from checkpoint;
             update log_head set size = 4; delete from leaf where leaf_index >= 4;
             delete from posting where leaf_index >= 4; delete from entry where leaf_index >= 4",
        )
        .await;
    let wire = RpcWire::start(it.anvil.port()).unwrap();
    wire.set(|_| RpcFate::Unavailable);
    let endpoints = [NOBODY.to_owned(), behind.url(), wire.url()].map(|url| endpoint(&url));
    let forgetful = Arc::new(TileStore::open(it.log.home.path().join("forgetful")).unwrap());
    let sealer = Sealer::new(it.log.pool.clone(), forgetful, it.log.key());
    let mut sealer = sealer.with_contracts(endpoints.into());
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Checkpoint { size: 4 });
    assert_eq!(sealer.seal().await.unwrap(), Sealed::Nothing);

    wire.set(|_| RpcFate::Pass);
    let started = Instant::now();
    let halted = loop {
        match sealer.seal().await {
            Ok(sealed) => assert_eq!(sealed, Sealed::Nothing),
            Err(halted) => break halted,
        }
        assert!(started.elapsed() < PATIENCE, "the contract was not asked again");
    };
    assert!(matches!(halted, SealError::Halt(Doubt::SeenBeyond { seen: 10, known: 4, .. })), "{halted}");
}

/// A history that was rewritten in one place alone comes into the contract no more: neither a root that the database made up,
/// whatever proves the true one, nor the true one by what rewritten tiles prove.
#[tokio::test]
async fn a_history_rewritten_in_one_place_is_refused_by_the_contract() {
    let it = Anchored::new().await;
    it.grow(10).await;
    it.anchor_until(10).await;
    it.grow(2).await;
    let root = it.log.published().unwrap().root;
    let proof = it.log.folder.consistency_proof(10, 12).unwrap();
    it.log.tamper("update checkpoint set root = sha256('x') where size = 12").await;
    let mut conn = it.log.pool.acquire().await.unwrap();
    let planted = store::latest_checkpoint(&mut conn).await.unwrap().unwrap().root;
    drop(conn);
    assert_ne!(planted, root);
    it.is_refused_by_the_contract(12, &planted, &proof).await;
    it.log.rewrite_tiles(4).await;
    let rewritten = TileStore::open(it.log.home.path().join("log")).unwrap();
    let planted = rewritten.consistency_proof(10, 12).unwrap();
    assert_ne!(planted, proof);
    it.is_refused_by_the_contract(12, &root, &planted).await;
    assert_eq!(it.audit_log.head().await.unwrap().size, 10);
}

/// A worker that starts while the store is away has nobody to ask what is published, and a deadline to keep.
#[tokio::test]
async fn a_worker_that_starts_without_the_store_anchors_what_is_recorded() {
    let it = Anchored::new().await;
    it.grow(3).await;
    let published = it.log.home.path().join("log/checkpoint");
    std::fs::rename(&published, published.with_extension("away")).unwrap();
    std::fs::create_dir(&published).unwrap();
    it.anchor_until(3).await;
}

/// What is recorded may never be published, where another database's checkpoint was meanwhile: a contract that had taken it would
/// keep the log from its own history.
#[tokio::test]
async fn what_is_not_published_is_not_anchored() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.anchor_until(3).await;
    let record = async |leaves| {
        it.log.post(leaves).await;
        let ends: Failpoint = Arc::new(|act, when| (act, when) == (Act::RecordCheckpoint, Moment::After));
        it.log.sealer().with_failpoint(ends).seal().await.unwrap_err();
    };
    record(2).await;
    assert!(rests(it.anchorer().step().await.unwrap()));
    it.log.seal_all().await;
    it.anchor_until(5).await;

    let sent = it.open_attempts().await.len();
    record(2).await;
    let rival = Checkpoint { origin: it.log.log.origin.clone(), size: 7, root: [7; 32] };
    let keys = it.log.keys();
    let note = keys.sign(&rival, &keys.history()).await.unwrap().unwrap().encode();
    it.log.folder.publish_checkpoint(&note, 5).unwrap();
    assert!(rests(it.anchorer().step().await.unwrap()));
    assert_eq!((it.audit_log.head().await.unwrap().size, it.open_attempts().await.len()), (5, sent));
}

#[tokio::test]
async fn a_revert_stops_the_sender() {
    let it = Anchored::new().await;
    it.grow(3).await;
    let ends: Failpoint = Arc::new(|act, when| (act, when) == (Act::StoreAttempt, Moment::After));
    it.anchorer().with_failpoint(ends).step().await.unwrap_err();
    let attempt = it.open_attempts().await.remove(0);
    // For one block the contract refuses everything.
    let contract: String = it.audit_log.place().contract.iter().map(|byte| format!("{byte:02x}")).collect();
    let contract = format!("0x{contract}");
    let code = it.rpc("eth_getCode", json!([contract, "latest"]));
    it.rpc("anvil_setCode", json!([contract, "0x5f5ffd"]));
    it.audit_log.chain().send_raw(&attempt.raw).await.unwrap();
    it.mine(&attempt).await;
    it.rpc("anvil_setCode", json!([contract, code]));
    let halted = it.anchorer().step().await.unwrap_err();
    assert!(matches!(halted, AnchorError::Halt(AnchorDoubt::Reverted { size: 3, .. })), "{halted}");
}

/// What an endpoint says that an anchor takes does not let it run out of gas, which would stop the sender.
#[tokio::test]
async fn an_endpoint_that_asks_for_too_little_gas_reverts_nothing() {
    let it = Anchored::new().await;
    let wire = RpcWire::start(it.anvil.port()).unwrap();
    wire.set(|method| match method {
        "eth_estimateGas" => RpcFate::Answer("\"0x9c40\""),
        _ => RpcFate::Pass,
    });
    let chain = Chain::of_id(&wire.url(), it.audit_log.chain().id()).unwrap();
    let endpoint = AuditLog::new(chain, it.audit_log.place(), &it.log.log.log_id).unwrap();
    it.grow(3).await;
    let (pool, folder) = (it.log.pool.clone(), Arc::clone(&it.log.folder));
    let mut anchorer = Anchorer::new(pool, folder, endpoint, account(), policy()).of_holder(it.holder);
    let started = Instant::now();
    while it.audit_log.head().await.unwrap().size < 3 {
        anchorer.step().await.unwrap();
        assert!(started.elapsed() < PATIENCE, "it is not anchored in time");
    }
}

#[tokio::test]
async fn an_account_that_is_not_the_writer_waits() {
    let it = Anchored::new().await;
    it.grow(3).await;
    let stranger = Account::from_key(&"42".repeat(32)).unwrap();
    let mut anchorer = it.anchorer_of(stranger, policy());
    assert!(rests(anchorer.step().await.unwrap()));
    assert_eq!(anchorer.alarms(), [Alarm::LowFunds, Alarm::NotAdmitted]);
}

#[tokio::test]
async fn two_senders_at_once_anchor_once() {
    let it = Anchored::new().await;
    let nonce = it.nonce().await;
    it.grow(3).await;
    // The first ends with a stored transaction, which the second sends rather than sign another.
    let ends: Failpoint = Arc::new(|act, when| (act, when) == (Act::StoreAttempt, Moment::After));
    it.anchorer().with_failpoint(ends).step().await.unwrap_err();
    assert_eq!(it.anchorer().step().await.unwrap(), Stepped::Broadcast);
    it.anchor_until(3).await;
    it.grow(3).await;
    let (mut first, mut second) = (it.anchorer(), it.anchorer().of_holder(Uuid::new_v4()));
    let (one, two) = tokio::join!(first.step(), second.step());
    assert_eq!((one.unwrap(), two.unwrap()), (Stepped::Armed, Stepped::StoodBy));
    first.leave().await.unwrap();
    assert_eq!(second.step().await.unwrap(), Stepped::Broadcast, "the standby sends what was stored");
    second.leave().await.unwrap();
    it.anchor_until(6).await;
    assert_eq!(it.nonce().await, nonce + 2);
}

#[tokio::test]
async fn a_standby_that_takes_over_knows_what_was_sent() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.rpc("evm_setAutomine", json!([false]));
    let patient = AnchorPolicy { resend_after_ms: 3_600_000, ..policy() };
    let mut first = it.anchorer_of(account(), patient);
    let mut standby = it.anchorer_of(account(), patient).of_holder(Uuid::new_v4());
    assert_eq!(first.step().await.unwrap(), Stepped::Armed);
    assert_eq!(first.step().await.unwrap(), Stepped::Broadcast);
    assert_eq!(standby.step().await.unwrap(), Stepped::StoodBy);
    first.leave().await.unwrap();
    assert!(
        rests(standby.step().await.unwrap()),
        "it waits for a block, and is not sent anew at each change"
    );
    let attempt = it.open_attempts().await.remove(0);
    it.mine(&attempt).await;
    assert!(rests(standby.step().await.unwrap()));
    assert_eq!(it.latest().await.unwrap().size, 3);
}

#[tokio::test]
async fn trap_7_a_lease_is_held_and_fenced_not_only_checked() {
    let it = Anchored::new().await;
    it.grow(3).await;
    let (place, conn) = (it.audit_log.place(), &mut *it.log.pool.acquire().await.unwrap());
    let (slow, quick) = (Uuid::new_v4(), Uuid::new_v4());
    let old = store::hold_lease(conn, &place, slow, 0).await.unwrap().expect("nobody has it");
    let new = store::hold_lease(conn, &place, quick, 60_000).await.unwrap().expect("it has run out");
    assert_eq!(store::hold_lease(conn, &place, slow, 60_000).await.unwrap(), None);
    assert_eq!(store::hold_lease(conn, &place, quick, 60_000).await.unwrap(), Some(new), "renewed");
    let attempt = store::NewAttempt {
        place,
        extends: 0,
        size: 3,
        sender: account().address(),
        nonce: 2,
        transaction: [1; 32],
        raw: &[],
        fee_wei_max: 1,
        tip_wei_max: 1,
        why: "",
    };
    // The slow one had decided before it lost the lease.
    assert_eq!(store::store_attempt(conn, &attempt, old).await.unwrap(), None);
    assert!(store::store_attempt(conn, &attempt, new).await.unwrap().is_some());
}

/// A second chain, or another endpoint's URL, of the same kind.
async fn another_chain(chain_id: u64) -> (Anvil, Chain) {
    let config = AnvilConfig { chain_id, ..AnvilConfig::default() };
    let anvil = tokio::task::spawn_blocking(move || Anvil::start(&config)).await.unwrap().unwrap();
    let chain = Chain::connect(&anvil.url()).await.unwrap();
    (anvil, chain)
}

#[tokio::test]
async fn the_same_root_stands_on_two_chains_and_one_that_fails_delays_no_other() {
    let it = Anchored::new().await;
    let (other, chain) = another_chain(1337).await;
    let there = ensure_contract(&chain, &account(), &it.log.log.log_id).await.unwrap();
    let pacing = Pacing { gap: Duration::from_millis(20), back_off_max: Duration::from_millis(40) };
    let place = |it: &AuditLog| PlaceConfig {
        endpoints: vec![it.clone()],
        account: account(),
        policy: policy(),
        pacing,
    };
    let config = Config {
        places: vec![place(&it.audit_log), place(&there)],
        ..config(&it.log, &it.log.pool, it.audit_log.clone())
    };
    let stop = CancellationToken::new();
    let worker = tokio::spawn(run(config, stop.clone()));
    it.log.post(3).await;
    eventually("anchored on both", || async {
        let (here, there) = (it.audit_log.head().await.unwrap(), there.head().await.unwrap());
        (here.size, there.size) == (3, 3) && here.root == there.root
    })
    .await;
    eventually("both are written down", || async {
        let conn = &mut *it.log.pool.acquire().await.unwrap();
        store::anchors_covering(conn, 0).await.unwrap().len() == 2
    })
    .await;
    tokio::task::spawn_blocking(move || other.stop()).await.unwrap().unwrap();
    it.log.post(2).await;
    eventually("anchored on the one that answers", || async { it.audit_log.head().await.unwrap().size == 5 })
        .await;
    stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_endpoint_that_is_down_and_one_that_answers_for_another_chain_do_not_keep_it_from_anchoring() {
    let it = Anchored::new().await;
    let (other, _) = another_chain(1337).await;
    let dead = Chain::of_id(NOBODY, 31337).unwrap();
    // It answers, for a chain that is not the one that was meant.
    let wrong = Chain::of_id(&other.url(), 31337).unwrap();
    let log = |chain| AuditLog::new(chain, it.audit_log.place(), &it.log.log.log_id).unwrap();
    let endpoints = vec![log(dead), log(wrong), it.audit_log.clone()];
    let folder = Arc::clone(&it.log.folder);
    let mut anchorer = Anchorer::with_endpoints(it.log.pool.clone(), folder, endpoints, account(), policy())
        .of_holder(it.holder);
    it.grow(3).await;
    // The very first nonce is believed only where most say so.
    assert!(rests_or_waits(anchorer.step().await));
    assert_eq!(it.nonce().await, 2, "nothing was sent");
    it.anchor_until(3).await;
    it.grow(2).await;
    // From then on one honest endpoint suffices.
    while it.audit_log.head().await.unwrap().size != 5 {
        anchorer.step().await.unwrap();
    }
}

#[tokio::test]
async fn a_base_fee_that_outgrows_a_transaction_makes_it_offer_more_for_the_newest_checkpoint() {
    let it = Anchored::new().await;
    it.rpc("evm_setAutomine", json!([false]));
    it.grow(3).await;
    let mut anchorer = it.anchorer_of(account(), AnchorPolicy { resend_after_ms: 3_600_000, ..policy() });
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Armed);
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Broadcast);
    let first = it.open_attempts().await.remove(0);
    it.grow(2).await;
    it.rpc("anvil_setNextBlockBaseFeePerGas", json!([format!("{:#x}", 2 * first.fee_wei_max)]));
    it.rpc("evm_mine", json!([]));
    let started = Instant::now();
    while it.open_attempts().await.len() < 2 {
        anchorer.step().await.unwrap();
        assert!(started.elapsed() < PATIENCE, "it is not replaced in time");
    }
    let second = it.open_attempts().await.remove(1);
    assert_eq!((second.nonce, second.size), (first.nonce, 5));
    assert!(
        first.fee_wei_max * 1125 / 1000 < second.fee_wei_max
            && first.tip_wei_max * 1125 / 1000 < second.tip_wei_max
    );
    it.rpc("evm_setAutomine", json!([true]));
    it.anchor_until(5).await;
    assert_eq!(it.latest().await.unwrap().transaction, second.transaction);
}

#[tokio::test]
async fn an_operator_pauses_forces_and_resumes_and_each_story_is_told() {
    let it = Anchored::new().await;
    let place = it.audit_log.place();
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    store::pause_anchoring(conn, &place, "amina", "a key is being moved").await.unwrap();
    it.grow(3).await;
    let patient = AnchorPolicy { staleness_max_ms: 3_600_000, ..policy() };
    let mut anchorer = it.anchorer_of(account(), patient);
    assert!(rests(anchorer.step().await.unwrap()));
    store::resume_anchoring(conn, &place, "baraka", Some("it is moved")).await.unwrap();
    assert!(rests(anchorer.step().await.unwrap()), "there is an hour");
    store::force_anchor(conn, &place, "amina").await.unwrap();
    let words = store::anchor_words(conn, &place, 9).await.unwrap();
    let said: Vec<_> = words.iter().map(|it| (&*it.word, &*it.actor, it.why.as_deref())).collect();
    let (moving, moved) = (Some("a key is being moved"), Some("it is moved"));
    assert_eq!(said, [("force", "amina", None), ("resume", "baraka", moved), ("pause", "amina", moving)]);
    assert_eq!(store::anchor_order(conn, &place).await.unwrap().paused, None);
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Armed);
    it.anchor_until(3).await;
    it.grow(1).await;
    assert!(rests(anchorer.step().await.unwrap()), "it was asked for once");
    let stories = store::attempt_stories(conn, &place, Some(3), 10).await.unwrap();
    let told: Vec<_> = stories[0].steps.iter().map(|it| (it.state, it.why.as_str())).collect();
    assert_eq!(told[0], (store::AttemptState::Armed, "an operator asked for it"));
    assert_eq!(told[1].0, store::AttemptState::Broadcast);
    assert_eq!(told.last().unwrap().0, store::AttemptState::Included);
    assert!(stories[0].paid_wei.is_some_and(|it| 0 < it));
}

#[tokio::test]
async fn what_a_program_has_marked_is_anchored_soon_whatever_else_may_wait() {
    let it = Anchored::new().await;
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    let (earn, program_id) = (proof::PostingKind::EARN, it.log.program.program_id);
    let patient = AnchorPolicy { staleness_max_ms: 3_600_000, ..policy() };
    let mut anchorer = it.anchorer_of(account(), patient);
    store::set_hurry_rule(conn, program_id, earn, Some(1 << 40)).await.unwrap();
    it.grow(3).await;
    assert!(rests(anchorer.step().await.unwrap()), "there is an hour, and so much was not earned");

    store::set_hurry_rule(conn, program_id, earn, Some(1)).await.unwrap();
    it.grow(1).await;
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Armed);
    it.anchor_until(4).await;
    let stories = store::attempt_stories(conn, &it.audit_log.place(), Some(4), 10).await.unwrap();
    assert_eq!(stories[0].steps[0].why, "a posting is in a hurry");

    // A new process, and one that ran all the time, know that the marked ones are covered.
    store::set_hurry_rule(conn, program_id, earn, None).await.unwrap();
    it.grow(2).await;
    assert!(rests(anchorer.step().await.unwrap()));
    assert!(rests(it.anchorer_of(account(), patient).step().await.unwrap()));
}

/// A posting in a hurry is so again where a reorganisation has taken its anchor away, and whatever would send it again is lost.
#[tokio::test]
async fn what_was_in_a_hurry_is_so_again_without_its_anchor() {
    let it = Anchored::new().await;
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    let (earn, program_id) = (proof::PostingKind::EARN, it.log.program.program_id);
    store::set_hurry_rule(conn, program_id, earn, Some(1)).await.unwrap();
    let patient = AnchorPolicy { staleness_max_ms: 3_600_000, ..policy() };
    let mut anchorer = it.anchorer_of(account(), patient);
    let before = it.rpc("evm_snapshot", json!([]));
    it.grow(3).await;
    let started = Instant::now();
    while it.audit_log.head().await.unwrap().size < 3 {
        anchorer.step().await.unwrap();
        assert!(started.elapsed() < PATIENCE, "it is not anchored in time");
    }
    assert!(rests(anchorer.step().await.unwrap()), "it is covered");
    assert_eq!(it.rpc("evm_revert", json!([before])), json!(true));
    it.rpc("anvil_mine", json!(["0x3"]));
    it.log.tamper("delete from anchor_attempt; delete from anchor").await;
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Armed);
    let stories = store::attempt_stories(conn, &it.audit_log.place(), Some(3), 10).await.unwrap();
    assert_eq!(stories[0].steps[0].why, "a posting is in a hurry");
}

/// Five minutes' prices for five days, by a wave of two hours.
async fn remember_prices(it: &Anchored) {
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    let now_ms = store::clock_us(conn).await.unwrap() as u64 / 1000;
    let mut rng = super::sim::Rng::new(3);
    for slot in 0..1_400_u64 {
        let turn = slot as f64 / 24.0 * std::f64::consts::TAU;
        let noise = 1.0 + 0.2 * (rng.below(1_000) as f64 / 1e3 - 0.5);
        let header = store::SeenHeader {
            block: slot,
            time_ms: now_ms - (1_400 - slot) * 300_000,
            base_fee_wei: (1e9 * (0.5 * turn.sin()).exp() * noise) as u128,
        };
        store::record_header(conn, 31337, &header).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_process_knows_what_the_one_before_had_learnt_of_prices() {
    let it = Anchored::new().await;
    let patient = AnchorPolicy { staleness_max_ms: 2 * 3_600_000, ..policy() };
    // Its blocks come after those that are written down.
    it.rpc("anvil_mine", json!(["0x600", "0x0"]));
    it.grow(3).await;
    let why = |stepped| match stepped {
        Ok(Stepped::Rested(why)) => why,
        other => panic!("there are two hours: {other:?}"),
    };
    let before = why(it.anchorer_of(account(), patient).step().await);
    assert!(before.contains("still being learnt"), "{before}");
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    let written = store::headers_between(conn, 31337, 0, 1 << 43).await.unwrap();
    assert_eq!(written.len(), 1, "the block that it saw");
    assert_eq!(written[0].base_fee_wei, it.audit_log.chain().base_fee_wei().await.unwrap());
    remember_prices(&it).await;
    let mut anchorer = it.anchorer_of(account(), patient);
    let after = match anchorer.step().await {
        // It depends on the hour whether the price is one to take: but it is looked at.
        Ok(Stepped::Armed) => {
            let conn = &mut *it.log.pool.acquire().await.unwrap();
            store::attempt_stories(conn, &it.audit_log.place(), None, 1).await.unwrap()[0].steps[0]
                .why
                .clone()
        }
        stepped => why(stepped),
    };
    assert!(after.contains("of what is usual"), "{after}");
}

#[tokio::test]
async fn a_block_from_no_time_of_ours_is_not_remembered() {
    let it = Anchored::new().await;
    it.grow(3).await;
    let year_2100_s = 4_102_444_800_u64;
    it.rpc("evm_setNextBlockTimestamp", json!([year_2100_s]));
    it.rpc("evm_mine", json!([]));
    assert_eq!(it.audit_log.chain().latest_time_s().await.unwrap(), year_2100_s);
    assert_eq!(it.anchorer().step().await.unwrap(), Stepped::Armed);
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    assert!(store::headers_between(conn, 31337, 0, 1 << 43).await.unwrap().is_empty());
}

#[tokio::test]
async fn prices_that_cannot_be_written_down_end_no_round() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.log.tamper("alter table base_fee add constraint takes_no_more check (false) not valid").await;
    let mut anchorer = it.anchorer();
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Armed);
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Broadcast);
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    assert!(store::headers_between(conn, 31337, 0, 1 << 43).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_anchors_cost_is_told_beside_what_others_would_have_paid() {
    let it = Anchored::new().await;
    remember_prices(&it).await;
    for size in [3, 5] {
        it.grow(size - it.latest().await.map_or(0, |it| it.size)).await;
        it.anchor_until(size).await;
    }
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    let place = it.audit_log.place();
    let now_ms = store::clock_us(conn).await.unwrap() as u64 / 1000;
    let day_ms = 24 * 3_600_000;
    let costs = anchor_costs(conn, &place, 2 * 3_600_000, now_ms - day_ms, now_ms + day_ms).await.unwrap();
    let stories = store::attempt_stories(conn, &place, None, 10).await.unwrap();
    let paid: u128 = stories.iter().filter_map(|it| it.paid_wei).sum();
    assert_eq!(costs.paid.iter().map(|it| it.paid_wei).sum::<u128>(), paid);
    assert_eq!(costs.paid.iter().map(|it| it.leaves).collect::<Vec<_>>(), [3, 2]);
    assert!(costs.paid.iter().all(|it| it.gas_used.is_some_and(|it| 30_000 < it && it < 90_000)));
    let hindsight = costs.hindsight.unwrap();
    assert_eq!(hindsight.paid_wei, paid as f64);
    assert!(0.0 < hindsight.optimum_wei && hindsight.optimum_wei <= hindsight.fixed_wei);
    assert!(280 <= costs.headers.len() && costs.headers.len() <= 300, "a day of them");
}

/// The key of anvil's second account, known to everyone.
const SECOND_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

impl Anchored {
    /// The next step of moving a role, as a process would see it that knows nothing of those before.
    async fn rotates(&self, role: Role, to: &Account, at_once: bool) -> Rotation {
        let roles = self.audit_log.roles(role).await.unwrap();
        next_rotation(&roles, role, to.address(), at_once).unwrap()
    }

    async fn sends(&self, rotation: Rotation) {
        let Rotation::Send(call) = rotation else { panic!("there is nothing to send: {rotation:?}") };
        self.audit_log.change_role(&account(), call).await.unwrap();
    }

    fn waits_an_hour(&self) {
        self.rpc("evm_increaseTime", json!([3600]));
        self.rpc("evm_mine", json!([]));
    }
}

#[tokio::test]
async fn the_writers_key_is_moved_and_what_the_old_one_sent_is_followed() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.anchor_until(3).await;
    // The old key's next one is stored, sent, and lost on the way.
    it.rpc("evm_setAutomine", json!([false]));
    it.grow(2).await;
    let mut old = it.anchorer();
    assert_eq!(old.step().await.unwrap(), Stepped::Armed);
    assert_eq!(old.step().await.unwrap(), Stepped::Broadcast);
    it.rpc("anvil_dropAllTransactions", json!([]));
    it.rpc("evm_setAutomine", json!([true]));

    let new = Account::from_key(SECOND_KEY).unwrap();
    let mut standby = it.anchorer_of(new.clone(), policy()).of_holder(Uuid::new_v4());
    let announces = it.rotates(Role::Writer, &new, false).await;
    assert_eq!(announces, Rotation::Send(RoleCall::Propose(Role::Writer, new.address())));
    it.sends(announces).await;
    assert!(matches!(it.rotates(Role::Writer, &new, false).await, Rotation::Wait { .. }));
    it.waits_an_hour();
    let enacts = it.rotates(Role::Writer, &new, false).await;
    assert_eq!(enacts, Rotation::Send(RoleCall::Enact(Role::Writer)));
    it.sends(enacts).await;
    assert_eq!(it.rotates(Role::Writer, &new, false).await, Rotation::Done);

    // However long the change of keys has taken.
    let conn = &mut *it.log.pool.acquire().await.unwrap();
    let lease = store::hold_lease(conn, &it.audit_log.place(), it.holder, 60_000).await.unwrap();
    assert!(lease.is_some(), "nobody else has taken it");
    assert_eq!(standby.step().await.unwrap(), Stepped::StoodBy, "the old one holds the lease");
    assert!(rests(old.step().await.unwrap()));
    assert!(old.alarms().contains(&Alarm::NotAdmitted));
    while it.audit_log.head().await.unwrap().size != 5 {
        standby.step().await.unwrap();
    }
    assert_eq!(old.step().await.unwrap(), Stepped::StoodBy, "and now the new one does");
    let stories = store::attempt_stories(conn, &it.audit_log.place(), Some(5), 10).await.unwrap();
    let told: Vec<_> = stories.iter().map(|it| it.state).collect();
    assert_eq!(told[0], store::AttemptState::Abandoned, "{stories:?}");
    it.rpc("anvil_mine", json!(["0x200"]));
    for _ in 0..2 {
        standby.step().await.unwrap();
    }
    assert!(it.open_attempts().await.is_empty(), "every story has ended, the old key's too");
    assert!(standby.alarms().is_empty(), "{:?}", standby.alarms());
}

#[tokio::test]
async fn an_announced_standby_takes_over_at_once() {
    let it = Anchored::new().await;
    let new = Account::from_key(SECOND_KEY).unwrap();
    it.sends(it.rotates(Role::Standby, &new, false).await).await;
    it.waits_an_hour();
    it.sends(it.rotates(Role::Standby, &new, false).await).await;
    it.sends(it.rotates(Role::Writer, &new, true).await).await;
    assert_eq!(it.rotates(Role::Writer, &new, true).await, Rotation::Done);
    it.grow(3).await;
    let mut anchorer = it.anchorer_of(new, policy());
    while it.audit_log.head().await.unwrap().size != 3 {
        anchorer.step().await.unwrap();
    }
}

#[tokio::test]
async fn the_head_is_pinned_once_a_day_by_the_same_nonces_as_anchors() {
    let it = Anchored::new().await;
    let pins = |every_ms| AnchorPolicy { pin_every_ms: every_ms, ..policy() };
    let (conn, place) = (&mut *it.log.pool.acquire().await.unwrap(), it.audit_log.place());
    it.grow(3).await;
    it.anchor_until(3).await;
    let nonce = it.nonce().await;
    let mut anchorer = it.anchorer_of(account(), pins(86_400_000));
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Armed);
    // The process ends before it has sent it, and the next one does.
    let mut anchorer = it.anchorer_of(account(), pins(86_400_000));
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Broadcast);
    eventually("pinned", || async { it.audit_log.pinned_root(3).await.unwrap().is_some() }).await;
    assert!(rests(anchorer.step().await.unwrap()));
    assert_eq!(store::pinned(conn, &place).await.unwrap().size, 3);
    let root = it.log.published().unwrap().root;
    assert_eq!(it.audit_log.pinned_root(3).await.unwrap(), Some(root));
    assert_eq!(it.latest().await.unwrap().size, 3, "the anchor is the anchor's transaction, not the pin's");
    assert!(!store::attempt_stories(conn, &place, Some(3), 10).await.unwrap().is_empty());

    it.grow(2).await;
    it.anchor_until(5).await;
    assert!(rests(anchorer.step().await.unwrap()), "not twice in a day");
    assert_eq!(it.nonce().await, nonce + 2);
    // Somebody pins for us: that costs nothing more. Here it is the same account, unknown to the worker.
    let chain = it.audit_log.chain();
    let fees = chain::fees_for(chain.base_fee_wei().await.unwrap(), 1_000_000_000, 40);
    let stranger = Account::from_key(SECOND_KEY).unwrap();
    let signed = it.audit_log.sign_pin(&stranger, 0, fees).await.unwrap();
    chain.send_raw(&signed.raw).await.unwrap();
    eventually("pinned", || async { it.audit_log.pinned_root(5).await.unwrap().is_some() }).await;
    let mut eager = it.anchorer_of(account(), pins(1));
    assert!(rests(eager.step().await.unwrap()));
    assert_eq!((store::pinned(conn, &place).await.unwrap().size, it.nonce().await), (5, nonce + 2));
    // What was pinned is what receipts come with; what was not comes with the smallest anchor.
    let sizes = async |leaf_index| {
        let conn = &mut *it.log.pool.acquire().await.unwrap();
        let pins = store::pins_covering(conn, leaf_index).await.unwrap();
        pins.iter().map(|it| it.size).collect::<Vec<_>>()
    };
    assert_eq!((sizes(0).await, sizes(4).await, sizes(5).await), (vec![3], vec![5], vec![]));
    let now_ms = store::clock_us(conn).await.unwrap() as u64 / 1000;
    let costs = anchor_costs(conn, &place, 3_600_000, 0, now_ms + 60_000).await.unwrap();
    assert_eq!(costs.paid.iter().filter(|it| it.is_pin && 0 < it.paid_wei).count(), 1, "its cost is counted");
}

#[tokio::test]
async fn a_pin_that_no_block_takes_gives_its_nonce_to_the_next_anchor() {
    let it = Anchored::new().await;
    it.grow(3).await;
    it.anchor_until(3).await;
    let policy = AnchorPolicy { pin_every_ms: 86_400_000, stuck_blocks: 0, ..policy() };
    let mut anchorer = it.anchorer_of(account(), AnchorPolicy { resend_after_ms: 3_600_000, ..policy });
    it.rpc("evm_setAutomine", json!([false]));
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Armed);
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Broadcast);
    it.grow(2).await;
    let started = Instant::now();
    while it.open_attempts().await.last().unwrap().size != 5 {
        anchorer.step().await.unwrap();
        assert!(started.elapsed() < PATIENCE, "it is not replaced in time");
    }
    let attempts = it.open_attempts().await;
    let [.., pin, anchor] = &attempts[..] else { panic!("{attempts:?}") };
    assert_eq!((pin.extends, pin.size, pin.nonce), (3, 3, anchor.nonce));
    assert_eq!(anchorer.step().await.unwrap(), Stepped::Broadcast);
    it.mine(anchor).await;
    anchorer.step().await.unwrap();
    assert_eq!(it.latest().await.unwrap().transaction, anchor.transaction);
}

#[tokio::test]
async fn our_rows_are_put_right_by_the_contracts_events() {
    let it = Anchored::new().await;
    for size in [3, 5, 8] {
        it.grow(1).await;
        it.grow(size - 1 - it.latest().await.map_or(0, |it| it.size)).await;
        it.anchor_until(size).await;
    }
    let (conn, place) = (&mut *it.log.pool.acquire().await.unwrap(), it.audit_log.place());
    let as_it_was = store::anchors_at(conn, &place).await.unwrap();
    assert_eq!(reconcile(conn, &it.audit_log, false).await.unwrap().written, Vec::<u64>::new());

    it.log
        .tamper("delete from anchor where size = 3; update anchor set block = block + 1 where size = 5")
        .await;
    let invented = Anchor { place, size: 4, block: 1, transaction: [7; 32], is_final: false };
    store::record_anchor(conn, &invented).await.unwrap();
    let expected =
        Reconciled { head: 8, anchored: 3, written: vec![3, 5], vanished: vec![4], ..Reconciled::default() };
    for only_say in [true, true, false] {
        assert_eq!(reconcile(conn, &it.audit_log, only_say).await.unwrap(), expected);
    }
    assert_eq!(store::anchors_at(conn, &place).await.unwrap(), as_it_was);

    // What was final and is nowhere, and a root that we have not signed, no row puts right.
    store::record_anchor(conn, &Anchor { is_final: true, ..invented }).await.unwrap();
    // Of a block that the endpoint has not come to it says nothing.
    let beyond = Anchor { size: 6, block: 1 << 32, ..invented };
    store::record_anchor(conn, &beyond).await.unwrap();
    it.log.tamper("update checkpoint set root = sha256('x') where size = 5").await;
    let found = reconcile(conn, &it.audit_log, false).await.unwrap();
    assert_eq!((&found.broken[..], &found.strangers[..]), (&[4][..], &[5][..]));
    assert_eq!(found.vanished, Vec::<u64>::new());
    assert!(found.is_doubtful());
}

fn rests_or_waits(stepped: Result<Stepped, AnchorError>) -> bool {
    matches!(stepped, Ok(Stepped::Rested(_)) | Err(AnchorError::Retry(_)))
}

#[tokio::test]
async fn a_leaf_is_followed_through_the_log_lines_to_its_transaction() {
    let it = Anchored::new().await;
    let lines = tempfile::NamedTempFile::new().unwrap();
    let writer = std::sync::Mutex::new(lines.reopen().unwrap());
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(writer).finish();
    // A line that another test's thread met first, with nobody listening there, would stay switched off for all.
    let _ = tracing::subscriber::set_global_default(
        tracing_subscriber::fmt().with_writer(std::io::sink).finish(),
    );
    let listening = tracing::subscriber::set_default(subscriber);
    for size in [3, 7] {
        it.grow(size - it.latest().await.map_or(0, |it| it.size)).await;
        it.anchor_until(size).await;
    }
    drop(listening);
    let latest = it.latest().await.unwrap();
    let hex: String = latest.transaction.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = std::fs::read_to_string(lines.path()).unwrap();
    let lines: Vec<Value> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let of_leaf_5 =
        lines.iter().filter(|it| it["first_leaf"] == 3 && it["last_leaf"] == 6 && it["size"] == 7);
    let told: Vec<_> =
        of_leaf_5.map(|it| json!([it["message"], it["state"], it["transaction"], it["block"]])).collect();
    let transaction = format!("0x{hex}");
    let expected = [
        json!(["sealed", null, null, null]),
        json!(["anchor", "Armed", transaction, null]),
        json!(["anchor", "Included", transaction, latest.block]),
    ];
    assert_eq!(told, expected);
}

async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not in time");
        tokio::task::yield_now().await;
    }
}

fn config(it: &Fixture, pool: &PgPool, audit_log: AuditLog) -> Config {
    let gap = Duration::from_millis(1);
    let pacing = Pacing { gap, back_off_max: 5 * gap };
    let place = PlaceConfig { endpoints: vec![audit_log], account: account(), policy: policy(), pacing };
    Config {
        pool: pool.clone(),
        folder: Arc::clone(&it.folder),
        keys: it.keys(),
        freshness: crate::FRESHNESS,
        seal_pacing: pacing,
        witnesses: None,
        places: vec![place],
    }
}

#[tokio::test]
async fn the_worker_seals_and_anchors_until_it_is_stopped() {
    let it = Anchored::new().await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(run(config(&it.log, &it.log.pool, it.audit_log.clone()), stop.clone()));
    for size in [2, 4] {
        it.log.post(2).await;
        eventually("anchored", || async { it.latest().await.is_some_and(|it| it.size == size) }).await;
    }
    stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_chain_that_is_down_holds_up_nothing_else() {
    let it = Fixture::new().await;
    let at = AnchorPlace { chain_id: 31337, contract: [1; 20], registrant: [2; 20] };
    let chain = Chain::of_id(NOBODY, 31337).unwrap();
    let audit_log = AuditLog::new(chain, at, &it.log.log_id).unwrap();
    let stop = CancellationToken::new();
    let worker = tokio::spawn(run(config(&it, &it.pool, audit_log), stop.clone()));
    for size in [2, 4] {
        it.post(2).await;
        eventually("sealed", || async { it.published().is_some_and(|it| it.size == size) }).await;
    }
    stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_log_in_doubt_ends_the_worker() {
    let it = Anchored::new().await;
    it.log.post(2).await;
    it.log.tamper("update leaf set commitment = sha256('x') where leaf_index = 1").await;
    let ended = run(config(&it.log, &it.log.pool, it.audit_log.clone()), CancellationToken::new()).await;
    assert!(matches!(ended, Err(SealError::Halt(Doubt::LeafChanged { leaf_index: 1 }))), "{ended:?}");
}
