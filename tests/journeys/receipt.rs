//! One receipt, and everyone who can check it: the command, the page in a browser, the contract, and whoever it is of.

use std::path::Path;

use journeys::{Answered, JsonRpc, Reply, System, eventually, lasting_port, node, root};
use proof::{Checkpoint, Entry, Part, Receipt, SignedNote, Signer, VerifierKey};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::purchase;

const MEMBER: &str = "0e9f8c52-7d5a-4a43-8f0c-3f3bb2f00b02";
const NEIGHBOUR: &str = "0e9f8c52-7d5a-4a43-8f0c-3f3bb2f00b03";
const POINTS: i64 = 100;

#[tokio::test]
async fn one_receipt_four_verifiers() {
    let folder = System::folder();
    let system = System::up(folder.path(), &[]).await;
    let api = system.api();
    for user in [MEMBER, NEIGHBOUR] {
        assert_eq!(api.event(&purchase(user, user, 5000)).await.status, 200);
    }
    let redeemed = api.redeem(MEMBER, Uuid::new_v4(), POINTS).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.text);
    let url = redeemed.body["receipt_url"].as_str().expect("a redemption has a receipt").to_owned();

    // Not before the contract holds it: from then on every copy of the receipt is the same.
    let words = [&url, "--policy", system.fact("policy"), "--api-key", system.fact("api_key")];
    let waiting = ["--rpc", system.fact("chain_rpc_url"), "--wait", "60s", "--json"];
    let verified = System::verify(&[&words[..], &waiting[..]].concat()).await.expect(0).json();
    assert_eq!(verified["verdict"], "valid", "{verified}");

    let receipt = receipt_for(&system, &url, None).await;
    assert_eq!(receipt.status, 200, "{}", receipt.text);
    let file = folder.path().join("receipt.tlog-proof");
    std::fs::write(&file, &receipt.text).expect("a receipt can be kept");
    let mut flipped = receipt.text.clone().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let flipped_file = folder.path().join("flipped.tlog-proof");
    std::fs::write(&flipped_file, flipped).expect("a receipt can be kept");

    the_command_judges(&system, &file, &flipped_file, &redeemed).await;
    the_page_judges(&system, &file, &flipped_file, &url).await;
    the_contract_judges(&system, &receipt.text).await;
    anyone_judges_by_hand(&system, &file, &redeemed).await;
    each_side_sees_its_own(&system, &url, &receipt).await;
    everyone_reads_the_anchors_story(&system, &verified["proves"]["anchored"]["block"]).await;

    system.check_books().await;
    system.interrupt().await;
}

/// How the checkpoint came into the chain, step by step, with why and for how much.
async fn everyone_reads_the_anchors_story(system: &System, block: &Value) {
    // That the contract has it is known a round before what became of the transaction.
    let mined = &eventually("the receipt's anchor has a story", async || {
        let told = system.api().get("/v1/anchors").await;
        assert_eq!(told.status, 200, "{}", told.text);
        let stories = told.body["anchors"][0]["transactions"].as_array().expect("a list");
        stories.iter().find(|it| it["block"] == *block).cloned()
    })
    .await;
    let steps = mined["steps"].as_array().expect("a list");
    let became: Vec<_> = steps.iter().map(|it| it["state"].as_str().expect("a name")).collect();
    assert_eq!(became[..3], ["armed", "broadcast", "included"], "{mined}");
    assert!(steps.iter().all(|it| it["why"].as_str().is_some_and(|it| !it.is_empty())), "{mined}");
    assert!(mined["paid_wei"].as_str().is_some_and(|it| it.parse().is_ok_and(|it: u128| 0 < it)), "{mined}");

    let alone = system.api().get(&format!("/v1/anchors?size={}", mined["size"])).await;
    let stories = alone.body["anchors"][0]["transactions"].as_array().expect("a list");
    assert!(stories.iter().any(|it| it["transaction"] == mined["transaction"]), "{}", alone.text);
    assert!(stories.iter().all(|it| it["size"] == mined["size"]), "{}", alone.text);
    let many = system.api().get("/v1/anchors?limit=1001").await;
    assert_eq!(
        (many.status, &many.body["validation_errors"][0]["field"]),
        (400, &json!("limit")),
        "{}",
        many.text
    );
}

