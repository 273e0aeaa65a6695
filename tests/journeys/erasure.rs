//! A member who is given everything that is held about them, and is then erased: what is left, and what still verifies.

use std::path::Path;

use journeys::{Process, System, eventually};
use reqwest::Method;
use uuid::Uuid;

use crate::purchase;

const STAYS: &str = "4a1d0e6c-9f0d-4c59-8f0e-2f4f5f0b0e01";

#[tokio::test]
async fn a_member_is_exported_and_erased_and_every_other_proof_stands() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let (api, name) = (system.api(), format!("amina-{}@example.com", Uuid::new_v4()));
    let keys = folder.path().join("keys");
    let wrapping = keys.join("wrapping.key").display().to_string();
    let books = ["--database-url", system.fact("database_url"), "--wrapping-key-file", &wrapping];
    for (id, user) in [("first", name.as_str()), ("second", STAYS)] {
        assert_eq!(api.event(&purchase(&format!("{id} of {user}"), user, 5000)).await.status, 200);
    }
    assert_eq!(api.event(&format!(r#"{{"user_id":"{name}","type":"none"}}"#)).await.status, 422);
    let member = System::run(&[&["members", "export"], &books[..], &[&name]].concat()).await.expect(0).json();
    let id: Uuid = member["member"]["member_id"].as_str().and_then(|it| it.parse().ok()).expect("a UUID");
    let account = member["accounts"][0]["id"].as_str().expect("an account has an id").to_owned();
    assert_eq!(member["postings"][0]["entries"][0]["available_change"], 500);
    assert_eq!(member["rejected_events"].as_array().map(Vec::len), Some(1));

    let given = ["books", "post", "--actor", "ops", "--reason", "gift"];
    System::run(&[&given[..], &books, &["transfer", &name, STAYS, "40"]].concat()).await.expect(0);
    let redeemed = api.redeem(&id.to_string(), Uuid::new_v4(), 100).await;
    let url = redeemed.body["receipt_url"].as_str().expect("a redemption has a receipt").to_owned();
    let path = url.strip_prefix(system.fact("api")).expect("the receipt is ours").to_owned();
    let receipt = async || {
        let reply =
            eventually("the receipt", async || Some(api.get(&path).await).filter(|it| it.status == 200));
        reply.await.text
    };
    let before = folder.path().join("before.tlog-proof");
    std::fs::write(&before, receipt().await).expect("it can be kept");

    let archive = the_export_stands(&system, folder.path(), &books, &name).await;

    let erase = ["members", "erase", &name, "--actor", "dpo"];
    let dry = [&erase[..], &books, &["--dry-run"]].concat();
    let foretold = System::run(&dry).await.expect(0).stdout;
    assert!(foretold.contains("360 points would expire into breakage; 0 held, 0 pending"), "{foretold}");
    assert_eq!(api.balance(&id.to_string()).await, Some(360), "a dry run changes nothing");
    // What stands in the way of it does so until it is over, and no longer.
    let hold = ["books", "post", "--actor", "ops", "--json"];
    let held = System::run(&[&hold[..], &books, &["hold", &name, "10"]].concat()).await.expect(0).json();
    let foretold = System::run(&dry).await.expect(1);
    assert!(foretold.stdout.contains("350 points would expire into breakage; 10 held"), "{foretold:?}");
    assert!(foretold.stderr.contains("cannot be closed"), "{foretold:?}");
    let refused = System::run(&[&erase[..], &books].concat()).await.expect(1);
    assert!(refused.stderr.contains("cannot be closed"), "{}", refused.stderr);
    let void = ["void", held["items"][0]["transaction_id"].as_str().expect("a hold has an id")];
    System::run(&[&given[..], &books, &void].concat()).await.expect(0);
    let erased = System::run(&[&erase[..], &books].concat()).await.expect(0);
    assert!(erased.stdout.contains(&format!("Account {account} keeps its amounts")), "{}", erased.stdout);

    // The log is as it was, the books are right, and every proof that others hold stands.
    let report = System::run(&[&["books", "check"], &books[..]].concat()).await.expect(0).stdout;
    assert!(report.contains("of which 6 can no longer be opened"), "{report}");
    let policy = ["--policy", system.fact("policy")];
    System::run(&[&["audit", system.fact("api")], &policy[..]].concat()).await.expect(0);
    let after = folder.path().join("after.tlog-proof");
    std::fs::write(&after, receipt().await).expect("it can be kept");
    for file in [&before, &after] {
        let verified =
            System::verify(&[&[file.to_str().expect("a path is text")], &policy[..]].concat()).await;
        assert!(verified.expect(0).stdout.contains("100"), "the partner's own entry is opened");
    }

    // What the member took away before is theirs: it verifies on another machine for ever.
    System::verify(&[&[archive.as_str()], &policy[..]].concat()).await.expect(0);

    // The event comes again, from a producer who knows nothing of it, and another: nobody is enrolled, and nobody writes it down.
    for (id, status) in [("first", 200), ("third", 422)] {
        let again = api.event(&purchase(&format!("{id} of {name}"), &name, 5000)).await;
        assert_eq!(again.status, status, "{}", again.text);
    }
    assert_eq!(api.balance(&id.to_string()).await, None);
    let headers = [("X-User-ID", name.as_str())];
    let gone = api.try_ask(Method::GET, &path, &headers, None).await.expect("the API answers");
    assert_eq!(gone.status, 404, "{}", gone.text);
    let rejects = System::run(&[&["books", "rejects"], &books[..]].concat()).await.expect(0);
    assert!(!rejects.stdout.contains(&name), "{}", rejects.stdout);
    System::run(&[&["members", "export"], &books[..], &[&name]].concat()).await.expect(1);

    the_logs_and_the_tiles_name_nobody(&system.process, folder.path(), &[&name, &id.to_string()]);
    system.interrupt().await;
}

/// The member's archive verifies offline, line by line; and not if a line of its statement is changed or left out.
async fn the_export_stands(system: &System, home: &Path, books: &[&str], name: &str) -> String {
    let tiles = home.join("log");
    let mapped = [&["log", "map"], books, &["--tile-dir", text(&tiles)]].concat();
    System::run(&mapped).await.expect(0);
    let archive = text(&home.join("amina.tar")).to_owned();
    let policy = ["--policy", system.fact("policy")];
    let exported = async || {
        let words =
            ["export", "--member", name, "--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"];
        let place = ["--tile-dir", text(&tiles), "--policy-file", system.fact("policy"), &archive];
        let done = System::run(&[&words[..], books, &place].concat()).await;
        (done.code == Some(0)).then_some(())
    };
    eventually("the archive", exported).await;
    let complete = eventually("an archive up to the map", async || {
        exported().await?;
        let told = System::verify(&[&[archive.as_str()], &policy[..]].concat()).await.expect(0).stdout;
        told.contains("nothing more was recorded up to leaf").then_some(told)
    })
    .await;
    assert!(
        complete.contains("the statement of 3 lines from 0 to 360 available is what they say"),
        "{complete}"
    );
    let bytes = std::fs::read(&archive).expect("the archive is there");
    let forged = home.join("forged.tar");
    for (line, other) in [("\"available\": 360", "\"available\": 361"), ("\"from_us\"", "\"frem_us\"")] {
        let at =
            bytes.windows(line.len()).position(|it| it == line.as_bytes()).expect("the statement says so");
        let mut changed = bytes.clone();
        changed[at..at + line.len()].copy_from_slice(other.as_bytes());
        std::fs::write(&forged, changed).expect("it can be written");
        let told = System::verify(&[&[text(&forged)], &policy[..]].concat()).await.expect(1).stdout;
        assert!(told.contains("statement.json"), "{told}");
    }
    archive
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}

/// Neither a line of a log nor a published file has the member's names.
fn the_logs_and_the_tiles_name_nobody(process: &Process, home: &Path, names: &[&str]) {
    let mut published = vec![("the log of the process".to_owned(), process.log().into_bytes())];
    let mut folders = vec![home.join("log")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be read").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let bytes = std::fs::read(&path).expect("a file can be read");
                    published.push((path.display().to_string(), bytes));
                }
            }
        }
    }
    assert!(5 < published.len(), "there are tiles and bundles");
    for (place, bytes) in published {
        for name in names {
            let found = bytes.windows(name.len()).any(|it| it == name.as_bytes());
            assert!(!found, "{name} stands in {place}");
        }
    }
}
