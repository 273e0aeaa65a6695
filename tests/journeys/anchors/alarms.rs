//! Alarms about what a chain shows, each provoked on real chains and read as an operator reads it: one that a stolen key has
//! forked, one that an endpoint of three shows as it was, and one that takes back what was final and costs too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use devstack::{RpcFate, RpcWire};
use journeys::{System, answer_of, eventually};
use serde_json::{Value, json};

use super::chain::Chain;
use super::office::{NEXT_KEY, Office, WRITER, Worker, log_id};

/// The chains: seen through three endpoints, seen through one and dear, and forked.
const AGREED: usize = 0;
const DEAR: usize = 1;
const FORKED: usize = 2;

#[tokio::test]
async fn alarms_of_chains_that_lie_and_forget_begin_and_end() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let log_id = log_id(&system);
    let start = |id| Chain::still(folder.path(), id, &log_id);
    let (one, two, three) = tokio::join!(start(4246), start(4247), start(4248));
    let mut office = Office::open(folder.path(), system, vec![one, two, three]).await;
    let wires = [(); 3].map(|()| RpcWire::start(office.chains[AGREED].port()).expect("a wire"));
    let agreed = json!({"rpc_urls": wires.each_ref().map(RpcWire::url)});
    // A thousandth of a coin may be spent in a day.
    let dear = |at_cap: &str| json!({"staleness": "5s", "spend_cap_milli": 1, "at_spend_cap": at_cap});
    let all = [agreed.clone(), dear("stop"), json!({})];

    let worker = office.worker_of("one", &all).await;
    office.grow().await;
    for number in [AGREED, DEAR, FORKED] {
        office.is_anchored(number).await;
    }
    office.stands_still_in_doubt(&worker).await;
    office.hears_one_endpoint_disagree(&worker, &wires[2]).await;
    office.sees_finality_broken(&worker).await;
    office.has_spent_enough(&worker).await;
    worker.stop().await;
    office.refuses_to_begin(&all).await;

    // The operator takes the fork out, and lets the deadline win: what is due is sent all the same.
    let worker = office.worker_of("two", &[agreed.clone(), dear("deadline-wins")]).await;
    office.is_anchored(DEAR).await;
    worker.tells(office.chains[DEAR].id, "spend_cap").await;
    let lost = office.loses_one_on_the_way(worker).await;
    office.moves_the_key_of(DEAR).await;
    office.refuses_what_the_old_key_had_sent(&lost).await;
    let mut moved = dear("deadline-wins");
    moved["key_file"] = json!(office.secret("next.key", NEXT_KEY));
    let worker = office.worker_of("three", &[agreed, moved]).await;
    office.has_lost_a_race(&worker).await;
    worker.stop().await;
    office.close().await;
}

impl Office {
    async fn worker_of(&self, name: &str, places: &[Value]) -> Worker {
        let places = self.places("places.json", places);
        self.worker_at(name, &places, self.system.fact("database_url")).await
    }

    /// Whoever has the writer's key anchors what this log has not signed: nothing more is sent there, also after an operator's
    /// word, and the other chains do not mind.
    async fn stands_still_in_doubt(&self, worker: &Worker) {
        let chain = &self.chains[FORKED];
        let forged = chain.contract().is_forged_by(WRITER).await;
        worker.shows("daftari_anchor_halted", chain.id, 1.0).await;
        worker.shows("daftari_anchor_halted", self.chains[AGREED].id, 0.0).await;
        let why = format!("the contract's head of {forged} leaves is not a checkpoint of this log");
        for _ in 0..2 {
            eventually("it has halted", async || {
                let listed = self.anchors(FORKED, &["list"]).await.expect(0).stdout;
                listed.contains(&format!("halted: {why}")).then_some(())
            })
            .await;
            self.anchors(FORKED, &["resume"]).await.expect(0);
        }
        assert!(worker.process.log().contains(&why), "the log says why");
        assert_eq!(chain.nonce(WRITER).await, 2, "an anchor of ours, and the thief's");
        let url = &chain.url;
        let told = self.anchors(FORKED, &["reconcile", "--chain-rpc-url", url, "--dry-run"]).await.expect(1);
        assert!(told.stdout.contains(&format!("not checkpoints of this log: {forged}")), "{}", told.stdout);
    }

    /// Nothing is sealed either, where a worker begins beside such a head.
    async fn refuses_to_begin(&self, places: &[Value]) {
        let places = self.places("places.json", places).display().to_string();
        let key = self.folder.join("keys/log.key").display().to_string();
        let url = self.system.fact("database_url");
        let words = ["--log-key-file", &key, "--places", &places, "--database-url", url];
        let told = answer_of(self.anchoring("127.0.0.1:0", &words)).await;
        assert_ne!(told.code, Some(0), "{told:?}");
        let why = format!("the contract on chain {} has seen another history", self.chains[FORKED].id);
        assert!(told.stderr.contains(&why), "{told:?}");
    }

