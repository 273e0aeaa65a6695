//! What has rotted in the object store is named by the scrub, and written again as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use journeys::{Answered, System, eventually, sql};
use proof::Cosigner;

use crate::purchase;
use crate::roles::{Role, World, text};

const MEMBER: &str = "9f6a0d1c-2b3e-4f5a-8c7d-1e2f3a4b5c28";
/// Three earnings, a map, and as many more as make a third bundle.
const SIZE: u64 = 3 + 1 + 2 * 300;

#[tokio::test]
async fn what_has_rotted_is_named_and_mended() {
    let world = World::new().await;
    let [tiles, policy, key] =
        ["tiles", "policy.txt", "wrapping.key"].map(|it| text(&world.path(it)).to_owned());
    let folder = world.path("tiles");
    // Whoever is given a folder only seals into it.
    let sealer = world.start("anchor", "1", &["--tile-dir", &tiles, "--scrub-every", "1s"]);
    let api = world.start("api", "1", &[]);
    for role in [&sealer, &api] {
        role.is_ready().await;
    }
    earn(&api, "first", 3).await;
    eventually("a map has its place", async || folder.join("checkpoint").exists().then_some(())).await;
    let database = ["--database-url", &world.database_url];
    let map = ["log", "map", "--wrapping-key-file", &key, "--tile-dir", &tiles];
    System::run(&[&map[..], &database].concat()).await.expect(0);
    for name in ["second", "third"] {
        earn(&api, name, 300).await;
    }
    eventually("all of it is published", async || {
        let note = std::fs::read_to_string(folder.join("checkpoint")).ok()?;
        (note.lines().nth(1) == Some(&SIZE.to_string())).then_some(())
    })
    .await;
    // What its log has signed is enough to mend it by, also where those are away who are asked for besides.
    let asking = text(&world.path("asking.txt")).to_owned();
    let trusted = std::fs::read_to_string(&policy).expect("the policy is there");
    let witness = Cosigner::new("witness.example/away", &[6; 32]).expect("it is a name").verifier_key();
    let asked = format!("witness away {} http://127.0.0.1:9\nquorum away", witness.encode());
    std::fs::write(&asking, trusted.replace("quorum none", &asked)).expect("a policy can be written");
    let mend = async |more: &[&str]| {
        let words = ["log", "mend", "--tile-dir", &tiles, "--policy", &asking];
        System::run(&[&words[..], &database, more].concat()).await
    };
    let audit = async || System::run(&["audit", &tiles, "--policy", &policy]).await;
    finds(&sealer, 0).await;
    let whole = mend(&[]).await.expect(0);
    assert!(
        whole.stdout.contains("Every tile, bundle and declaration of the 604 leaves"),
        "{}",
        whole.stdout
    );
    let before = files(&folder);

    let flipped = ["tile/entries/001", "tile/0/000", "tile/1/000.p/2", "declaration/3"];
    let gone = "tile/entries/002.p/92";
    for path in flipped {
        flip(&folder.join(path));
    }
    std::fs::remove_file(folder.join(gone)).expect("it is there");
    finds(&sealer, 5).await;
    let log = sealer.process.log();
    for named in [
        "tile/entries/001 is damaged",
        "tile/0/000 was changed",
        "tile/1/000.p/2 was changed",
        "leaf 3 is no posting, and cannot be read",
        "tile/entries/002.p/92 is missing",
        "`daftari log mend` rebuilds it",
    ] {
        assert!(log.contains(named), "{named}: {log}");
    }
    audit().await.expect(1);
    let damaged = files(&folder);
    let would = mend(&["--dry-run"]).await.expect(0);
    says(&would, &flipped, "would be put right");
    says(&would, &[gone], "would be put right: it is missing");
    assert!(files(&folder) == damaged, "a dry run writes nothing");

    let done = mend(&[]).await.expect(0);
    says(&done, &flipped, "is put right");
    says(&done, &[gone], "is put right: it is missing");
    assert!(done.stdout.contains("Put right: 5."), "{}", done.stdout);
    assert!(files(&folder) == before, "each is what it was");
    finds(&sealer, 0).await;
    audit().await.expect(0);

    // What the rows say now is not what was published.
    let rewrite = "set session_replication_role = replica;
                   update leaf set commitment = sha256('x') where leaf_index = 2";
    sql(&world.database_url, rewrite).await;
    flip(&folder.join("tile/entries/000"));
    let left = mend(&[]).await.expect(1);
    says(&left, &["tile/entries/000"], "is left as it is");
    assert!(left.stdout.contains("the database holds another leaf 2"), "{}", left.stdout);
    assert!(left.stderr.contains("take them from a copy of the log"), "{}", left.stderr);

    for role in [sealer, api] {
        assert_eq!(role.process.end_with("TERM").await, Some(0));
    }
    world.stop().await;
}

/// So many earnings in one request.
async fn earn(api: &Role, name: &str, count: u64) {
    let events: Vec<String> =
        (0..count).map(|number| purchase(&format!("{name}-{number}"), MEMBER, 1000)).collect();
    let reply = api.api().event(&format!("[{}]", events.join(","))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// Waits until the scrub has found so much.
async fn finds(sealer: &Role, count: usize) {
    let (api, figure) = (sealer.api(), format!("daftari_scrub_findings {count}\n"));
    eventually(&figure, async || api.get("/metrics").await.text.contains(&figure).then_some(())).await;
}

fn says(answered: &Answered, paths: &[&str], what: &str) {
    for path in paths {
        let said = format!("{path} {what}");
        assert!(answered.stdout.contains(&said), "{said}: {}", answered.stdout);
    }
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).expect("it is there");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("it can be written");
}

/// All tiles, bundles and declarations.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.join("tile"), folder.join("declaration")];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).expect("a folder can be read") {
            let path = item.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(&path).expect("a file can be read"));
            }
        }
    }
    files
}
