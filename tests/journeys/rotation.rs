//! The runbook's rotation of the log's key, walked on roles that run alone: what verifiers of either policy see meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use journeys::{Answered, JsonRpc, System, check_books, eventually};
use proof::{Policy, Signer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::purchase;
use crate::roles::{ORIGIN, Role, World, text};

const MEMBER: &str = "9f6a0d1c-2b3e-4f5a-8c7d-1e2f3a4b5c17";

#[tokio::test]
async fn a_rotated_key_takes_the_logs_with_it() {
    let walk = Walk { world: World::new().await };
    let next = walk.world.path("next.key").display().to_string();
    let old_policy = walk.world.path("policy.txt").display().to_string();
    let anchor = walk.world.start("anchor", "1", &["--next-log-key-file", &next]);
    // The proof service and whoever posts have policy files of their own, which are replaced while they run.
    let [served, guard] = ["served.txt", "guard.txt"].map(|it| walk.world.path(it));
    for copy in [&served, &guard] {
        std::fs::copy(&old_policy, copy).expect("a policy can be copied");
    }
    let proofs = walk.world.start("verifier", "1", &["--policy-file", text(&served)]);
    for role in [&anchor, &proofs] {
        role.is_ready().await;
    }
    // Whoever posts is held against what is published.
    let tiles = walk.world.path("tiles");
    let outside = ["--published-log", text(&tiles), "--log-policy-file", text(&guard)];
    let api = walk.world.start("api", "1", &outside);
    api.is_ready().await;
    let before = walk.earn(&api, "before").await;
    let kept = walk.receipt(&proofs, &before, "before").await;
    walk.verify(&kept, &old_policy, &[]).await.expect(0);
    let seen = walk.world.path("seen").display().to_string();
    walk.monitor(&proofs, &old_policy, &seen).await.expect(0);

    // 2. The next key is introduced: from that leaf on both sign, and verifiers of either policy follow.
    let would = walk.rotate(&["--next-log-key-file", &next, "--dry-run"]).await.expect(0);
    assert!(would.stdout.contains("would say that the log introduces"), "{}", would.stdout);
    let said = walk.rotate(&["--next-log-key-file", &next]).await.expect(0);
    let during_policy = walk.policy("during.txt", &said);
    let early = walk.rotate(&["--retire", &walk.public_key("log.key")]).await.expect(1);
    assert!(
        early.stderr.contains("no other key has signed") || early.stderr.contains("is not in a block yet"),
        "{early:#?}"
    );
    walk.signatures(&proofs, 2).await;
    let during = walk.earn(&api, "during").await;
    let receipt = walk.receipt(&proofs, &during, "during").await;
    walk.verify(&receipt, &old_policy, &[]).await.expect(0);
    walk.verify(&receipt, &during_policy, &[]).await.expect(0);
    let audit = walk.audit(&proofs, &old_policy).await.expect(0);
    assert!(audit.stdout.contains("introduces the log's key"), "{}", audit.stdout);
    let told: Value = walk.keys(&proofs).await;
    assert_eq!(told["keys"].as_array().map(Vec::len), Some(2), "{told}");

    // 3. The lines are given to what runs; once a chain has the key for good, the old one retires.
    for file in [&served, &guard] {
        std::fs::rename(walk.policy("new.txt", &said), file).expect("a policy can be replaced");
    }
    let lines = std::fs::read_to_string(&served).expect("the policy is there");
    assert_eq!(walk.proposed(&proofs).await, lines, "it is read anew");
    walk.make_final().await;
    let said = walk.rotate(&["--retire", &walk.public_key("log.key")]).await.expect(0);
    let policy = walk.policy("after.txt", &said);
    walk.signatures(&proofs, 1).await;
    std::fs::rename(walk.policy("new.txt", &said), &served).expect("a policy can be replaced");

    // 4. Sealers go on with what is left, and the proof service has never stopped.
    assert_eq!(anchor.process.end_with("TERM").await, Some(0));
    let first = walk.public_key("log.key");
    let anchor =
        walk.world.start("anchor", "2", &["--log-key-file", &next, "--log-first-public-key", &first]);
    anchor.is_ready().await;
    let after = walk.earn(&api, "after").await;
    let receipt = walk.receipt(&proofs, &after, "after").await;
    walk.verify(&receipt, &policy, &[]).await.expect(0);
    // It was never blind meanwhile, and starts again under the new key.
    assert!(!api.process.log().contains("what is published is not looked at"), "{}", api.process.log());
    assert_eq!(api.process.end_with("TERM").await, Some(0));
    let api = walk.world.start("api", "2", &outside);
    api.is_ready().await;
    walk.earn(&api, "restarted").await;
    // One whose policy knows the first key alone posts nothing, and says why.
    let blind = ["--published-log", text(&tiles), "--log-policy-file", &old_policy];
    let blind = walk.world.start("api", "blind", &blind);
    eventually("it says why it posts nothing", async || {
        let asked = blind.api().try_ask(Method::GET, "/health/ready", &[], None).await.ok()?;
        (asked.status == 503 && asked.text.contains("is not this log's")).then_some(())
    })
    .await;
    assert_eq!(blind.process.end_with("TERM").await, Some(0));
    let stale = walk.verify(&receipt, &old_policy, &["--json"]).await.expect(1).json();
    assert_eq!(stale["code"], "unsigned", "{stale}");

    // What the old key alone has signed counts where the chain holds it, and is given out anew under the next key.
    let alone = walk.verify(&kept, &policy, &["--json"]).await.expect(1).json();
    assert_eq!(alone["code"], "retired_key", "{alone}");
    let chain = walk.world.anvil.url();
    let anchored = walk.verify(&kept, &policy, &["--rpc", &chain, "--json"]).await.expect(0).json();
    assert_eq!(anchored["verdict"], "valid", "{anchored}");
    eventually("the old posting has a receipt under the next key", async || {
        let renewed = walk.receipt(&proofs, &before, "renewed").await;
        (walk.verify(&renewed, &policy, &[]).await.code == Some(0)).then_some(())
    })
    .await;

    let told = walk.keys(&proofs).await;
    assert_eq!((&told["is_current"], told["history"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    assert!(told["history"][0]["retired_in_leaf"].is_u64(), "{told}");
    let lines = told["policy"].as_str().expect("it proposes lines");
    let configured = std::fs::read_to_string(&policy).expect("the policy is there");
    assert!(configured.starts_with(lines), "{lines}");
    let sound = walk.audit(&proofs, &policy).await.expect(0);
    assert!(sound.stdout.contains("retires the log's key"), "{}", sound.stdout);
    walk.monitor(&proofs, &policy, &seen).await.expect(0);
    // A policy that calls another leaf the retirement is found to be wrong, and so is one with another time.
    let leaf = told["history"][0]["retired_in_leaf"].to_string();
    for wrong_leaf in ["0", &leaf] {
        let wrong = configured.lines().map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            ["retired", vkey, ..] => format!("retired {vkey} {wrong_leaf} 1\n"),
            _ => format!("{line}\n"),
        });
        let wrong_policy = walk.world.path("wrong.txt");
        std::fs::write(&wrong_policy, wrong.collect::<String>()).expect("a policy can be written");
        let found = walk.audit(&proofs, text(&wrong_policy)).await.expect(1);
        let says = format!("leaf {wrong_leaf} does not retire the key");
        assert!(found.stdout.contains(&says), "{}", found.stdout);
    }
    check_books(&walk.world.database_url).await;
    for role in [api, anchor, proofs] {
        assert_eq!(role.process.end_with("TERM").await, Some(0));
    }
    walk.world.stop().await;
}

struct Walk {
    world: World,
}

impl Walk {
    async fn earn(&self, api: &Role, name: &str) -> String {
        let reply = api.api().event(&purchase(name, MEMBER, 1000)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body["transaction_id"].as_str().expect("it has an id").to_owned()
    }

    /// The receipt of a posting in a file, once it is anchored.
    async fn receipt(&self, proofs: &Role, id: &str, name: &str) -> String {
        let path = format!("/v1/receipts/{id}");
        let receipt = eventually("an anchored receipt", async || {
            let headers = [("X-User-ID", MEMBER)];
            let reply = proofs.api().try_ask(Method::GET, &path, &headers, None).await.ok()?;
            let receipt = proof::Receipt::parse(reply.text.as_bytes()).ok()?;
            (!receipt.leaf.hints.is_empty()).then_some(reply.text)
        })
        .await;
        let file: PathBuf = self.world.path(&format!("{name}.tlog-proof"));
        std::fs::write(&file, receipt).expect("it can be kept");
        file.display().to_string()
    }

    async fn verify(&self, receipt: &str, policy: &str, words: &[&str]) -> Answered {
        System::verify(&[&[receipt, "--policy", policy], words].concat()).await
    }

    async fn audit(&self, proofs: &Role, policy: &str) -> Answered {
        System::run(&["audit", &proofs.url, "--policy", policy, "--rpc", &self.world.anvil.url()]).await
    }

    async fn monitor(&self, proofs: &Role, policy: &str, seen: &str) -> Answered {
        System::run(&["monitor", &proofs.url, "--once", "--memory", seen, "--policy", policy]).await
    }

    async fn rotate(&self, words: &[&str]) -> Answered {
        let (key, tiles) = (self.world.path("log.key"), self.world.path("tiles"));
        let policy = self.world.path("policy.txt");
        let books = ["log", "rotate", "--database-url", &self.world.database_url, "--origin", ORIGIN];
        let outside = ["--published-log", text(&tiles), "--log-policy-file", text(&policy)];
        System::run(&[&books[..], &["--log-key-file", text(&key)], &outside, words].concat()).await
    }

    /// The policy that the command proposes, with the anchors that verifiers know already.
    fn policy(&self, name: &str, said: &Answered) -> String {
        let lines = said.stdout.lines().filter(|it| it.starts_with("log ") || it.starts_with("retired "));
        let known = std::fs::read_to_string(self.world.path("policy.txt")).expect("the policy is there");
        let anchors = known.lines().filter(|it| !it.starts_with("log "));
        let text: String = lines.chain(anchors).map(|it| format!("{it}\n")).collect();
        Policy::parse(&text).expect("the lines are a policy's");
        let file = self.world.path(name);
        std::fs::write(&file, text).expect("a policy can be written");
        file.display().to_string()
    }

    fn public_key(&self, name: &str) -> String {
        let key = std::fs::read_to_string(self.world.path(name)).expect("the key is there");
        let public = *Signer::parse(&key).expect("it is a key").verifier_key().public_key();
        public.iter().map(|it| format!("{it:02x}")).collect()
    }

    /// The published checkpoint, once so many keys have signed it.
    async fn signatures(&self, proofs: &Role, count: usize) {
        eventually(&format!("{count} signatures"), async || {
            let note = String::from_utf8(proofs.api().bytes("/checkpoint").await?).ok()?;
            (note.lines().filter(|it| it.starts_with('\u{2014}')).count() == count).then_some(())
        })
        .await;
    }

    /// The policy that the page proposes.
    async fn proposed(&self, proofs: &Role) -> String {
        proofs.api().get("/verify/policy.txt").await.text
    }

    async fn keys(&self, proofs: &Role) -> Value {
        let reply = proofs.api().get("/v1/keys").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body
    }

    /// Blocks upon blocks, until the chain calls the introduction final.
    async fn make_final(&self) {
        let chain = JsonRpc::new(&self.world.anvil.url());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        while self.rotate(&["--retire", &self.public_key("log.key"), "--dry-run"]).await.code != Some(0) {
            assert!(tokio::time::Instant::now() < deadline, "the introduction is never final");
            chain.call("anvil_mine", json!(["0x40"])).await.expect("blocks can be mined");
        }
    }
}