    /// One endpoint of three stands still for longer than a block travels: it is told, and holds up neither anchors nor
    /// their being final.
    async fn hears_one_endpoint_disagree(&mut self, worker: &Worker, wire: &RpcWire) {
        let id = self.chains[AGREED].id;
        let looks = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&looks);
        wire.set(move |method| {
            counted.fetch_add(u32::from(method == "eth_chainId"), Ordering::Relaxed);
            RpcFate::Stale
        });
        // Each look begins with the chain's id: when the second begins, the first has been answered, and stays so.
        eventually("it was looked at", async || (2 <= looks.load(Ordering::Relaxed)).then_some(())).await;
        self.grow().await;
        self.is_anchored(AGREED).await;
        worker.alarm(id, "disagreement", true).await;
        worker.alarm(id, "no_endpoint", false).await;
        self.grow().await;
        self.is_anchored(AGREED).await;
        // Two of three call it final; the third is not so far behind that nobody asks it.
        self.chains[AGREED].mine(6).await;
        self.is_told(AGREED, "final in block").await;
        worker.alarm(id, "disagreement", true).await;
        wire.set(|_| RpcFate::Pass);
        worker.alarm(id, "disagreement", false).await;
    }

    /// The only endpoint takes back what it had called final: it is told, and anchored again.
    async fn sees_finality_broken(&mut self, worker: &Worker) {
        let chain = &self.chains[DEAR];
        let before = chain.call("evm_snapshot", json!([])).await;
        self.grow().await;
        self.is_anchored(DEAR).await;
        self.chains[DEAR].mine(6).await;
        self.is_told(DEAR, "final in block").await;
        let chain = &self.chains[DEAR];
        let nonce = chain.nonce(WRITER).await;
        assert_eq!(chain.call("evm_revert", json!([before])).await, json!(true));
        // Another chain than before, and no shorter.
        chain.mine(12).await;
        worker.tells(chain.id, "finality_broken").await;
        self.is_anchored(DEAR).await;
        self.is_told(DEAR, "orphaned: ").await;
        assert_eq!(chain.nonce(WRITER).await, nonce, "it is paid for once");
        worker.alarm(chain.id, "finality_broken", false).await;
        assert_eq!(worker.has_alarmed(chain.id, "finality_broken").await, Some(1.0), "it is counted");
    }

    /// The day's money is spent, and the operator has said that nothing is sent then.
    async fn has_spent_enough(&mut self, worker: &Worker) {
        let id = self.chains[DEAR].id;
        worker.alarm(id, "late", false).await;
        self.chains[DEAR].costs_gwei(8).await;
        let nonce = self.chains[DEAR].nonce(WRITER).await;
        self.grow().await;
        self.is_anchored(AGREED).await;
        worker.alarm(id, "spend_cap", true).await;
        worker.alarm(id, "late", true).await;
        assert_eq!(self.chains[DEAR].nonce(WRITER).await, nonce, "nothing is sent");
        worker.alarm(self.chains[AGREED].id, "spend_cap", false).await;
    }

    /// A transaction waits for a block, and so does its worker's end; nodes forget it. Gives its bytes.
    async fn loses_one_on_the_way(&mut self, worker: Worker) -> Vec<u8> {
        self.chains[DEAR].takes_at_once(false).await;
        self.grow().await;
        let chain = &self.chains[DEAR];
        chain.has_one_waiting().await;
        self.is_anchored(AGREED).await;
        worker.process.kill().await;
        let pool = store::connect(self.system.fact("database_url"), 1).await.expect("the database answers");
        let conn = &mut *pool.acquire().await.expect("a connection");
        let open = store::open_attempts(conn, &chain.anchor_place()).await.expect("they can be read");
        let last = open.into_iter().next_back().expect("one is open");
        assert_eq!(last.size, self.posted);
        chain.call("anvil_dropAllTransactions", json!([])).await;
        chain.takes_at_once(true).await;
        last.raw
    }

    /// Somebody remembers it after another has become the writer: its gas is lost.
    async fn refuses_what_the_old_key_had_sent(&self, lost: &[u8]) {
        let chain = &self.chains[DEAR];
        let raw = format!("0x{}", hex::encode(lost));
        let sent = chain.call("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(chain.status_of(&sent).await, "0x0", "the contract refuses it");
    }

    /// What was refused is told once, and what is owed is sent.
    async fn has_lost_a_race(&self, worker: &Worker) {
        let chain = &self.chains[DEAR];
        worker.tells(chain.id, "lost_race").await;
        self.is_anchored(DEAR).await;
        let story = self.is_told(DEAR, "reverted in block").await;
        assert!(2 <= story.matches("with nonce").count(), "it was sent again: {story}");
        worker.alarm(chain.id, "lost_race", false).await;
        assert_eq!(worker.has_alarmed(chain.id, "lost_race").await, Some(1.0), "it is counted");
        worker.shows("daftari_anchor_halted", chain.id, 0.0).await;
    }
}