/// The printed commands, pasted as they are, let the contract confirm the root, the leaf, the partner's 100 points, which
/// posting it is and the order that it was for.
async fn anyone_judges_by_hand(system: &System, file: &Path, redeemed: &Reply) {
    let printed =
        System::verify(&[text(file), "--policy", system.fact("policy"), "--cast"]).await.expect(0).stdout;
    let nowhere = System::verify(&[text(file), "--key", system.fact("log_key"), "--cast"]).await.expect(0);
    assert!(nowhere.stdout.contains("# No contract is named that could be asked"), "{nowhere:#?}");
    let told = journeys::cast(&printed, system.fact("chain_rpc_url")).await.expect(0).stdout;
    let root =
        printed.split_once("ROOT=").and_then(|(_, rest)| rest.lines().next()).expect("the root is printed");
    assert_eq!(told.lines().next(), Some(root), "rootAt: {told}");
    assert!(told.lines().any(|it| it == "true"), "includes: {told}");
    assert!(told.contains(&format!("({POINTS}, 0, 0)")), "openEntry: {told}");
    let posting = redeemed.body["transaction_id"].as_str().expect("a redemption has an id").replace('-', "");
    assert!(told.contains(&format!("(0x{posting}, 2, ")), "openHeader: {told}");
    assert!(told.contains(&format!("(\"order-{POINTS}\", ")), "openDetails: {told}");

    // And all that ever happened to the log's place, as the contract's own page says.
    let head = printed.split_once("PLACE=").expect("the place is computed").0;
    let set = head.lines().filter(|it| it.starts_with("CONTRACT=") || it.starts_with("LOG="));
    let set: Vec<&str> = set.flat_map(|it| it.split(' ')).collect();
    let place = "PLACE=$(cast call $CONTRACT 'placeOf(bytes32,address)(bytes32)' $LOG $REGISTRANT)";
    let history = journeys::commands_of("contracts/README.md", "The whole history by hand");
    let line = format!("set -euo pipefail; export {} FROM=0\n{place}\n{history}", set.join(" "));
    let told = journeys::cast(&line, system.fact("chain_rpc_url")).await.expect(0).stdout;
    let told_of = |from: &str, to: &str| {
        let part = told.split_once(from).and_then(|(_, rest)| rest.split_once(to)).expect("in this order").0;
        part.matches("transactionHash").count()
    };
    assert_eq!(told_of("Registered(", "Anchored("), 1, "{told}");
    assert!(1 <= told_of("Anchored(", "Pinned("), "{told}");
    assert_eq!(told_of("Halted(", "Proposed("), 0, "{told}");
}

async fn the_command_judges(system: &System, file: &Path, flipped: &Path, redeemed: &Reply) {
    let (policy, rpc) = (system.fact("policy"), system.fact("chain_rpc_url"));
    let verify = async |words: &[&str]| System::verify(&[words, &["--json"]].concat()).await;

    let valid = verify(&[text(file), "--policy", policy, "--rpc", rpc]).await.expect(0).json();
    let proves = &valid["proves"];
    assert_eq!((&valid["verdict"], &valid["exit_status"]), (&json!("valid"), &json!(0)), "{valid}");
    assert_eq!(proves["transaction_id"], redeemed.body["transaction_id"], "{valid}");
    assert_eq!(proves["leaf_index"], redeemed.body["leaf_index"], "{valid}");
    assert_eq!(proves["merchant_reference"], format!("order-{POINTS}"), "{valid}");
    assert_eq!(proves["anchored"]["contract"], system.fact("contract"), "{valid}");

    let bent = verify(&[text(flipped), "--policy", policy, "--rpc", rpc]).await.expect(1).json();
    assert_eq!(bent["verdict"], "refused", "{bent}");

    let origin = system.fact("log_key").split('+').next().expect("a key begins with its origin");
    // A stranger's key, and a stranger's key under the log's own name.
    for (name, code) in [("example.com/another", "unknown_log"), (origin, "wrong_log")] {
        let key = Signer::new(name, &[7; 32]).expect("a name").verifier_key().encode();
        let refused = verify(&[text(file), "--key", &key]).await.expect(1).json();
        assert_eq!(refused["code"], code, "{refused}");
    }

    let nothing = verify(&["no-such-file", "--policy", policy]).await;
    could_not_check(nothing, "no-such-file");
    let silent = format!("http://127.0.0.1:{}", lasting_port());
    let unheard = verify(&[text(file), "--policy", policy, "--rpc", &silent]).await;
    could_not_check(unheard, "the chain could not be asked");
}

fn could_not_check(answered: Answered, because: &str) {
    let report = answered.expect(2).json();
    assert_eq!(report["verdict"], "could_not_check", "{report}");
    assert!(report["sentence"].as_str().is_some_and(|it| it.contains(because)), "{report}");
}

async fn the_page_judges(system: &System, file: &Path, flipped: &Path, url: &str) {
    let page = format!("{}/verify/", system.fact("api"));
    let script = root().join("web/journey.mjs");
    let key = system.fact("api_key");
    let show = async |receipt: &str| node(&script, &[&page, receipt, key]).await;
    let (by_file, by_link, bent) = tokio::join!(show(text(file)), show(url), show(text(flipped)));
    for valid in [by_file, by_link] {
        let valid = valid.expect(0).json();
        assert_eq!(valid["verdict"], "valid", "{valid}");
        for step in ["log", "signature", "inclusion", "chain"] {
            let steps = valid["steps"].as_array().expect("the page shows its steps");
            let state = steps.iter().find(|it| it["id"] == step).map(|it| &it["state"]);
            assert_eq!(state, Some(&json!("passed")), "{step}: {valid}");
        }
    }
    let bent = bent.expect(1).json();
    let command = System::verify(&[text(flipped), "--policy", system.fact("policy"), "--json"]).await.json();
    assert_eq!((&bent["verdict"], &bent["code"]), (&json!("refused"), &command["code"]), "{bent} {command}");
}

