//! Old postings that an operator moves into a file, and brings back: what holds meanwhile, and what is said of them.

mod killed;

use std::path::{Path, PathBuf};

use journeys::{Answered, JsonRpc, Reply, System, eventually};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::purchase;

const AMINA: &str = "7c1e5b0a-3d0b-4b4f-9a55-6f2f4f5f0c01";
const BARAKA: &str = "7c1e5b0a-3d0b-4b4f-9a55-6f2f4f5f0c02";

struct Walk {
    system: System,
    home: PathBuf,
    wrapping: String,
}

impl Walk {
    async fn start(home: &Path) -> Self {
        let system = System::up(home, &[]).await;
        let wrapping = home.join("keys").join("wrapping.key").display().to_string();
        Self { system, home: home.to_owned(), wrapping }
    }

    /// A command upon these books.
    async fn run(&self, words: &[&str]) -> Answered {
        let place = [
            "--database-url",
            self.system.fact("database_url"),
            "--wrapping-key-file",
            self.wrapping.as_str(),
        ];
        System::run(&[words, &place].concat()).await
    }

    async fn archive(&self, folder: &Path, more: &[&str]) -> Answered {
        let words = ["books", "archive", "--actor", "ops", "--to", text(folder)];
        self.run(&[&words[..], more].concat()).await
    }

    /// Archives what is before this leaf as soon as its anchor is final, and gives what is said of it.
    async fn archive_what_is_final(&self, folder: &Path, before: &str) -> String {
        let chain = JsonRpc::new(self.system.fact("chain_rpc_url"));
        let leaf = before.parse::<u64>().expect("leaves are numbered") - 1;
        let pool = store::connect(self.system.fact("database_url"), 1).await.expect("the database answers");
        // Where nothing was ever anchored, what is sealed may be archived.
        eventually("an anchor", async || {
            let mut conn = pool.acquire().await.expect("a connection");
            let anchors = store::anchors_covering(&mut conn, leaf).await.expect("anchors can be read");
            (!anchors.is_empty()).then_some(())
        })
        .await;
        pool.close().await;
        // While another transaction of that anchor is under way, it is not yet settled that it stands.
        eventually("leaves that may be archived", async || {
            chain.call("anvil_mine", json!(["0x40"])).await.expect("blocks can be mined");
            let told = self.archive(folder, &["--before", before, "--dry-run"]).await.stdout;
            if !told.contains(&format!("from 0 to before {before} would be archived")) {
                return None;
            }
            let done = self.archive(folder, &["--before", before, "--reason", "retention"]).await;
            let done = done.expect(0).stdout;
            (!done.contains("Nothing is archived")).then_some(done)
        })
        .await
    }

    async fn undo(&self, id: &str) -> Answered {
        let words = ["books", "post", "--actor", "ops", "--reason", "wrong"];
        let place = [
            "--database-url",
            self.system.fact("database_url"),
            "--wrapping-key-file",
            self.wrapping.as_str(),
        ];
        System::run(&[&words[..], &place, &["reverse", id]].concat()).await
    }

    async fn get(&self, path: &str) -> Reply {
        let headers = [("X-User-ID", AMINA)];
        self.system.api().try_ask(Method::GET, path, &headers, None).await.expect("the API answers")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}

#[tokio::test]
async fn archived_postings_keep_their_proofs_and_come_back() {
    let folder = System::folder();
    let walk = Walk::start(folder.path()).await;
    let api = walk.system.api();
    for user in [AMINA, BARAKA] {
        assert_eq!(api.event(&purchase(user, user, 5000)).await.status, 200);
    }
    let key = Uuid::new_v4();
    let redeemed = api.redeem(AMINA, key, 100).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.text);
    let url = redeemed.body["receipt_url"].as_str().expect("a redemption has a receipt").to_owned();
    let path = url.strip_prefix(walk.system.fact("api")).expect("the receipt is ours").to_owned();
    let id = path.rsplit('/').next().expect("a path has an end").to_owned();
    let told = walk.get(&format!("/api/v1/loyalty/transactions/{id}")).await;
    let leaf = told.body["leaf_index"].as_u64().expect("a transaction has a leaf");
    let before = (leaf + 1).to_string();
    let receipt =
        eventually("the receipt", async || Some(api.get(&path).await).filter(|it| it.status == 200));
    let kept = walk.home.join("kept.tlog-proof");
    std::fs::write(&kept, receipt.await.text).expect("it can be kept");

    // Not before the chain has promised to keep their anchor.
    let files = walk.home.join("archive");
    std::fs::create_dir(&files).expect("a folder can be made");
    let dry = walk.archive(&files, &["--older-than-days", "1", "--dry-run"]).await.expect(0).stdout;
    assert_eq!(dry, "Nothing would be archived from leaf 0 on: it is younger than what is asked for.\n");
    let done = walk.archive_what_is_final(&files, &before).await;
    assert!(done.contains(&format!("3 postings of the leaves from 0 to before {before}")), "{done}");
    let again = walk.archive(&files, &["--before", &before]).await.expect(0).stdout;
    assert!(again.contains("Nothing is archived"), "{again}");
    let file = files.join(format!("postings-000000000000-{:012}.jsonl.gz", leaf + 1));
    assert!(file.is_file());

