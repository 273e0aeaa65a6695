//! A partner who follows the guide, command by command.

use journeys::{System, bash, commands_of, root};
use serde_json::json;

#[tokio::test]
async fn a_partner_follows_the_guide() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let guide = std::fs::read_to_string(root().join("docs/partners.md")).expect("there is a guide");
    let blocks: Vec<&str> =
        guide.split("```sh\n").skip(1).map(|it| it.split("```").next().unwrap_or_default()).collect();
    // Where they are is the one thing that is another here.
    let program = journeys::daftari_path();
    let script = blocks
        .join("printf '\\n== next\\n'\n")
        .replace("DATA=.daftari\n", &format!("DATA={}\n", folder.path().display()))
        .replace("DAFTARI=target/release/daftari\n", &format!("DAFTARI={}\n", program.display()));
    let said = bash(&format!("set -euo pipefail\n{script}")).await.expect(0);
    let told: Vec<&str> = said.stdout.split("\n== next\n").collect();
    let [_, earned, redeemed, verified, webhook, live, receipt, client, readiness] = told[..] else {
        panic!("the guide has other parts: {said:#?}");
    };
    assert!(earned.contains("\"points\":500"), "{earned}");
    assert!(redeemed.contains("\"eligible\":true"), "{redeemed}");
    assert_eq!(
        redeemed.matches("\"available\":400").count(),
        3,
        "asked before, done, and the same again: {redeemed}"
    );
    assert!(verified.contains("\"status\":\"active\""), "{verified}");
    assert!(webhook.contains("\"available\":380") && webhook.trim().ends_with("order-982"), "{webhook}");
    assert!(live.contains("stream.opened") && live.contains("order-983"), "{live}");
    let holds = format!("the contract {} on chain 31337 holds that checkpoint", system.fact("contract"));
    assert!(receipt.contains(&holds), "{receipt}");
    assert_eq!(client.trim(), "SUCCESS 340\nINSUFFICIENT_BALANCE 340");
    assert!(readiness.contains("\"ready\":false"), "{readiness}");
    // Three redemptions and what came before, and that the endpoint was made and verified.
    assert_eq!(system.check_books().await.leaves, 7);

    an_approver_stands_beside_an_adjustment(&system).await;

    // What was shown as a secret stands in no line of the log.
    let kept = std::fs::read_to_string(folder.path().join("webhook.json")).expect("the endpoint was kept");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("it is JSON");
    let secrets =
        [kept["secret"].as_str().expect("it has one"), system.fact("api_key"), system.fact("token")];
    let log = system.process.log();
    assert!(log.contains("\"request\""), "the log has the requests");
    for secret in secrets {
        assert!(!log.contains(secret), "the log tells a secret");
    }
    system.interrupt().await;
}

/// By the lines that the paths' document shows.
async fn an_approver_stands_beside_an_adjustment(system: &System) {
    let wrapping = system.home().join("keys/wrapping.key").display().to_string();
    let database = ["--database-url", system.fact("database_url"), "--wrapping-key-file", &wrapping];
    let books = [&database[..], &["--actor", "asha"]].concat();
    let key = async |owner: &str, role: &str| {
        let words = ["keys", "create", "--owner", owner, "--role", role, "--scopes", "loyalty:adjust"];
        System::run(&[&words[..], &books[..]].concat()).await.expect(0).stdout.trim().to_owned()
    };
    let (editor, approver) = (key("asha", "editor").await, key("baraka", "approver").await);
    System::run(&[&["books", "enrol", "456"], &books[..]].concat()).await.expect(0);
    let given = [&["books", "post", "--reason", "to try it"], &books[..], &["adjust", "456", "500"]].concat();
    System::run(&given).await.expect(0);
    let lines = commands_of("docs/api.md", "What operators settle");
    let set = format!("API={} EDITOR_KEY={editor} APPROVER_KEY={approver}", system.fact("api"));
    let told = bash(&format!("set -euo pipefail\n{set}\n{lines}")).await.expect(0).json();
    assert_eq!((&told["kind"], &told["points"]), (&json!("adjust"), &json!(101)), "{told}");
    assert_eq!(told["balance"]["available"], 399, "{told}");
}
