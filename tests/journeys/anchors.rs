//! Anchoring as an operator has it: two worker processes, two chains by one file, commands and alarms of the built product.

mod alarms;
mod chain;
mod compliance;
mod killed;
mod office;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use journeys::System;
use serde_json::{Value, json};

use self::chain::Chain;
pub(crate) use self::chain::Contract;
use self::office::{ADMIN, NEXT_KEY, Office, WRITER, WRITER_KEY, Worker};
pub(crate) use self::office::{gauge, log_id};

#[tokio::test]
async fn an_operator_anchors_to_two_chains_with_two_workers() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let log_id = log_id(&system);
    let (one, two) =
        tokio::join!(Chain::start(folder.path(), 4242, &log_id), Chain::start(folder.path(), 4243, &log_id));
    let mut office = Office::open(folder.path(), system, vec![one, two]).await;
    office.two_places();
    // The second chain is down before the first worker starts, and the first one is anchored to all the same.
    let url = office.chains[1].stop().await;
    office.signers();
    let mut workers = vec![office.worker("one").await];
    office.grow().await;
    office.is_anchored(0).await;
    office.chains[1].start_again(&url).await;
    office.is_anchored(1).await;

    workers.push(office.worker("two").await);
    let takeover = office.takes_over(&mut workers).await;
    println!("takeover_s {:.1}", takeover.as_secs_f64());
    let last = workers.pop().expect("one is left");
    office.obeys().await;
    office.raises_alarms(&last).await;
    office.moves_the_key().await;
    last.process.kill().await;
    office.no_log_holds_a_key();
    office.close().await;
}

impl Office {
    /// Programs that sign: with the log's key, and with the writer's. What they sign with lies where no worker is told.
    fn signers(&self) {
        let at = self.folder.display();
        let rfc5915 = format!("302e0201010420{WRITER_KEY}a00706052b8104000a");
        let make = format!(
            "set -e
             printf {} | basenc --base16 -d > {at}/writer.der
             (printf 302E020100300506032B657004220420 | basenc --base16 -d
              cut -d+ -f5- {at}/keys/log.key | base64 -d | tail -c 32) > {at}/log.der",
            rfc5915.to_uppercase()
        );
        assert!(std::process::Command::new("sh").args(["-c", &make]).status().expect("sh runs").success());
        for (name, how) in [("writer", ""), ("log", "-rawin")] {
            let text = format!(
                "set -e; of=$(mktemp -d); trap 'rm -r $of' EXIT; cat > $of/asked
                 openssl pkeyutl -sign -inkey {at}/{name}.der -keyform DER {how} -in $of/asked -out $of/made
                 od -An -v -tx1 $of/made"
            );
            std::fs::write(self.folder.join(format!("sign-{name}")), text).expect("a file can be written");
        }
    }

    fn signer(&self, name: &str) -> String {
        format!("sh {}/sign-{name}", self.folder.display())
    }

    /// Neither the keys that were read from files nor those behind programs stand in what the processes have said.
    fn no_log_holds_a_key(&self) {
        let text = std::fs::read_to_string(self.folder.join("keys/log.key")).expect("up has made the key");
        // The last field may hold a `+` of its own.
        let seed = text.trim().splitn(5, '+').nth(4).expect("a key has five fields");
        for name in ["up", "worker-one", "worker-two", "worker-three"] {
            let said =
                std::fs::read_to_string(self.folder.join(format!("{name}.log"))).expect("it has logged");
            assert!(said.contains("sealed") || said.contains("anchor"), "{name} has worked");
            assert!(
                [WRITER_KEY, NEXT_KEY, seed].iter().all(|key| !said.contains(key)),
                "{name}.log holds a key"
            );
        }
    }

    /// The second chain answers to another policy, and its key is behind a program.
    fn two_places(&self) -> PathBuf {
        let one = json!({"gap": "1s", "pin_every": "24h"});
        let mut two = one.clone();
        two["key_file"] = Value::Null;
        two["key_command"] = json!(self.signer("writer"));
        two["sender"] = json!(WRITER);
        two["ceiling_gwei"] = json!(100);
        two["staleness"] = json!("5s");
        self.places("places.json", &[one, two])
    }

    /// A worker that knows neither the log's key nor the second writer's.
    async fn worker(&self, name: &str) -> Worker {
        let key = proof::VerifierKey::parse(self.system.fact("log_key")).expect("a key");
        let public_key = hex::encode(key.public_key());
        let places = self.folder.join("places.json").display().to_string();
        let signs = ["--log-key-command", &self.signer("log"), "--log-public-key", &public_key];
        let reads = ["--places", &places, "--database-url", self.system.fact("database_url")];
        self.worker_with(name, &[&signs[..], &reads[..]].concat()).await
    }

    /// The worker that holds the leases is killed, and the other one anchors what comes after.
    async fn takes_over(&mut self, workers: &mut Vec<Worker>) -> Duration {
        let first = workers.remove(0);
        first.process.kill().await;
        let killed = Instant::now();
        self.grow().await;
        self.is_anchored(0).await;
        self.is_anchored(1).await;
        killed.elapsed()
    }

