//! Receipts: whose they are, when there are any, and that they hold.

use proof::{Part, Receipt};

use super::*;
use crate::{ChainFinding, judge};

#[tokio::test]
async fn a_receipt_follows_its_posting_to_the_seal() {
    let mut world = World::new().await;
    let earned = world.earn(MEMBER, 500).await;
    let redeemed = world.redeem(151).await;

    let told = world.receipt(redeemed, "duka-key", "").await;
    assert_eq!((told.status.as_u16(), told.header("retry-after")), (202, "1"));
    let body: Value = serde_json::from_slice(&told.bytes).unwrap();
    assert_eq!((&body["leaf_index"], &body["transaction_id"]), (&json!(1), &json!(redeemed)));
    assert!(body["message"].as_str().unwrap().starts_with("posted, not sealed yet"));
    assert_eq!(body["sealed_within_ms"], 1000);

    world.seal().await;
    let told = world.receipt(redeemed, "duka-key", "").await;
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(told.header("content-type"), "text/plain; charset=utf-8");
    let disposition = format!("attachment; filename=\"{redeemed}.tlog-proof\"");
    assert_eq!(told.header("content-disposition"), disposition);

    let report = judge(&told.bytes, &world.policy(&[]), &ChainFinding::NotAsked);
    assert_eq!((report.exit_status, report.verdict), (0, "valid"), "{}", report.sentence);
    let proves = report.proves.unwrap();
    assert_eq!((proves.transaction_id, proves.leaf_index, proves.log_size), (Some(redeemed), 1, 2));
    assert_eq!(proves.merchant_reference.as_deref(), Some("ORDER-7"));
    // The partner sees its own side, the member theirs.
    assert_eq!(proves.entries.iter().map(|it| (it.change, it.available)).collect::<Vec<_>>(), [(151, 151)]);
    for (key, member) in
        [("dev-key", MEMBER), ("app-key", MEMBER), ("member-key", ""), ("member-key", MEMBER)]
    {
        let told = world.receipt(redeemed, key, member).await;
        let report = judge(&told.bytes, &world.policy(&[]), &ChainFinding::NotAsked);
        let entries = report.proves.unwrap().entries;
        assert_eq!(entries.iter().map(|it| (it.change, it.available)).collect::<Vec<_>>(), [(-151, 349)]);
    }
    // A member's receipts form a chain.
    let [first, second] = [earned, redeemed].map(async |id| {
        let told = world.receipt(id, "member-key", "").await;
        let leaf = Receipt::parse(&told.bytes).unwrap().leaf;
        let entry = leaf.entries.iter().find(|it| it.opened().is_some()).unwrap();
        (entry.opened().unwrap().clone(), entry.commitment())
    });
    let (first, second) = (first.await, second.await);
    assert_eq!(second.0.previous_commitment, first.1);
    assert_eq!(second.0.sequence, first.0.sequence + 1);
}

/// A backlog is sealed in its order: who stands far back in it is not told to come again at once.
#[test]
fn what_waits_behind_others_is_told_so() {
    let told = [0, 1, 16_383, 16_384, 163_840].map(|it| crate::receipts::sealed_within_ms(it, 9999));
    assert_eq!(told, [1000, 1000, 1000, 2000, 11_000]);
}

/// Where sealing has halted nobody is told to come again within a second, for ever: as long again as it stands still, up to an
/// hour. A log that was idle has not stood still.
#[tokio::test]
async fn where_sealing_stands_still_the_wait_is_as_long_again() {
    let mut world = World::new().await;
    world.earn(MEMBER, 500).await;
    world.seal().await;
    let change = |statement: &str| {
        format!("set session_replication_role = replica; {statement}; reset session_replication_role")
    };
    let conn = &mut *world.pool.acquire().await.unwrap();
    store::tamper(conn, &change("update checkpoint set sealed_at = sealed_at - interval '2 days'"))
        .await
        .unwrap();
    let earned = world.earn(MEMBER, 500).await;
    assert_eq!(world.receipt(earned, "app-key", MEMBER).await.header("retry-after"), "1");
    for (ago, least, most) in [("50 seconds", 50, 110), ("1 day", 3600, 3600)] {
        let statement = format!(
            "update posting set recorded_at = (extract(epoch from clock_timestamp() - interval '{ago}') * 1000000)::bigint"
        );
        store::tamper(conn, &change(&statement)).await.unwrap();
        let told = world.receipt(earned, "app-key", MEMBER).await;
        assert_eq!(told.status, 202, "{}", told.text());
        let after: u64 = told.header("retry-after").parse().unwrap();
        assert!((least..=most).contains(&after), "{ago}: {after}");
        let within_ms = told.json()["sealed_within_ms"].as_u64().unwrap();
        assert_eq!(within_ms.div_ceil(1000), after);
    }
}

