//! Every role as a process of its own, two of those that write, on one PostgreSQL, one chain and one Kafka.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use devstack::{Anvil, AnvilConfig, Postgres, Scratch, test_postgres_config};
use journeys::{
    Api, JsonRpc, Process, Reply, System, answer_of, check_books, daftari, eventually, lasting_port, part,
    root,
};
use proof::Signer;
use reqwest::Method;
use serde_json::{Value, json};
use store::{Credential, CredentialKind, Keyring, ProgramSpec};
use uuid::Uuid;

use crate::purchase;

const MEMBER: &str = "9f6a0d1c-2b3e-4f5a-8c7d-1e2f3a4b5c06";
pub(crate) const ORIGIN: &str = "journeys.example/log";
pub(crate) const PARTNER: &str = "duka";
pub(crate) const API_KEY: &str = "lk_test_5d41402abc4b2a76b9719d911017c592QQ4HI0";
const TOKEN: &str = "lk_test_7d793037a0760186574b0282f2f435e7";
pub(crate) const WRAPPING_KEY: &str = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
/// The key of anvil's first account, known to everyone.
const CHAIN_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

#[tokio::test]
async fn each_role_runs_alone() {
    let world = World::new().await;
    // Receipts are given out by the proof service, so that is what the answers name.
    let proofs = format!("127.0.0.1:{}", lasting_port());
    let public_url = format!("http://{proofs}");
    let policy = world.path("policy.txt");
    // A group of its own: where another journey's consumers come and go in it, partitions move, and events come again.
    let kafka =
        ["--kafka-brokers", &world.brokers, "--kafka-topic", &world.topic, "--kafka-group", &world.topic];
    let [first, second] = ["1", "2"].map(|it| world.start("api", it, &["--public-url", &public_url]));
    let others = [
        world.start("anchor", "1", &[]),
        world.start("anchor", "2", &[]),
        world.start_at(&proofs, "verifier", "1", &["--policy-file", text(&policy)]),
        world.start("ingest", "1", &kafka),
    ];
    for role in [&first, &second].into_iter().chain(&others) {
        role.is_ready().await;
    }

    let (one, two) = (first.api(), second.api());
    earn_both_ways(&world, &first, &one, &two).await;
    let redeemed = redeem_on_both(&one, &two).await;
    verify_from_anywhere(&world, &redeemed).await;
    let spent = check_books(&world.database_url).await;
    assert_eq!(spent.leaves, 2 + 2 + 20, "two events, two redemptions at once, and twenty more");

    let logs: Vec<String> = others.iter().map(|it| it.process.log()).collect();
    assert!(!logs.concat().contains("halts"), "two anchors at once are no reason to stop");
    for role in [first, second].into_iter().chain(others) {
        let name = role.name.clone();
        assert_eq!(role.process.end_with("TERM").await, Some(0), "{name}");
    }
    assert_eq!(check_books(&world.database_url).await, spent);
    world.no_log_holds(&world.own_secrets(), 6 + 1);
    world.stop().await;
}

/// One event over HTTP to the first API, whose log ties it to our request, and one from Kafka; the second API has both.
async fn earn_both_ways(world: &World, first: &Role, one: &Api, two: &Api) {
    let request_id = Uuid::new_v4().to_string();
    let event = purchase("by-http", MEMBER, 10_000);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    let headers = [("X-Request-ID", request_id.as_str()), ("traceparent", traceparent.as_str())];
    let reply = one.try_ask(Method::POST, "/api/v1/events", &headers, Some(event)).await;
    let reply = reply.expect("the API answers");
    assert_eq!(reply.status, 200, "{}", reply.text);
    let posting = reply.body["transaction_id"].as_str().expect("it has an id");
    let log = first.process.log();
    let tied = log.lines().filter(|it| it.contains(posting)).collect::<Vec<_>>();
    assert!(!tied.is_empty(), "the log does not speak of {posting}");
    for line in tied {
        let line: Value = serde_json::from_str(line).expect("a line of the log is JSON");
        assert_eq!(line["span"]["correlation_id"], request_id, "{line}");
        assert_eq!(line["span"]["trace_id"], trace, "{line}");
    }

    let event = purchase("by-kafka", MEMBER, 10_000);
    let keyed = [(MEMBER, event.as_bytes())];
    ingest::publish(&world.brokers, &world.topic, keyed).await.expect("the broker takes events");
    eventually("the event from Kafka", async || (two.balance(MEMBER).await == Some(2000)).then_some(()))
        .await;
}

