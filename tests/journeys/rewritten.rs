//! An operator with every key writes the log anew: other books, other tiles, a fresh signature. Whoever has seen the true
//! one finds it, and the contract takes none of it, as anybody can try by hand.

use journeys::{Answered, JsonRpc, System, cast, check_books, commands_of, eventually, sql};
use serde_json::json;

use crate::purchase;
use crate::roles::{Role, World, text};

const MEMBER: &str = "9f6a0d1c-2b3e-4f5a-8c7d-1e2f3a4b5c27";
const TRUE: u64 = 4;
const FALSE: u64 = 6;

#[tokio::test]
async fn a_rewritten_log_is_refused_by_everybody() {
    let world = World::new().await;
    // Where the false history will stand: the same log, by its id and by its key, before its first leaf.
    sql(&world.database("template1"), "create database rewritten template postgres").await;
    let case = Case { chain: JsonRpc::new(&world.anvil.url()), world };
    let policy = case.path("policy.txt");
    let anchor = case.world.start("anchor", "1", &[]);
    let proofs = case.world.start("verifier", "1", &["--policy-file", &policy]);
    let api = case.world.start("api", "1", &[]);
    for role in [&anchor, &proofs, &api] {
        role.is_ready().await;
    }
    earn(&api, "true", TRUE).await;
    eventually("it is anchored", async || (case.head().await == TRUE).then_some(())).await;
    case.monitor(&proofs, &[]).await.expect(0);
    case.audit(&proofs, &["--rpc", &case.world.anvil.url()]).await.expect(0);
    ends(anchor).await;

    let (database, tiles) = (case.world.database("rewritten"), case.path("rewritten"));
    let elsewhere = ["--database-url", &database];
    let folder = ["--tile-dir", &tiles];
    let false_api = case.world.start("api", "false", &elsewhere);
    let sealer = case.world.start("anchor", "false", &[elsewhere, folder].concat());
    let words = [&elsewhere[..], &folder, &["--policy-file", &policy]].concat();
    let false_proofs = case.world.start("verifier", "false", &words);
    for role in [&false_api, &sealer, &false_proofs] {
        role.is_ready().await;
    }
    earn(&false_api, "false", FALSE).await;
    shows(&false_proofs, FALSE).await;
    ends(sealer).await;
    // In itself it is sound.
    assert_eq!(check_books(&database).await.leaves, FALSE);
    case.audit(&false_proofs, &[]).await.expect(0);

    // The seal, where it may ask the chain before it signs.
    let chain = case.world.chain();
    let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
    let asking = case.world.start("anchor", "asking", &[&elsewhere[..], &folder, &chain].concat());
    assert_eq!(asking.process.end().await, Some(1));
    let says = "sealing halts: the contract on chain 31337 has seen another history of this log: another root at 4 leaves";
    assert!(case.log("anchor-asking").contains(says), "{}", case.log("anchor-asking"));
    // The monitor, by what it remembers; the audit, by what is anchored.
    let alarm = case.monitor(&false_proofs, &[]).await.expect(1);
    assert!(alarm.stderr.contains("its checkpoint of 6 leaves does not extend the one of 4"), "{alarm:#?}");
    let found =
        case.audit(&false_proofs, &["--rpc", &case.world.anvil.url(), "--json"]).await.expect(1).json();
    let disagrees = json!({"finding": "anchor_disagrees", "chain_id": 31337, "size": TRUE});
    let findings = found["findings"].as_array().expect("a list");
    assert!(findings.contains(&disagrees), "{found}");

    // The contract, with the writer's own key; and the same commands take the true log's next leaves.
    let refused = case.anchor_by_hand(&false_proofs).await;
    let selector = refused.stdout.lines().find(|it| it.len() == 10 && it.starts_with("0x"));
    let selector = selector.expect("the commands print what NotAnExtension looks like");
    assert!(refused.stderr.contains(&format!("custom error {selector}")), "{refused:#?}");
    assert!(refused.stdout.contains(&format!("custom error {selector}")), "{refused:#?}");
    assert_eq!(refused.stdout.matches("0 (failed)").count(), 1, "{refused:#?}");
    assert_eq!(case.head().await, TRUE);
    let true_tiles = case.path("tiles");
    let sealer = case.world.start("anchor", "unanchored", &["--tile-dir", &true_tiles]);
    earn(&api, "more", 1).await;
    shows(&proofs, TRUE + 1).await;
    let taken = case.anchor_by_hand(&proofs).await;
    assert_eq!(taken.stdout.matches("1 (success)").count(), 1, "{taken:#?}");
    assert_eq!(case.head().await, TRUE + 1);
    ends(sealer).await;

    case.the_books_alone_are_rewritten(&proofs).await;
    for role in [api, proofs, false_api, false_proofs] {
        ends(role).await;
    }
    case.world.stop().await;
}

