//! Somebody who has just started the system pastes what it prints, and pulls the plug.

use journeys::{System, answer_of, bash, daftari, eventually, kill_all, processes_of};

const MEMBER: &str = "550e8400-e29b-41d4-a716-446655440000";

#[tokio::test]
async fn a_newcomer_pastes_the_four_commands() {
    let folder = System::folder();
    let folder = folder.path();
    let system = System::up(folder, &[]).await;
    paste_all(&system, 0).await;

    let api = system.api();
    let redemption = std::fs::read_to_string(folder.join("redemption.json")).expect("the answer is kept");
    let redemption: serde_json::Value = serde_json::from_str(&redemption).expect("the answer is JSON");
    let receipt_url = redemption["receipt_url"].as_str().expect("a redemption has a receipt");
    let receipt = api.get(receipt_url.strip_prefix(system.fact("api")).expect("it is the API's")).await;
    assert_eq!(receipt.status, 200, "{}", receipt.text);
    let kept = folder.join("kept.tlog-proof");
    std::fs::write(&kept, &receipt.text).expect("the receipt can be kept");
    check_kept_receipt(&system, kept.to_str().expect("a path is text")).await;
    let before = system.check_books().await;

    // The power goes: the system, PostgreSQL with all its processes, and the chain.
    let parts = processes_of(folder);
    for part in ["postgres", "anvil"] {
        assert!(parts.iter().any(|(_, words)| words.contains(part)), "no {part} runs: {parts:?}");
    }
    let pids: Vec<u32> = [system.process.pid()].into_iter().chain(parts.iter().map(|it| it.0)).collect();
    kill_all(&pids).await;
    assert_eq!(system.process.end().await, None, "a signal ended it");
    nothing_runs_in(folder).await;

    let system = System::up(folder, &[]).await;
    assert_eq!(system.api().balance(MEMBER).await, Some(150));
    assert_eq!(system.check_books().await, before, "nothing is lost and nothing is new");
    check_kept_receipt(&system, kept.to_str().expect("a path is text")).await;
    paste_all(&system, 150).await;
    assert_eq!(system.check_books().await.leaves, 4);

    system.interrupt().await;
    nothing_runs_in(folder).await;
}

/// The shell may have exported a database for something else: whoever did not know is told.
#[tokio::test]
async fn a_newcomer_whose_shell_names_a_database_is_told() {
    let folder = System::folder();
    let mut up = daftari();
    up.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    up.env("DATABASE_URL", "postgres://daftari@127.0.0.1:1/books");
    up.env("CHAIN_RPC_URL", "http://127.0.0.1:1");
    let refused = answer_of(up).await.expect(1);
    let named = "DATABASE_URL or --database-url names it: unset it, and `up` starts its own PostgreSQL";
    for told in ["up: using a PostgreSQL that runs already: ", "cannot use the database ("] {
        assert!(refused.stderr.contains(&format!("{told}{named}")), "{}", refused.stderr);
    }
}

/// Pastes the four commands in their order, as they were printed.
async fn paste_all(system: &System, before: i64) {
    let earned = bash(command(system, "# earn")).await.expect(0).json();
    assert_eq!((&earned["points"], &earned["balance"]), (&250.into(), &(before + 250).into()), "{earned}");
    let balance = bash(command(system, "# balance")).await.expect(0).json();
    assert_eq!(balance["current_balance"], before + 250, "{balance}");
    let redeemed = bash(command(system, "# redeem")).await.expect(0).json();
    assert_eq!(redeemed["status"], "SUCCESS", "{redeemed}");
    assert_eq!(redeemed["new_balance"], before + 150, "{redeemed}");
    let verified = bash(command(system, "# verify")).await.expect(0);
    let holds = format!("the contract {} on chain 31337 holds that checkpoint", system.fact("contract"));
    assert!(verified.stdout.contains(&holds), "{verified:#?}");
    assert!(verified.stdout.contains(redeemed["transaction_id"].as_str().expect("it has an id")));

    // Whoever pastes a command twice changes nothing.
    let again = bash(command(system, "# earn")).await.expect(0).json();
    assert_eq!(again["transaction_id"], earned["transaction_id"]);
    assert_eq!(bash(command(system, "# redeem")).await.expect(0).json(), redeemed);
    assert_eq!(system.api().balance(MEMBER).await, Some(before + 150));
}

/// The line after the one that begins so.
fn command<'a>(system: &'a System, begins: &str) -> &'a str {
    let mut lines = system.printed.iter().skip_while(|it| !it.starts_with(begins)).skip(1);
    lines.next().unwrap_or_else(|| panic!("{begins} was not printed: {:#?}", system.printed))
}

/// The file alone is enough: by the log's key, and by the contract.
async fn check_kept_receipt(system: &System, file: &str) {
    let offline = System::verify(&[file, "--key", system.fact("log_key")]).await.expect(0);
    assert!(offline.stdout.contains("the chain was not asked"), "{offline:#?}");
    // The chain may have lost its last second with the plug; what is missing is anchored again.
    let words =
        [file, "--policy", system.fact("policy"), "--rpc", system.fact("chain_rpc_url"), "--wait", "60s"];
    let anchored = System::verify(&words).await.expect(0);
    assert!(anchored.stdout.contains("holds that checkpoint"), "{anchored:#?}");
}

async fn nothing_runs_in(folder: &std::path::Path) {
    eventually(&format!("the end of everything in {}", folder.display()), async || {
        processes_of(folder).is_empty().then_some(())
    })
    .await;
}
