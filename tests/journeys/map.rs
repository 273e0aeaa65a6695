//! What a member, an auditor and an operator make of the account map; and a database that was restored to before it.

use std::path::Path;

use devstack::{Postgres, PostgresConfig, test_postgres_config};
use journeys::{Api, Process, System, daftari, eventually, lasting_port, part, sql};
use reqwest::Method;
use uuid::Uuid;

use crate::purchase;

const MEMBER: &str = "3b2a7a52-4f0e-4a1e-9a3f-7f5b5a3e0c07";

#[tokio::test]
async fn a_map_completes_receipts_and_outlives_a_restore() {
    let folder = System::folder();
    let database = PostgresConfig { port: Some(lasting_port()), ..test_postgres_config(folder.path()) };
    let postgres = part(move || Postgres::start(&database)).await;
    let url = |name: &str| postgres.url(name);
    let system = System::up(folder.path(), &["--database-url", &url("postgres")]).await;
    let api = system.api();
    let mut transactions = Vec::new();
    for number in 0..3 {
        let reply = api.event(&purchase(&format!("before-{number}"), MEMBER, 1000)).await;
        transactions.push(reply.body["transaction_id"].as_str().expect("an event has an id").to_owned());
    }
    let paths = Paths::of(&system, folder.path());
    the_first_map_is_made_at_once(&paths, folder.path(), &url("postgres")).await;
    the_receipts_are_complete(&api, &paths, folder.path(), &transactions).await;
    the_books_are_the_log(&paths, &url("postgres")).await;
    system.interrupt().await;

    // A backup is taken; the system goes on, is seen by everybody, and is put back to the backup.
    sql(&url("template1"), "create database backup template postgres").await;
    let system = System::up(folder.path(), &["--database-url", &url("postgres")]).await;
    let lost = system.api().redeem(MEMBER, Uuid::from_u128(7), 50).await;
    let lost_at = lost.body["leaf_index"].as_u64().expect("a redemption has a leaf");
    eventually("the redemption is published", async || {
        let note = system.api().bytes("/checkpoint").await?;
        let size: u64 = String::from_utf8(note).ok()?.lines().nth(1)?.parse().ok()?;
        (lost_at < size).then_some(())
    })
    .await;
    system.interrupt().await;
    the_lost_comes_back(&paths, folder.path(), &url("backup"), lost_at).await;
    a_new_log_succeeds(&paths, folder.path(), &url).await;
    part(move || postgres.stop()).await;
}

struct Paths {
    tiles: String,
    policy: String,
    wrapping_key: String,
    log_key: String,
    origin: String,
}

impl Paths {
    fn of(system: &System, home: &Path) -> Self {
        let [tiles, wrapping_key, log_key] =
            ["log", "keys/wrapping.key", "keys/log.key"].map(|it| home.join(it).display().to_string());
        let origin = system.fact("log_key").split('+').next().expect("a key begins with its origin");
        let policy = system.fact("policy").to_owned();
        Self { tiles, policy, wrapping_key, log_key, origin: origin.to_owned() }
    }

    fn books<'a>(&'a self, url: &'a str) -> [&'a str; 6] {
        let [key, tiles] = ["--wrapping-key-file", "--tile-dir"];
        ["--database-url", url, key, &self.wrapping_key, tiles, &self.tiles]
    }
}

/// Whoever makes one each day does not wait for a day where there is none.
async fn the_first_map_is_made_at_once(paths: &Paths, home: &Path, url: &str) {
    let published = Path::new(&paths.tiles).join("checkpoint");
    eventually("the log is published", async || published.exists().then_some(())).await;
    nothing_is_mapped_elsewhere(paths, home, url).await;
    let map = [&["log", "map"], &paths.books(url)[..]].concat();
    let mut keep = daftari();
    keep.args(&map).args(["--every", "24h"]);
    let keep = Process::start(keep, &home.join("maps.log"));
    eventually("a map is made", async || keep.log().contains("mapped").then_some(())).await;
    assert_eq!(keep.end_with("TERM").await, Some(0));
    let again = System::run(&map).await.expect(0);
    assert!(again.stdout.contains("Nothing was posted since the last map"), "{}", again.stdout);
}