    the_service_goes_on(&walk, key, &path, &id, leaf).await;
    the_proofs_come(&walk, &files, &kept, leaf).await;
    a_damaged_file_is_named(&walk, &files, &file).await;

    let erased = walk.run(&["members", "erase", AMINA, "--actor", "dpo"]).await.expect(1);
    assert!(erased.stderr.contains("is archived in postings-000000000000"), "{}", erased.stderr);
    let back = walk.run(&["books", "restore", "--actor", "ops", text(&files)]).await.expect(0).stdout;
    assert!(back.contains("is back: 3 postings"), "{back}");
    walk.run(&["books", "check"]).await.expect(0);
    assert_eq!(walk.get(&path).await.status, 200);
    let replayed = api.redeem(AMINA, key, 100).await;
    assert_eq!((replayed.status, replayed.replayed), (200, true), "{}", replayed.text);
    walk.undo(&id).await.expect(0);
    assert_eq!(api.balance(AMINA).await, Some(490));
    walk.run(&["books", "check"]).await.expect(0);
    walk.system.interrupt().await;
}

/// Balances are there, new postings go on from what is archived, and nothing of it is done twice or undone.
async fn the_service_goes_on(walk: &Walk, key: Uuid, path: &str, id: &str, leaf: u64) {
    let api = walk.system.api();
    assert_eq!(api.balance(AMINA).await, Some(400));
    let history = "/api/v1/loyalty/transactions";
    let (told, then) = (format!("{history}/{id}"), format!("/api/v1/loyalty/balance?as_of={leaf}"));
    for asked in [path, &told, history, "/api/v1/feed", &then] {
        let gone = walk.get(asked).await;
        assert_eq!((gone.status, &gone.body["error"]), (410, &json!("ARCHIVED")), "{asked}: {}", gone.text);
    }
    assert_eq!(api.redeem(AMINA, key, 100).await.status, 410, "its key was used");
    let again = api.event(&purchase(AMINA, AMINA, 5000)).await;
    assert_eq!(again.status, 422, "{}", again.text);
    let refused = walk.undo(id).await.expect(1);
    assert!(refused.stderr.contains("restore it first"), "{}", refused.stderr);
    assert_eq!(api.balance(AMINA).await, Some(400));

    assert_eq!(api.redeem(AMINA, Uuid::new_v4(), 10).await.status, 200);
    let page = walk.get(history).await;
    assert_eq!((page.status, page.body["data"].as_array().map(Vec::len)), (200, Some(1)), "{}", page.text);
    assert_eq!(page.body["has_more"], true, "{}", page.text);
    let cursor = page.body["next_cursor"].as_str().expect("there is more");
    assert_eq!(walk.get(&format!("{history}?starting_after={cursor}")).await.status, 410);
}

/// What was kept verifies, the log audits, a path is served; and with the file there are receipts, and the books are right.
async fn the_proofs_come(walk: &Walk, files: &Path, kept: &Path, leaf: u64) {
    let policy = ["--policy", walk.system.fact("policy")];
    System::verify(&[&[text(kept)], &policy[..]].concat()).await.expect(0);
    System::run(&[&["audit", walk.system.fact("api")], &policy[..]].concat()).await.expect(0);
    let path = walk.system.api().get(&format!("/v1/proofs/inclusion?index={leaf}")).await;
    assert_eq!(path.status, 200, "{}", path.text);

    let lacking = walk.run(&["books", "check"]).await.expect(1);
    assert!(lacking.stderr.contains("is archived in postings-000000000000"), "{}", lacking.stderr);
    let with_file = ["--archive", text(files)];
    let told = walk.run(&[&["books", "check"], &with_file[..]].concat()).await.expect(0).stdout;
    assert!(told.contains("The books are right"), "{told}");
    let archive = walk.home.join("amina.tar");
    let words =
        ["export", "--member", AMINA, "--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"];
    let tiles = walk.home.join("log");
    let place = ["--tile-dir", text(&tiles), "--policy-file", walk.system.fact("policy"), text(&archive)];
    eventually("the export", async || {
        let done = walk.run(&[&words[..], &with_file, &place].concat()).await;
        (done.code == Some(0)).then_some(())
    })
    .await;
    let told = System::verify(&[&[text(&archive)], &policy[..]].concat()).await.expect(0).stdout;
    assert!(told.contains("the statement of 3 lines from 0 to 390 available is what they say"), "{told}");
    let member = walk.run(&[&["members", "export", AMINA], &with_file[..]].concat()).await.expect(0).json();
    assert_eq!(member["postings"].as_array().map(Vec::len), Some(3));
    walk.run(&["members", "export", AMINA]).await.expect(1);
}

/// A file in which a bit has flipped is neither read nor restored.
async fn a_damaged_file_is_named(walk: &Walk, files: &Path, file: &Path) {
    let whole = std::fs::read(file).expect("the file is there");
    let mut flipped = whole.clone();
    // Of the checksum at its end: between the blocks of such a file there are bits that mean nothing.
    flipped[whole.len() - 8] ^= 1;
    std::fs::write(file, flipped).expect("it can be written");
    for words in [&["books", "check", "--archive"][..], &["books", "restore", "--actor", "ops"]] {
        let refused = walk.run(&[words, &[text(files)]].concat()).await.expect(1);
        assert!(refused.stderr.contains("jsonl.gz is damaged"), "{}", refused.stderr);
    }
    std::fs::write(file, whole).expect("it can be written");
}