/// The contract by itself, asked without a line of ours between it and the bytes.
async fn the_contract_judges(system: &System, receipt: &str) {
    let receipt = Receipt::parse(receipt.as_bytes()).expect("it was valid a moment ago");
    let note = SignedNote::parse(&receipt.checkpoint).expect("a note");
    let checkpoint = Checkpoint::parse(&note.text).expect("a checkpoint");
    let key = VerifierKey::parse(system.fact("log_key")).expect("a key");
    let log_id = proof::log_id(key.name(), key.public_key());
    let leaf = receipt.leaf.leaf(receipt.leaf_index).encode();

    let chain = JsonRpc::new(system.fact("chain_rpc_url"));
    let contract = system.fact("contract");
    let registrant = &system.fact("registrant")[2..];
    let place: Vec<u8> = [&log_id[..], &[0; 12], &hex::decode(registrant).expect("hexadecimal")].concat();
    let place = chain.keccak(&place).await;
    let at = format!("{place}{:064x}", checkpoint.size);
    let root = chain.view(contract, "rootAt(bytes32,uint64)", &at).await;
    assert_eq!(root, Ok(hex::encode(checkpoint.root)), "the contract has this very root");

    let includes = async |leaf: &[u8]| {
        // The three fixed arguments, where the two others begin, the leaf's 74 bytes in three words, and the path.
        let mut arguments = format!("{}{registrant:0>64}{:064x}", hex::encode(log_id), checkpoint.size);
        arguments += &format!("{:064x}{:064x}", 5 * 32, 9 * 32);
        arguments += &format!("{:064x}{:0<192}{:064x}", leaf.len(), hex::encode(leaf), receipt.path.len());
        arguments.extend(receipt.path.iter().map(hex::encode));
        chain.view(contract, "includes(bytes32,address,uint64,bytes,bytes32[])", &arguments).await
    };
    let [no, yes] = [0, 1].map(|it| format!("{it:064x}"));
    assert_eq!(includes(&leaf).await, Ok(yes), "the contract finds the leaf");
    for byte in 0..leaf.len() {
        let mut changed = leaf;
        changed[byte] ^= 1;
        let answer = includes(&changed).await;
        // A leaf that is no leaf of this log is refused outright; another commitment is found not to be there.
        assert!(answer.is_err() || answer == Ok(no.clone()), "byte {byte}: {answer:?}");
    }
}

/// Both sides hold a receipt of the same leaf, and neither reads the other's balance in it.
async fn each_side_sees_its_own(system: &System, url: &str, partners: &Reply) {
    let members = receipt_for(system, url, Some(MEMBER)).await;
    assert_eq!(members.status, 200, "{}", members.text);
    let [members, partners] =
        [&members, partners].map(|it| Receipt::parse(it.text.as_bytes()).expect("a receipt"));
    let (member, partner) = (only_opened(&members), only_opened(&partners));
    assert_eq!((member.change.available, member.after.available), (-POINTS, 500 - POINTS));
    assert_eq!((partner.change.available, partner.after.available), (POINTS, POINTS));
    assert_ne!(member.account, partner.account);
    let leaves = [&members, &partners].map(|it| it.leaf.leaf(it.leaf_index));
    assert_eq!(leaves[0], leaves[1], "they are opened differently, and they are one leaf");
    for receipt in [&members, &partners] {
        let details = receipt.leaf.details.opened().expect("both see which order was paid");
        let order = details.merchant_reference.as_ref().map(|it| it.as_str());
        assert_eq!(order, Some(format!("order-{POINTS}").as_str()));
    }

    for stranger in [NEIGHBOUR, "6c0a2d6e-0000-4000-8000-000000000000"] {
        let told = receipt_for(system, url, Some(stranger)).await;
        assert_eq!(
            (told.status, &told.body["error"]),
            (404, &json!("TRANSACTION_NOT_FOUND")),
            "{}",
            told.text
        );
    }
}

fn only_opened(receipt: &Receipt) -> &Entry {
    let mut opened = receipt.leaf.entries.iter().filter_map(Part::opened);
    let entry = opened.next().expect("an entry is opened");
    assert_eq!(opened.next(), None, "one is opened, not both");
    entry
}

async fn receipt_for(system: &System, url: &str, member: Option<&str>) -> Reply {
    let path = url.strip_prefix(system.fact("api")).expect("it is the API's");
    let member = member.map(|it| ("X-User-ID", it));
    let reply = system.api().try_ask(Method::GET, path, member.as_slice(), None).await;
    reply.expect("the API answers")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}