/// A folder that was mistyped is not made, one that is not the log's gets nothing, and no leaf says what stands in neither.
async fn nothing_is_mapped_elsewhere(paths: &Paths, home: &Path, url: &str) {
    let books = store::connect(url, 1).await.expect("the database answers");
    let size = async || {
        let conn = &mut *books.acquire().await.expect("the database answers");
        store::log_size(conn).await.expect("the log has a size")
    };
    let before = size().await;
    let [mistyped, empty] = ["lgo", "empty"].map(|it| home.join(it));
    std::fs::create_dir(&empty).expect("a folder can be made");
    for folder in [&mistyped, &empty] {
        let tiles = folder.display().to_string();
        let map = ["log", "map", "--database-url", url, "--wrapping-key-file", &paths.wrapping_key];
        let refused = System::run(&[&map[..], &["--tile-dir", &tiles]].concat()).await.expect(1);
        let why = format!("{tiles} does not hold what is published of this log");
        assert!(refused.stderr.contains(&why), "{}", refused.stderr);
    }
    assert!(!mistyped.exists(), "it was made");
    assert_eq!(std::fs::read_dir(&empty).expect("it is there").count(), 0);
    assert_eq!(size().await, before);
    books.close().await;
}

/// A member's receipts, with what the map says of the account, are a chain to which nothing is missing.
async fn the_receipts_are_complete(api: &Api, paths: &Paths, home: &Path, transactions: &[String]) {
    let receipts = home.join("receipts");
    std::fs::create_dir_all(&receipts).expect("a folder can be made");
    let get = async |path: &str| {
        let reply = api.try_ask(Method::GET, path, &[("X-User-ID", MEMBER)], None).await;
        reply.ok().filter(|it| it.status == 200).map(|it| it.text)
    };
    for (number, id) in transactions.iter().enumerate() {
        let path = format!("/v1/receipts/{id}");
        let receipt = eventually("a receipt", async || get(&path).await).await;
        std::fs::write(receipts.join(format!("{number}.tlog-proof")), receipt).expect("it can be kept");
    }
    let path = format!("/v1/receipts/{}/map", transactions[0]);
    let proof = eventually("a map proof", async || get(&path).await).await;
    std::fs::write(receipts.join("newest.map-proof"), proof).expect("it can be kept");
    let words = [receipts.to_str().expect("a path is text"), "--policy", &paths.policy];
    let whole = System::verify(&words).await.expect(0);
    let expected = "every entry from 1 to 3, ends at 300 available, and nothing came after that up to leaf 3";
    assert!(whole.stdout.contains(expected), "{}", whole.stdout);
    std::fs::remove_file(receipts.join("2.tlog-proof")).expect("it is there");
    let hidden = System::verify(&words).await.expect(1);
    assert!(hidden.stdout.contains("Refused"), "{}", hidden.stdout);
}

/// An auditor with the books at hand finds the same in both; and a balance that was changed in the books.
async fn the_books_are_the_log(paths: &Paths, url: &str) {
    let words = ["audit", &paths.tiles, "--policy", &paths.policy, "--books", url];
    let words = [&words[..], &["--wrapping-key-file", &paths.wrapping_key]].concat();
    let sound = System::run(&words).await.expect(0);
    assert!(sound.stdout.contains("1 account maps are there to their last row"), "{}", sound.stdout);
    let expected = "members hold 300 points of program 1, unit 1 by the newest, as the house accounts say";
    assert!(sound.stdout.contains(expected), "{}", sound.stdout);
    let change = "update balance set available = available + 1 where account_id in (select account_id from account where kind = 1)";
    sql(url, change).await;
    let found = System::run(&words).await.expect(1);
    assert!(found.stdout.contains("its balance is not what its entries come to"), "{}", found.stdout);
    sql(url, &change.replace("+ 1", "- 1")).await;
}

