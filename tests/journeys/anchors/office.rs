//! Where an operator works: the books, the chains, the workers, and the commands.

use std::path::{Path, PathBuf};

use journeys::{Answered, Api, Process, System, answer_of, daftari, eventually, lasting_port};
use serde_json::{Value, json};
use tokio::process::Command;

use super::chain::Chain;
use crate::purchase;

/// The keys of anvil's first and fourth accounts, known to everyone: who deploys, and who anchors.
const DEPLOYER_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
pub(super) const WRITER_KEY: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";
pub(super) const WRITER: &str = "0x90f79bf6eb2c4f870365e785982e1f101e93b906";
pub(super) const ADMIN: &str = "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65";
/// The admin's key, and that of the account that becomes the writer: anvil's fifth and sixth, known to everyone.
pub(super) const ADMIN_KEY: &str = "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a";
pub(super) const NEXT_KEY: &str = "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba";
pub(super) const NEXT: &str = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc";
pub(super) const MEMBER: &str = "5d0f6a1e-7c2b-4d3e-9f8a-1b2c3d4e5f21";

/// A worker process.
pub(super) struct Worker {
    pub(super) process: Process,
    pub(super) metrics: Api,
}

impl Worker {
    /// The value of a gauge, by its labels.
    pub(super) async fn gauge(&self, name: &str, labels: &[&str]) -> Option<f64> {
        gauge(&self.metrics, name, labels).await
    }

    /// Waits until a gauge of one chain has this value.
    pub(super) async fn shows(&self, name: &str, chain: u64, value: f64) {
        let label = format!("chain_id=\"{chain}\"");
        eventually(&format!("{name} is {value}"), async || {
            (self.gauge(name, &[&label]).await == Some(value)).then_some(())
        })
        .await;
    }

    pub(super) async fn alarm(&self, chain: u64, alarm: &str, stands: bool) {
        let labels = [format!("chain_id=\"{chain}\""), format!("alarm=\"{alarm}\"")];
        let labels = labels.each_ref().map(String::as_str);
        let expected = f64::from(u8::from(stands));
        eventually(&format!("{alarm} is {stands}"), async || {
            (self.gauge("daftari_anchor_alarm", &labels).await == Some(expected)).then_some(())
        })
        .await;
    }

    /// How often an alarm has begun since the worker did.
    pub(super) async fn has_alarmed(&self, chain: u64, alarm: &str) -> Option<f64> {
        let labels = [format!("chain_id=\"{chain}\""), format!("alarm=\"{alarm}\"")];
        self.gauge("daftari_anchor_alarms_total", &labels.each_ref().map(String::as_str)).await
    }

    /// Waits until the log tells that an alarm has begun, for one that may end in the next round.
    pub(super) async fn tells(&self, chain: u64, alarm: &str) {
        eventually(&format!("{alarm} is told"), async || {
            let log = self.process.log();
            let mut lines = log.lines().filter_map(|it| serde_json::from_str::<Value>(it).ok());
            let is_it =
                |it: Value| it["message"] == "alarm" && it["alarm"] == alarm && it["chain_id"] == chain;
            lines.any(is_it).then_some(())
        })
        .await;
    }

    /// Ends as an operator ends it.
    pub(super) async fn stop(self) {
        assert_eq!(self.process.end_with("TERM").await, Some(0));
    }
}