    /// `daftari anchors`: what was done is told, and what is said is done, at one place and not at the other.
    async fn obeys(&mut self) {
        let size = self.posted.to_string();
        let listed = self.anchors(0, &["list"]).await.expect(0).stdout;
        assert!(listed.lines().any(|it| it.contains(&format!("{size} leaves"))), "{listed}");
        let story = self.is_told(0, "included").await;
        assert!(story.contains("armed: ") && story.contains("broadcast: "), "{story}");
        self.anchors(0, &["explain", "999999"]).await.expect(1);
        self.reports().await;

        self.anchors(0, &["pause", "the key is moved"]).await.expect(0);
        let before = self.chains[0].anchored().await;
        self.grow().await;
        self.is_anchored(1).await;
        assert_eq!(self.chains[0].anchored().await, before, "a paused place stands still");
        let listed = self.anchors(0, &["list"]).await.expect(0).stdout;
        assert!(listed.contains("paused: the key is moved"), "{listed}");
        self.anchors(0, &["resume", "--actor", "amina", "--reason", "it is moved"]).await.expect(0);
        let listed = self.anchors(0, &["list"]).await.expect(0).stdout;
        let (went_on, paused) = ("resume by amina: it is moved", "pause by command line: the key is moved");
        assert!(listed.contains(went_on) && listed.contains(paused), "{listed}");
        assert!(!listed.contains("paused: "), "{listed}");
        self.is_anchored(0).await;
        self.anchors(0, &["force"]).await.expect(0);
    }

    /// What was spent is told, and drawn as a file that loads nothing.
    async fn reports(&self) {
        let drawn = self.folder.join("report.svg");
        let svg = drawn.to_str().expect("a path in UTF-8");
        let told = self.anchors(0, &["report", "--staleness", "5s", "--json", "--svg", svg]).await.expect(0);
        let told: Value = serde_json::from_str(&told.stdout).expect("it is JSON");
        assert!(1 <= told["transactions"].as_u64().expect("a count") && told["reverted"] == 0, "{told}");
        assert!(0.0 < told["spent"].as_f64().expect("an amount"), "{told}");
        let text = self.anchors(0, &["report", "--staleness", "5s"]).await.expect(0).stdout;
        assert!(text.contains("leaves anchored") && text.contains("fixed intervals"), "{text}");
        let drawn = std::fs::read_to_string(drawn).expect("it was drawn");
        assert!(drawn.starts_with("<svg") && drawn.contains("<circle"), "{drawn}");
        let loads = ["href", "<script", "@import", "url("].iter().any(|it| drawn.contains(it));
        assert!(!loads, "a plot that needs something else to be seen");
    }

    /// Alarms that begin and end by themselves with what they are about.
    async fn raises_alarms(&mut self, worker: &Worker) {
        let (one, two) = (self.chains[0].id, self.chains[1].id);
        // Enough for a few anchors, and for no week of them.
        self.fund(0, "0xb1a2bc2ec50000").await;
        worker.alarm(one, "low_funds", true).await;
        worker.alarm(one, "no_funds", false).await;
        self.fund(0, "0x1").await;
        self.grow().await;
        worker.alarm(one, "no_funds", true).await;
        self.is_anchored(1).await;
        worker.alarm(two, "no_funds", false).await;
        self.fund(0, "0x56bc75e2d63100000").await;
        self.is_anchored(0).await;
        worker.alarm(one, "no_funds", false).await;
        worker.alarm(one, "low_funds", false).await;

        // The admin halts the log at one contract, and lets it go on.
        self.admin(0, "halt(bytes32)").await;
        self.grow().await;
        worker.alarm(one, "not_admitted", true).await;
        self.is_anchored(1).await;
        self.admin(0, "resume(bytes32)").await;
        self.is_anchored(0).await;
        worker.alarm(one, "not_admitted", false).await;

        // Somebody else uses the writer's key.
        self.chains[0].call("anvil_impersonateAccount", json!([WRITER])).await;
        let stranger = json!([{"from": WRITER, "to": ADMIN, "value": "0x1"}]);
        self.chains[0].call("eth_sendTransaction", stranger).await;
        worker.alarm(one, "stranger_nonce", true).await;
        self.grow().await;
        self.is_anchored(0).await;

        // A price of 8,000 gwei, and the ceiling is 100: not even the deadline buys an anchor beyond four times that.
        self.chains[1].call("anvil_setNextBlockBaseFeePerGas", json!(["0x746a5288000"])).await;
        self.grow().await;
        worker.alarm(two, "price_limit", true).await;
        worker.alarm(two, "late", true).await;
        self.is_anchored(0).await;
        self.is_anchored(1).await;
        worker.alarm(two, "late", false).await;
        worker.alarm(two, "price_limit", false).await;

        let port = self.chains[1].stop().await;
        worker.alarm(two, "no_endpoint", true).await;
        self.grow().await;
        self.is_anchored(0).await;
        self.chains[1].start_again(&port).await;
        worker.alarm(two, "no_endpoint", false).await;
        self.is_anchored(1).await;
    }

    /// The writer's key of the first chain is moved, and the worker with the old key makes way for one with the new.
    async fn moves_the_key(&mut self) {
        let url = self.chains[0].url.clone();
        self.moves_the_key_of(0).await;
        self.secret("writer.key", NEXT_KEY);
        let worker = self.worker("three").await;
        self.grow().await;
        self.is_anchored(0).await;
        self.is_anchored(1).await;
        worker.alarm(self.chains[0].id, "not_admitted", false).await;
        worker.process.kill().await;
        let told =
            self.anchors(0, &["reconcile", "--chain-rpc-url", &url, "--dry-run"]).await.expect(0).stdout;
        assert!(told.contains("its events show"), "{told}");
    }

    async fn admin(&self, number: usize, signature: &str) {
        let chain = &self.chains[number];
        let contract = chain.contract();
        let sent = contract.send(ADMIN, signature, &contract.place().await).await;
        assert_eq!(chain.status_of(&sent).await, "0x1", "{signature}");
    }

    async fn fund(&self, number: usize, wei: &str) {
        self.chains[number].call("anvil_setBalance", json!([WRITER, wei])).await;
    }
}