/// The restored database halts everything, takes back what was published, and goes on.
async fn the_lost_comes_back(paths: &Paths, home: &Path, url: &str, lost_at: u64) {
    let up = ["--log-format", "json", "up", "--listen", "127.0.0.1:0", "--database-url", url, "--data-dir"];
    let halted = System::run(&[&up[..], &[home.to_str().expect("a path is text")]].concat()).await.expect(1);
    assert!(
        halted.stderr.contains("sealing halts") && halted.stderr.contains("it lost commits"),
        "{halted:#?}"
    );
    assert!(halted.stderr.contains("commits halt"), "{halted:#?}");

    let adopt = ["log", "adopt", "--database-url", url, "--origin", &paths.origin, "--log-key-file"];
    let outside = ["--published-log", &paths.tiles, "--log-policy-file", &paths.policy];
    let adopt = [&adopt[..], &[&paths.log_key, "--tile-dir", &paths.tiles], &outside].concat();
    let adopt = [&adopt[..], &["--reason", "the backup of noon was restored"]].concat();
    let would = System::run(&[&adopt[..], &["--dry-run"]].concat()).await.expect(0);
    assert!(
        would.stdout.contains(&format!("Leaves {lost_at} to {lost_at} would come back")),
        "{}",
        would.stdout
    );
    let did = System::run(&adopt).await.expect(0);
    assert!(did.stdout.contains(&format!("The first orphan is leaf {}", lost_at + 1)), "{}", did.stdout);
    let again = System::run(&adopt).await.expect(0);
    assert!(again.stdout.contains("nothing is lost"), "{}", again.stdout);

    let system = System::up(home, &["--database-url", url]).await;
    let api = system.api();
    assert_eq!(api.balance(MEMBER).await, Some(300), "what was lost has no effect");
    let redeemed = api.redeem(MEMBER, Uuid::from_u128(7), 50).await;
    assert_eq!((redeemed.status, redeemed.replayed), (200, false), "{}", redeemed.text);
    let leaf_index = redeemed.body["leaf_index"].as_u64().expect("a redemption has a leaf");
    assert_eq!(leaf_index, lost_at + 3, "behind the orphan and the incident");
    let words =
        ["audit", &paths.tiles, "--policy", &paths.policy, "--json", "--rpc", system.fact("chain_rpc_url")];
    eventually("the log extends what was anchored before", async || {
        let report = System::run(&words).await.expect(0).json();
        (report["size"].as_u64() > Some(leaf_index) && report["declarations"] == 3).then_some(())
    })
    .await;
    system.check_books().await;
    system.interrupt().await;
}

/// A log that cannot go on has a successor, whose first leaf says where the old one ended. It has a name of its own.
async fn a_new_log_succeeds(paths: &Paths, home: &Path, url: &impl Fn(&str) -> String) {
    sql(&url("template1"), "create database namesake").await;
    let (new, key) = (url("namesake"), home.join("namesake.key").display().to_string());
    let books = ["--database-url", &new, "--wrapping-key-file", &paths.wrapping_key];
    let log = ["--origin", &paths.origin, "--log-key-file", &key];
    System::run(&[&["migrate"], &books[..], &log].concat()).await.expect(0);
    let succeed =
        ["log", "succeed", "--database-url", &new, "--old-log", &paths.tiles, "--policy", &paths.policy];
    let refused = System::run(&succeed).await.expect(1);
    assert!(refused.stderr.contains("the new log has the old one's origin"), "{}", refused.stderr);

    sql(&url("template1"), "create database successor").await;
    let (new, key) = (url("successor"), home.join("new.key").display().to_string());
    let books = ["--database-url", &new, "--wrapping-key-file", &paths.wrapping_key];
    let log = ["--origin", "daftari.example/second", "--log-key-file", &key];
    System::run(&[&["migrate"], &books[..], &log].concat()).await.expect(0);
    let succeed =
        ["log", "succeed", "--database-url", &new, "--old-log", &paths.tiles, "--policy", &paths.policy];
    let would = System::run(&[&succeed[..], &["--dry-run"]].concat()).await.expect(0);
    assert!(would.stdout.contains("daftari.example/second follows"), "{}", would.stdout);
    System::run(&succeed).await.expect(0);
    let again = System::run(&succeed).await.expect(1);
    assert!(again.stderr.contains("the new log has leaves already"), "{}", again.stderr);
    let first = store::connect(&new, 1).await.expect("the database answers");
    let report = store::check_books(&mut first.acquire().await.expect("the database answers")).await;
    assert_eq!(report.expect("the books are right").leaves, 1);
}