/// The value of a gauge that is shown there, by its labels.
pub(crate) async fn gauge(shown: &Api, name: &str, labels: &[&str]) -> Option<f64> {
    let text = shown.get("/metrics").await.text;
    let is_it = |it: &&str| {
        let rest = it.strip_prefix(name);
        rest.is_some_and(|it| it.starts_with(['{', ' '])) && labels.iter().all(|label| it.contains(label))
    };
    text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

pub(super) struct Office {
    pub(super) system: System,
    pub(super) folder: PathBuf,
    pub(super) chains: Vec<Chain>,
    pub(super) posted: u64,
}

impl Office {
    /// `up` gives the books and the seal; its own anchoring goes to a chain of its own. The log has a contract on each of these.
    pub(super) async fn open(folder: &Path, system: System, chains: Vec<Chain>) -> Self {
        let log_id = log_id(&system);
        let office = Self { system, folder: folder.into(), chains, posted: 0 };
        for number in 0..office.chains.len() {
            office.deploy(number, &log_id).await;
        }
        office
    }

    pub(super) fn secret(&self, name: &str, secret: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, secret).expect("a file can be written");
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, closed).expect("a file can be closed to others");
        path
    }

    async fn deploy(&self, number: usize, log_id: &str) {
        let terms = json!({"writer": WRITER, "standby": null, "admin": ADMIN, "delay_seconds": 3600});
        let file = self.folder.join("terms.json");
        std::fs::write(&file, terms.to_string()).expect("a file can be written");
        let chain = &self.chains[number];
        let mut command = daftari();
        command.args(["contracts", "deploy", "--log-id", log_id, "--chain-rpc-url", &chain.url, "--terms"]);
        command.arg(file).arg("--out").arg(&chain.addresses);
        command.arg("--chain-key-file").arg(self.secret("deployer.key", DEPLOYER_KEY));
        answer_of(command).await.expect(0);
    }

    /// A file of places: what each says besides its addresses and the writer's key.
    pub(super) fn places(&self, name: &str, places: &[Value]) -> PathBuf {
        let key = self.secret("writer.key", WRITER_KEY);
        let written = self.chains.iter().zip(places).map(|(chain, said)| {
            let mut place = json!({"rpc_urls": [chain.url], "addresses": chain.addresses, "key_file": key,
                                   "gap": "0s", "pin_every": "0s"});
            let said = said.as_object().expect("a place is an object").clone();
            place.as_object_mut().expect("a place is an object").extend(said);
            place
        });
        self.secret(name, &written.collect::<Value>().to_string())
    }

    /// A worker whose log's key is in a file.
    pub(super) async fn worker_at(&self, name: &str, places: &Path, database_url: &str) -> Worker {
        let key = self.folder.join("keys/log.key").display().to_string();
        let places = places.display().to_string();
        let words = ["--log-key-file", &key, "--places", &places, "--database-url", database_url];
        self.worker_with(name, &words).await
    }

    pub(super) async fn worker_with(&self, name: &str, words: &[&str]) -> Worker {
        let listen = format!("127.0.0.1:{}", lasting_port());
        let command = self.anchoring(&listen, words);
        let process = Process::start(command, &self.folder.join(format!("worker-{name}.log")));
        let metrics = Api::new(&format!("http://{listen}"), "", "");
        let worker = Worker { process, metrics };
        eventually("the worker answers", async || {
            let asked = worker.metrics.try_ask(reqwest::Method::GET, "/metrics", &[], None).await;
            asked.ok().filter(|it| it.status == 200)
        })
        .await;
        worker
    }

    /// `daftari anchor` of this log.
    pub(super) fn anchoring(&self, listen: &str, words: &[&str]) -> Command {
        let origin = self.system.fact("log_key").split('+').next().expect("a key begins with its origin");
        let mut command = daftari();
        command.args(["--log-format", "json", "anchor", "--origin", origin, "--listen", listen]);
        command.arg("--tile-dir").arg(self.folder.join("log")).args(words);
        command
    }

    /// One more leaf; gives the log's size.
    pub(super) async fn grow(&mut self) -> u64 {
        self.posted += 1;
        let event = purchase(&format!("event-{}", self.posted), MEMBER, 100);
        assert_eq!(self.system.api().event(&event).await.status, 200);
        self.posted
    }

    pub(super) async fn is_anchored(&self, number: usize) {
        let size = self.posted;
        let chain = &self.chains[number];
        eventually("it is anchored", async || (size <= chain.anchored().await).then_some(())).await;
    }

    /// Waits until the newest checkpoint's story tells this; gives the story.
    pub(super) async fn is_told(&self, number: usize, what: &str) -> String {
        let size = self.posted.to_string();
        eventually(&format!("the story tells {what:?}"), async || {
            let told = self.anchors(number, &["explain", &size]).await;
            (told.code == Some(0) && told.stdout.contains(what)).then_some(told.stdout)
        })
        .await
    }

    pub(super) async fn anchors(&self, number: usize, words: &[&str]) -> Answered {
        let chain = &self.chains[number];
        let mut command = daftari();
        command.args(["anchors", "--database-url", self.system.fact("database_url")]);
        command.args(["--chain-id", &chain.id.to_string(), "--contract", &chain.address("audit_log")]);
        command.args(["--registrant", &chain.address("registrant")]).args(words);
        answer_of(command).await
    }

    /// The writer's key is moved: announced, waited for, taken over, each by a process of its own.
    pub(super) async fn moves_the_key_of(&self, number: usize) {
        let chain = &self.chains[number];
        let key = self.secret("admin.key", ADMIN_KEY).display().to_string();
        let rotate = ["rotate", "--to", NEXT, "--chain-rpc-url", &chain.url];
        let told = self.anchors(number, &[&rotate[..], &["--dry-run"]].concat()).await.expect(0).stdout;
        assert!(told.contains("next: announce the change") && told.contains("0x"), "{told}");
        let sends = [&rotate[..], &["--chain-key-file", &key]].concat();
        let told = self.anchors(number, &sends).await.expect(0).stdout;
        assert!(
            told.contains("done: announce") && told.contains("announced: it can be taken over"),
            "{told}"
        );
        let told = self.anchors(number, &sends).await.expect(0).stdout;
        assert!(!told.contains("done:"), "it is announced once: {told}");
        chain.call("evm_increaseTime", json!([3600])).await;
        chain.call("evm_mine", json!([])).await;
        let told = self.anchors(number, &sends).await.expect(0).stdout;
        assert!(told.contains("done: make the announced change") && told.contains("is the writer"), "{told}");
    }

    pub(super) async fn close(self) {
        self.system.check_books().await;
        self.system.interrupt().await;
    }
}

pub(crate) fn log_id(system: &System) -> String {
    let key = proof::VerifierKey::parse(system.fact("log_key")).expect("a key");
    let id = proof::log_id(key.name(), key.public_key());
    format!("0x{}", hex::encode(id))
}