/// The same key to both APIs at once is one posting, and so is another that begins at the second; then both at once.
async fn redeem_on_both(one: &Api, two: &Api) -> Reply {
    let mut last = None;
    for (before, after) in [(one, two), (two, one)] {
        let key = Uuid::new_v4();
        let (here, there) = tokio::join!(before.redeem(MEMBER, key, 10), after.redeem(MEMBER, key, 10));
        assert_eq!((here.status, &here.text), (200, &there.text), "{} {}", here.text, there.text);
        assert_ne!(here.replayed, there.replayed, "one of them was the first");
        last = Some(here);
    }
    let many = (0..20).map(|number| if number < 10 { one } else { two });
    let replies = futures::future::join_all(many.map(|it| it.redeem(MEMBER, Uuid::new_v4(), 5))).await;
    for reply in replies {
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    assert_eq!((one.balance(MEMBER).await, two.balance(MEMBER).await), (Some(1880), Some(1880)));
    last.expect("two were redeemed")
}

/// The answer's link leads to the proof service, and what it gives is held by the contract.
pub(crate) async fn verify_from_anywhere(world: &World, redeemed: &Reply) {
    let url = redeemed.body["receipt_url"].as_str().expect("a redemption has a receipt");
    let (policy, chain) = (world.path("policy.txt"), world.anvil.url());
    let words =
        [url, "--policy", text(&policy), "--rpc", &chain, "--wait", "60s", "--api-key", API_KEY, "--json"];
    let verified = System::verify(&words).await.expect(0).json();
    assert_eq!(verified["verdict"], "valid", "{verified}");
    assert_eq!(verified["proves"]["transaction_id"], redeemed.body["transaction_id"], "{verified}");
    assert_eq!(verified["proves"]["anchored"]["contract"], world.contract, "{verified}");
}

#[tokio::test]
async fn a_bad_configuration_ends_before_anything_connects() {
    let folder = System::folder();
    let file = |name: &str, text: &str| secret_file(folder.path(), name, text);
    let wrapping = file("wrapping.key", WRAPPING_KEY);
    let [log_key, open_key] = [folder.path().join("log.key"), file("open.key", WRAPPING_KEY)];
    let (log_key, open_key) = (text(&log_key), text(&open_key));
    std::fs::set_permissions(open_key, permissions(0o644)).expect("a file can be opened up");
    let bad_policy = file("policy.txt", "log nobody\n");
    // Whoever is connected to is found out: nobody here answers, and nobody is to call.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    silent.set_nonblocking(true).expect("a socket can be asked without waiting");
    let port = silent.local_addr().expect("it is bound").port();
    let database = format!("postgres://daftari:hunter2@127.0.0.1:{port}/books");
    let mysql = database.replacen("postgres", "mysql", 1);
    let chain = format!("http://127.0.0.1:{port}/hunter2");

    let books = ["--database-url", &database, "--wrapping-key-file", text(&wrapping)];
    let log =
        ["--database-url", &database, "--origin", ORIGIN, "--log-key-file", log_key, "--tile-dir", "tiles"];
    let zeros = "0x0000000000000000000000000000000000000000";
    let anchor = ["--chain-rpc-url", &chain, "--registrant", zeros, "--chain-key-file", text(&wrapping)];
    let proofs = ["--tile-dir", "tiles", "--policy-file", text(&bad_policy)];
    let cases: [(&[&[&str]], &str); 12] = [
        (&[&["api", "--database-url", &database, "--wrapping-key-file", "no.key"]], "no.key"),
        (&[&["api", "--database-url", &database, "--wrapping-key-file", open_key]], "can be read by others"),
        (&[&["api", "--database-url", &mysql, "--wrapping-key-file", "no.key"]], "begins with postgres://"),
        (&[&["api", "--listen", "everywhere"], &books], "'everywhere'"),
        (&[&["ingest"], &books], "--kafka-brokers"),
        (&[&["anchor", "--contract", "0x12"], &log, &anchor], "\"0x12\" is not an address of 20 bytes"),
        (&[&["anchor", "--contract", "nowhere"], &log, &anchor], "\"nowhere\" is not an address"),
        (&[&["anchor"], &log, &anchor[..2]], "--chain-key-file"),
        (&[&["anchor"], &log, &anchor], "--contract"),
        (&[&["anchor", "--anchor-gap", "5 days"], &log], "a span of time"),
        (&[&["verifier"], &books, &proofs], "line 1 of the policy"),
        (&[&["--log-level", "daftari=loud", "api"], &books], "is not a log level"),
    ];
    for (words, says) in cases {
        let mut command = daftari();
        command.args(words.concat());
        let ended = answer_of(command).await;
        assert!(ended.code.is_some_and(|it| it != 0), "{words:?} {ended:#?}");
        assert!(ended.stderr.contains(says), "{says}: {ended:#?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
        // One sentence, which may list arguments below it; where the command line itself cannot be read, how to use it
        // follows after an empty line.
        let sentence = ended.stderr.split("\n\n").next().unwrap_or_default();
        assert_eq!(sentence.lines().filter(|it| !it.starts_with(' ')).count(), 1, "{ended:#?}");
        let called = silent.accept().map(|_| ()).map_err(|it| it.kind());
        assert_eq!(called, Err(std::io::ErrorKind::WouldBlock), "{words:?} called somebody: {ended:#?}");
    }
}

/// A role that runs.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) process: Process,
}

impl Role {
    pub(crate) fn api(&self) -> Api {
        Api::new(&self.url, API_KEY, PARTNER)
    }

    pub(crate) async fn is_ready(&self) {
        let api = self.api();
        eventually(&format!("{} is ready", self.name), async || {
            let asked = api.try_ask(Method::GET, "/health/ready", &[], None).await;
            asked.ok().filter(|it| it.status == 200)
        })
        .await;
    }
}

/// What the roles share.
pub(crate) struct World {
    postgres: Postgres,
    pub(crate) anvil: Anvil,
    brokers: String,
    topic: String,
    pub(crate) database_url: String,
    pub(crate) contract: String,
    pub(crate) registrant: String,
    log_key: String,
    /// Where the chain is asked.
    pub(crate) chain_url: String,
    /// How talkative each role is.
    pub(crate) log_level: &'static str,
    // Dropped last: everything above has its files in it.
    folder: Scratch,
}

impl World {
    /// A PostgreSQL with nothing in it and a chain with nothing on it, made ready as an operator does.
    pub(crate) async fn new() -> Self {
        let folder = System::folder();
        let database = test_postgres_config(folder.path());
        let chain = AnvilConfig { block_time: Some(Duration::from_secs(1)), ..AnvilConfig::default() };
        let (postgres, anvil, brokers) = tokio::join!(
            part(move || Postgres::start(&database)),
            part(move || Anvil::start(&chain)),
            part(devstack::test_kafka_brokers),
        );
        let topic = format!("loyalty.events.{}", Uuid::new_v4().simple());
        ingest::ensure_topic(&brokers, &topic, 2).await.expect("the broker makes topics");
        let wrapping = secret_file(folder.path(), "wrapping.key", WRAPPING_KEY);
        secret_file(folder.path(), "chain.key", CHAIN_KEY);
        let database_url = postgres.url("postgres");

        let mut migrate = daftari();
        migrate.args(["migrate", "--database-url", &database_url, "--wrapping-key-file"]).arg(&wrapping);
        migrate.args(["--origin", ORIGIN, "--log-key-file"]).arg(folder.path().join("log.key"));
        let migrated = answer_of(migrate).await.expect(0);
        assert!(migrated.stdout.contains(ORIGIN), "{migrated:#?}");
        provision(&database_url).await;

        let log_key =
            std::fs::read_to_string(folder.path().join("log.key")).expect("migrate has made the key");
        let key = Signer::parse(&log_key).expect("it is a key").verifier_key();
        let log_id = proof::log_id(ORIGIN, key.public_key());
        let (contract, registrant) = deploy(&anvil.url(), &log_id).await;
        let policy = format!("log {}\nanchor 31337 {contract} {registrant}\nquorum none\n", key.encode());
        std::fs::write(folder.path().join("policy.txt"), policy).expect("a policy can be written");
        Self {
            chain_url: anvil.url(),
            log_level: "debug",
            postgres,
            anvil,
            brokers,
            topic,
            database_url,
            contract,
            registrant,
            log_key,
            folder,
        }
    }

    pub(crate) fn start(&self, role: &str, name: &str, words: &[&str]) -> Role {
        self.start_at(&format!("127.0.0.1:{}", lasting_port()), role, name, words)
    }

    /// Starts a role, as talkative as it can be asked to be.
    pub(crate) fn start_at(&self, listen: &str, role: &str, name: &str, words: &[&str]) -> Role {
        let mut command = daftari();
        command.args(["--log-format", "json", "--log-level", self.log_level, role, "--listen", listen]);
        let given = |flag: &str| words.contains(&flag);
        if !given("--database-url") {
            command.args(["--database-url", &self.database_url]);
        }
        match role {
            "anchor" => {
                command.args(["--origin", ORIGIN]);
                if !given("--log-key-file") {
                    command.arg("--log-key-file").arg(self.path("log.key"));
                }
                // Whoever seals into another folder anchors only where the words say so.
                if !given("--tile-dir") {
                    command.args(self.chain());
                }
            }
            _ => {
                command.arg("--wrapping-key-file").arg(self.path("wrapping.key"));
            }
        }
        if ["anchor", "verifier"].contains(&role) && !given("--tile-dir") {
            command.arg("--tile-dir").arg(self.path("tiles"));
        }
        command.args(words);
        let name = format!("{role}-{name}");
        let process = Process::start(command, &self.path(&format!("{name}.log")));
        Role { name, url: format!("http://{listen}"), process }
    }

    /// The words with which a sealer anchors.
    pub(crate) fn chain(&self) -> Vec<String> {
        let (url, key) = (self.chain_url.clone(), self.path("chain.key").display().to_string());
        let words = ["--contract", &self.contract, "--registrant", &self.registrant, "--chain-rpc-url", &url];
        [&words[..], &["--anchor-gap", "200ms", "--chain-key-file", &key]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// Another database beside the one of the books.
    pub(crate) fn database(&self, name: &str) -> String {
        self.postgres.url(name)
    }

    /// The log's id in hexadecimal, without 0x.
    pub(crate) fn log_id(&self) -> String {
        let key = Signer::parse(&self.log_key).expect("it is a key").verifier_key();
        hex::encode(proof::log_id(ORIGIN, key.public_key()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The keys and passwords with which it was made.
    pub(crate) fn own_secrets(&self) -> Vec<String> {
        let password = self.database_url.split(['@', ':']).nth(2).expect("the URL has a password");
        // The last field may hold a `+` of its own.
        let seed = self.log_key.trim().splitn(5, '+').nth(4).expect("a key has five fields");
        [API_KEY, TOKEN, WRAPPING_KEY, CHAIN_KEY, password, seed].map(str::to_owned).to_vec()
    }

    /// Neither our logs nor PostgreSQL's, so many of them, hold one of these.
    pub(crate) fn no_log_holds(&self, secrets: &[String], expected: usize) {
        let mut logs = 0;
        for log in [&self.path("."), self.postgres.folder()].iter().flat_map(|it| files_in(it)) {
            if log.extension().is_some_and(|it| it == "log") {
                let said = std::fs::read(&log).expect("a log can be read");
                let said = String::from_utf8_lossy(&said);
                for secret in secrets {
                    let line = said.lines().find(|it| it.contains(secret));
                    assert_eq!(line, None, "{} holds {secret}", log.display());
                }
                logs += 1;
            }
        }
        assert_eq!(logs, expected, "so many have logged");
    }

    pub(crate) async fn stop(self) {
        let Self { postgres, anvil, folder, .. } = self;
        part(move || anvil.stop()).await;
        part(move || postgres.stop()).await;
        drop(folder);
    }
}

/// The program, its partner, and a credential that may do everything, as `daftari up` makes them.
pub(crate) async fn provision(database_url: &str) {
    let mut key = [0; 32];
    for (byte, number) in key.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(&WRAPPING_KEY[2 * number..2 * number + 2], 16).expect("hexadecimal");
    }
    let keyring = Keyring::new(&key);
    let pool = store::connect(database_url, 1).await.expect("the database answers");
    let conn = &mut *pool.acquire().await.expect("the database answers");
    let spec = ProgramSpec {
        name: "default".to_owned(),
        enrols: true,
        point_value: "0.10".to_owned(),
        currency: "KES".to_owned(),
        rule_set: br#"{"rates":{"purchase":"0.1"}}"#.to_vec(),
    };
    let program = store::ensure_program(conn, &keyring, &spec).await.expect("a program can be made");
    store::ensure_partner(conn, &keyring, program.program_id, PARTNER).await.expect("a partner can be made");
    let credential = Credential {
        program_id: program.program_id,
        owner: "journey".to_owned(),
        scopes: ["loyalty:read", "loyalty:redeem", "loyalty:earn"].map(str::to_owned).to_vec(),
        partner_id: Some(PARTNER.to_owned()),
        delegated: true,
    };
    for (kind, secret) in [(CredentialKind::ApiKey, API_KEY), (CredentialKind::BearerToken, TOKEN)] {
        store::ensure_credential(conn, &keyring, kind, secret, &credential)
            .await
            .expect("a credential can be made");
    }
}

/// Puts the contract on the chain and registers the log, by bare JSON-RPC; gives contract and registrant.
async fn deploy(url: &str, log_id: &[u8; 32]) -> (String, String) {
    let chain = JsonRpc::new(url);
    let artifact = std::fs::read(root().join("chain/abi/AuditLog.json")).expect("the contract is built");
    let artifact: Value = serde_json::from_slice(&artifact).expect("the artifact is JSON");
    let accounts = chain.call("eth_accounts", json!([])).await.expect("anvil has accounts");
    let registrant = accounts[0].as_str().expect("an address is text").to_lowercase();
    let send = async |mut transaction: Value| {
        transaction["from"] = json!(registrant);
        let hash =
            chain.call("eth_sendTransaction", json!([transaction])).await.expect("anvil signs and sends");
        let receipt = eventually("a block with the transaction", async || {
            let receipt =
                chain.call("eth_getTransactionReceipt", json!([hash])).await.expect("anvil answers");
            (!receipt.is_null()).then_some(receipt)
        })
        .await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    };
    let deployed = send(json!({"data": artifact["bytecode"]})).await;
    let contract = deployed["contractAddress"].as_str().expect("a contract was made").to_owned();
    let selector = chain.keccak(b"register(bytes32,address,address,address,uint64)").await;
    let log: String = log_id.iter().map(|it| format!("{it:02x}")).collect();
    // Writer and admin are the registrant, nobody stands by, and a change of roles takes an hour.
    let (itself, nobody) = (format!("{:0>64}", &registrant[2..]), "0".repeat(64));
    let call = format!("0x{}{log}{itself}{nobody}{itself}{:064x}", &selector[..8], 3600);
    send(json!({"to": contract, "data": call})).await;
    (contract, registrant)
}

pub(crate) fn secret_file(folder: &Path, name: &str, secret: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, secret).expect("a file can be written");
    std::fs::set_permissions(&path, permissions(0o600)).expect("a file can be closed to others");
    path
}

fn permissions(mode: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    entries.flatten().map(|it| it.path()).collect()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}
