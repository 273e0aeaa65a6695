//! Somebody who trusts nobody: audits the whole log, follows it, and names what was changed in it.

use journeys::{System, eventually};
use serde_json::json;

use crate::purchase;

const MEMBER: &str = "3b2a7a52-4f0e-4a1e-9a3f-7f5b5a3e0c06";
const EVENTS: usize = 300;

#[tokio::test]
async fn a_stranger_audits_and_follows_the_log() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    earn(&system, "first").await;
    let [log, rpc, policy] = ["api", "chain_rpc_url", "policy"].map(|it| system.fact(it).to_owned());
    let [memory, seen] = ["audit.json", "seen"].map(|it| folder.path().join(it).display().to_string());
    let trust = ["--policy", &policy, "--rpc", &rpc];
    let audit = async |log: &str| {
        System::run(&[&["audit", log, "--json", "--memory", &memory], &trust[..]].concat()).await
    };
    let monitor = async |log: &str| {
        System::run(&[&["monitor", log, "--once", "--memory", &seen], &trust[..]].concat()).await
    };

    let report = eventually("an anchor of everything", async || {
        // Before the first seal there is nothing to look at.
        let answered = audit(&log).await;
        let report = if answered.code == Some(2) { return None } else { answered.expect(0).json() };
        (report["size"] == EVENTS && report["anchors"].as_u64() > Some(0)).then_some(report)
    })
    .await;
    assert_eq!(report["findings"], json!([]));
    monitor(&log).await.expect(0);
    earn(&system, "second").await;
    // An audit of some of them would leave less for the last one.
    eventually("the rest", async || {
        let note = system.api().bytes("/checkpoint").await?;
        let note = String::from_utf8(note).expect("a checkpoint is text");
        (note.lines().nth(1) == Some(&(2 * EVENTS).to_string())).then_some(())
    })
    .await;
    let report = audit(&log).await.expect(0).json();
    assert_eq!(report["size"], 2 * EVENTS);
    assert_eq!(report["resumed_from"], 256, "the first full tile was passed before");
    monitor(&log).await.expect(0);
    let refused = System::run(&["audit", &log, "--key", "nonsense"]).await.expect(2);
    assert!(refused.stderr.contains("--key is not a log's public key"), "{}", refused.stderr);
    system.check_books().await;

    // The operator changes one byte of one leaf, in the tiles' folder: a copy of the log suffices to find it.
    let bundle = folder.path().join("log/tile/entries/000");
    let mut bytes = system.api().bytes("/tile/entries/000").await.expect("a full bundle, plain");
    bytes[3 * 76 + 2 + 73] ^= 1;
    std::fs::write(&bundle, bytes).expect("the folder is the operator's own");
    let copy = folder.path().join("log").display().to_string();
    let found = System::run(&["audit", &copy, "--json", "--policy", &policy]).await.expect(1).json();
    assert_eq!(found["findings"], json!([{"finding": "leaf_changed", "leaf_index": 3}]));
    let found = System::run(&["audit", &log, "--policy", &policy]).await.expect(1);
    assert!(found.stdout.contains("leaf 3 was changed in its bundle"), "{}", found.stdout);
    monitor(&log).await.expect(0);
    system.interrupt().await;
    let gone =
        System::run(&["monitor", &log, "--once", "--memory", &seen, "--policy", &policy]).await.expect(2);
    assert!(gone.stderr.contains("could not look"), "{}", gone.stderr);
}

async fn earn(system: &System, name: &str) {
    let events: Vec<String> =
        (0..EVENTS).map(|number| purchase(&format!("{name}-{number}"), MEMBER, 100)).collect();
    let reply = system.api().event(&format!("[{}]", events.join(","))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}