struct Case {
    chain: JsonRpc,
    world: World,
}

impl Case {
    /// Only the database is rewritten: the seal does not go on, the audit that has the books at hand names what is wrong, and
    /// everybody else sees a log that stands still.
    async fn the_books_alone_are_rewritten(&self, proofs: &Role) {
        self.audit_with_books(proofs).await.expect(0);
        let rewrite = "set session_replication_role = replica;
                       update entry set available_change = 1000000 where leaf_index = 2 and ordinal = 0;
                       update leaf set commitment = sha256('x') where leaf_index = 2";
        sql(&self.world.database_url, rewrite).await;
        let sealer = self.world.start("anchor", "rewritten", &[]);
        assert_eq!(sealer.process.end().await, Some(1));
        let says = "sealing halts: leaf 2 was sealed as another leaf: the database holds another history";
        assert!(self.log("anchor-rewritten").contains(says), "{}", self.log("anchor-rewritten"));
        let found = self.audit_with_books(proofs).await.expect(1);
        assert!(found.stdout.contains("the books are damaged: leaf 2"), "{}", found.stdout);
        eventually("the monitor calls the checkpoint stale", async || {
            let looked = self.monitor(proofs, &["--stale-after", "1s"]).await;
            looked.stderr.contains("the checkpoint is stale").then_some(())
        })
        .await;
    }

    /// The trust page's commands, as the writer of the log's place, with the log that this service shows.
    async fn anchor_by_hand(&self, proofs: &Role) -> Answered {
        let World { contract, registrant, .. } = &self.world;
        let set = format!(
            "export CONTRACT={contract} REGISTRANT={registrant} LOG=0x{} WRITER={registrant} SITE={}
             export WALLET='--unlocked --from {registrant}'",
            self.world.log_id(),
            proofs.url,
        );
        let commands = commands_of("docs/trust.md", "A rewritten history");
        cast(&format!("{set}\n{commands}"), &self.world.anvil.url()).await.expect(0)
    }

    /// The size that the contract holds.
    async fn head(&self) -> u64 {
        let World { contract, registrant, .. } = &self.world;
        let place = format!("{}{:0>64}", self.world.log_id(), &registrant[2..]);
        let place = self.chain.view(contract, "placeOf(bytes32,address)", &place).await;
        let head = self.chain.view(contract, "head(bytes32)", &place.expect("the contract answers")).await;
        u64::from_str_radix(&head.expect("the contract answers")[48..64], 16).expect("a size")
    }

    async fn monitor(&self, proofs: &Role, words: &[&str]) -> Answered {
        let (policy, seen) = (self.path("policy.txt"), self.path("seen"));
        let look = ["monitor", &proofs.url, "--once", "--memory", &seen, "--policy", &policy];
        System::run(&[&look, words].concat()).await
    }

    async fn audit(&self, proofs: &Role, words: &[&str]) -> Answered {
        let policy = self.path("policy.txt");
        System::run(&[&["audit", &proofs.url, "--policy", &policy], words].concat()).await
    }

    async fn audit_with_books(&self, proofs: &Role) -> Answered {
        let key = self.path("wrapping.key");
        self.audit(proofs, &["--books", &self.world.database_url, "--wrapping-key-file", &key]).await
    }

    fn path(&self, name: &str) -> String {
        text(&self.world.path(name)).to_owned()
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).expect("it has logged")
    }
}

/// So many earnings in one request.
async fn earn(api: &Role, name: &str, count: u64) {
    let events: Vec<String> =
        (0..count).map(|number| purchase(&format!("{name}-{number}"), MEMBER, 1000)).collect();
    let reply = api.api().event(&format!("[{}]", events.join(","))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// Waits until the published checkpoint has this size.
async fn shows(proofs: &Role, size: u64) {
    eventually("all of it is published", async || {
        let note = String::from_utf8(proofs.api().bytes("/checkpoint").await?).ok()?;
        (note.lines().nth(1) == Some(&size.to_string())).then_some(())
    })
    .await;
}

async fn ends(role: Role) {
    assert_eq!(role.process.end_with("TERM").await, Some(0));
}