#[tokio::test]
async fn a_receipt_is_only_for_those_who_took_part() {
    let mut world = World::new().await;
    let earned = world.earn(MEMBER, 500).await;
    let redeemed = world.redeem(151).await;
    world.earn("customer 9", 5).await;
    let theirs = world.earn("customer 9", 5).await;
    world.seal().await;
    for (id, key, member) in [
        (redeemed, "kiosk-key", ""),
        (earned, "duka-key", ""),
        (redeemed, "dev-key", OTHER),
        (redeemed, "app-key", "customer 9"),
        (redeemed, "app-key", "nobody"),
        (theirs, "member-key", ""),
        (Uuid::new_v4(), "duka-key", ""),
    ] {
        world.receipt(id, key, member).await.check_problem(404, "TRANSACTION_NOT_FOUND");
    }
    assert_eq!(
        world.receipt(theirs, "app-key", "customer 9").await.status,
        200,
        "by the operator's own name"
    );
    world.receipt(redeemed, "member-key", OTHER).await.check_problem(403, "FORBIDDEN");
    world.receipt(redeemed, "duka-key", MEMBER).await.check_problem(403, "FORBIDDEN");
    world.receipt(redeemed, "app-key", "").await.check_problem(400, "INVALID_REQUEST");
    world.receipt(redeemed, "no-such-key", "").await.check_problem(401, "UNAUTHORIZED");
    let told = world.get(&format!("/v1/receipts/{redeemed}")).await;
    told.check_problem(401, "UNAUTHORIZED");
    assert_eq!(told.header("access-control-allow-origin"), "*", "a page of another origin may read why");
    let told = world.send(
        Request::get("/v1/receipts/not-a-uuid").header("x-api-key", "duka-key").body(Body::empty()).unwrap(),
    );
    told.await.check_problem(404, "TRANSACTION_NOT_FOUND");
}

#[tokio::test]
async fn an_auditor_sees_what_was_said_and_no_members_entry() {
    let mut world = World::new().await;
    world.earn(MEMBER, 500).await;
    let redeemed = world.redeem(151).await;
    world.seal().await;
    let mut conn = world.pool.acquire().await.unwrap();
    let scopes = vec!["audit:read".to_owned()];
    let owner = "auditor".to_owned();
    let credential =
        Credential { program_id: world.program_id, owner, scopes, partner_id: None, delegated: false };
    let new = store::NewKey { credential, role: store::Role::Auditor, addresses: vec![], lifetime_s: None };
    let key = store::issue_key(&mut conn, &Keyring::new(&[7; 32]), &new).await.unwrap();
    let ask = async |id: &str, key: &str| {
        let request = Request::get(format!("/v1/audit/receipts/{id}")).header("x-api-key", key);
        world.send(request.body(Body::empty()).unwrap()).await
    };
    let told = ask(&redeemed.to_string(), &key).await;
    let report = judge(&told.bytes, &world.policy(&[]), &ChainFinding::NotAsked);
    assert_eq!((report.exit_status, report.verdict), (0, "valid"), "{}", told.text());
    let proves = report.proves.unwrap();
    assert_eq!(proves.merchant_reference.as_deref(), Some("ORDER-7"));
    let changes: Vec<i64> = proves.entries.iter().map(|it| it.change).collect();
    assert_eq!(changes, [151], "the partner's side, and the member's stays closed");
    ask(&Uuid::new_v4().to_string(), &key).await.check_problem(404, "TRANSACTION_NOT_FOUND");
    ask("none", &key).await.check_problem(404, "TRANSACTION_NOT_FOUND");
    ask(&redeemed.to_string(), "duka-key").await.check_problem(403, "FORBIDDEN");
    world.receipt(redeemed, &key, "").await.check_problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_page_of_another_origin_may_ask() {
    let world = World::new().await;
    let request = Request::options(format!("/v1/receipts/{MEMBER}"))
        .header("origin", "https://auditor.test")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "x-api-key");
    let told = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((told.status.as_u16(), told.header("access-control-allow-origin")), (204, "*"));
    assert!(told.header("access-control-allow-headers").contains("X-API-Key"));
}

#[tokio::test]
async fn every_leaf_of_many_seals_has_a_receipt_that_holds() {
    let mut world = World::new().await;
    let mut ids = Vec::new();
    // Past one tile, with the partial tiles of many sizes before it.
    for size in [1, 2, 250, 300] {
        while ids.len() < size {
            ids.push(world.earn(MEMBER, 1).await);
        }
        world.seal().await;
        let policy = world.policy(&[]);
        for (index, id) in ids.iter().enumerate().step_by(29) {
            let told = world.receipt(*id, "member-key", "").await;
            let report = judge(&told.bytes, &policy, &ChainFinding::NotAsked);
            assert_eq!(report.exit_status, 0, "{}", report.sentence);
            assert_eq!(report.proves.unwrap().leaf_index, index as u64);
        }
    }
    let told = world.receipt(ids[7], "member-key", "").await;
    let receipt = Receipt::parse(&told.bytes).unwrap();
    assert!(matches!(receipt.leaf.header, Part::Opened { .. }));
    assert!(receipt.leaf.hints.is_empty(), "it is anchored nowhere");
}
