//! Ways out of a database that lost what was published.

use ledger::{Command, Destination, Gateway, MemberRef, Points};
use proof::{Body, LeafKind, Text};
use store::{GatewayAt, GatewayFacts, Guard, Seen};

use super::fixture::Fixture;
use crate::{AdoptError, Doubt, SealError, adopt, lost};

/// A log of which ten leaves are published and sealed in two steps, and a database that was restored to the first five.
async fn restored() -> Fixture {
    let mut it = Fixture::new().await;
    it.post(5).await;
    it.seal_all().await;
    let backup = it.backup().await;
    for _ in 0..2 {
        it.post(3).await;
        it.seal_all().await;
    }
    it.reopen(backup).await;
    it
}

fn reason() -> Text {
    Text::new("a backup of noon was restored at three").unwrap()
}

#[tokio::test]
async fn a_restored_database_takes_back_what_was_published() {
    let it = restored().await;
    let before = it.published().unwrap();
    assert_eq!(before.size, 11);
    let error = it.sealer().seal().await.unwrap_err();
    assert!(matches!(error, SealError::Halt(Doubt::Behind { published: 11, known: 5 })), "{error}");
    // Somebody has seen the checkpoint between, which the database has lost as well.
    let between = it.folder.edge(8).unwrap().root();
    let seen = [Seen { who: "the witness a".to_owned(), size: 8, root: between }];
    let conn = &mut *it.pool.acquire().await.unwrap();
    let found = lost(conn, &it.keys(), &it.folder, &seen).await.unwrap().unwrap();
    assert_eq!(found.leaves.iter().map(|it| it.leaf_index).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
    assert_eq!(found.checkpoints.iter().map(|it| it.size).collect::<Vec<_>>(), [8, 11]);
    assert_eq!(store::log_size(conn).await.unwrap(), 5, "looking changes nothing");

    assert_eq!(adopt(conn, &it.keys(), &found, reason(), false).await.unwrap(), 11);
    assert_eq!(lost(conn, &it.keys(), &it.folder, &seen).await.unwrap(), None);
    it.seal_all().await;
    it.post(2).await;
    it.seal_all().await;
    // Six leaves come back in their places, six orphans name them, then comes the incident; and the log goes on.
    let after = it.published().unwrap();
    assert_eq!(after.size, 5 + 6 + 6 + 1 + 2);
    let path = it.folder.consistency_proof(before.size, after.size).unwrap();
    assert!(proof::verify_consistency(before.size, &before.root, after.size, &after.root, &path));
    let orphans = store::declarations_of(conn, &it.log, LeafKind::Orphan).await.unwrap();
    for ((index, orphan), lost) in orphans.iter().zip(&found.leaves) {
        assert_eq!(*index, lost.leaf_index + 6);
        assert_eq!(orphan.body.as_ref().unwrap().opened(), Some(&Body::Orphan(lost.encode())));
    }
    let incidents = store::declarations_of(conn, &it.log, LeafKind::Incident).await.unwrap();
    let told = Body::Incident { first_leaf_index: 5, leaves: 6, reason: reason() };
    assert_eq!(incidents[0].1.body.as_ref().unwrap().opened(), Some(&told));
    // The lost postings have no effect: seven of fives are what is there.
    let report = it.check_books().await;
    assert_eq!((report.leaves, report.entries, report.root), (after.size, 14, after.root));

    // A committer that knows what the world has seen goes on there.
    let world =
        vec![seen[0].clone(), Seen { who: "the folder".to_owned(), size: after.size, root: after.root }];
    let guard = Guard::new(std::sync::Arc::new(move |_| {
        let world = world.clone();
        Box::pin(async move { Ok(world) })
    }));
    assert!(guard.check(conn).await.unwrap(), "{:?}", guard.halted());
}

/// The gateway pays against the tree, into which the leaf comes back.
#[tokio::test]
async fn a_lost_withdrawal_comes_back_only_where_that_is_accepted() {
    let mut it = Fixture::new().await;
    let at = GatewayAt { chain_id: 31337, contract: [1; 20] };
    let terms = Gateway { unit: 1, token: [7; 20], epoch_s: 3600, zone_s: 0 };
    let facts = GatewayFacts { program_id: it.program.program_id, terms, first_block: 1 };
    store::ensure_gateway(&mut it.pool.acquire().await.unwrap(), &at, &facts).await.unwrap();
    it.post(2).await;
    it.seal_all().await;
    let backup = it.backup().await;
    let now_us = store::clock_us(&mut it.pool.acquire().await.unwrap()).await.unwrap();
    let destination = Destination {
        chain_id: at.chain_id,
        gateway: at.contract,
        holder: [2; 20],
        withdrawal_id: [3; 32],
        claim_before: now_us as u64 / 1_000_000 + 3600,
    };
    let member = MemberRef::External("asha".to_owned());
    let command = Command::Withdraw { member, points: Points::new(4).unwrap(), destination };
    let withdrawn = it.committer.submit(it.request("operator:test", "withdraw", command)).await.unwrap();
    assert_eq!(withdrawn.outcome.unwrap()[0].leaf_index, 2);
    it.post(1).await;
    it.seal_all().await;
    it.reopen(backup).await;

    let conn = &mut *it.pool.acquire().await.unwrap();
    let found = lost(conn, &it.keys(), &it.folder, &[]).await.unwrap().unwrap();
    assert_eq!((found.leaves.len(), found.withdrawals()), (2, vec![2]));
    let refused = adopt(conn, &it.keys(), &found, reason(), false).await.unwrap_err();
    assert!(refused.to_string().contains("withdrawals are among them, at leaves [2]"), "{refused}");
    assert_eq!(store::log_size(conn).await.unwrap(), 2, "nothing came back");
    assert_eq!(adopt(conn, &it.keys(), &found, reason(), true).await.unwrap(), 4);
    assert_eq!(store::log_size(conn).await.unwrap(), 2 + 2 + 2 + 1);
}

#[tokio::test]
async fn a_lost_leaf_that_no_orphan_names_is_found() {
    let it = restored().await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    let found = lost(conn, &it.keys(), &it.folder, &[]).await.unwrap().unwrap();
    adopt(conn, &it.keys(), &found, reason(), false).await.unwrap();
    it.check_books().await;
    it.tamper("insert into lost_leaf values (2); delete from posting where leaf_index = 2; delete from entry where leaf_index = 2").await;
    let error = store::check_books(conn).await.unwrap_err().to_string();
    assert!(error.contains("leaf 2 was lost, and no orphan names it"), "{error}");
}

#[tokio::test]
async fn a_database_that_went_on_over_lost_leaves_is_not_mended() {
    // Two primaries: each has posted, and the other one's log was published.
    let it = restored().await;
    it.post(1).await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    let error = lost(conn, &it.keys(), &it.folder, &[]).await.unwrap_err();
    let AdoptError::Refused(problem) = error else { panic!("{error}") };
    assert!(problem.contains("leaf 5 is published as another leaf than the database holds"), "{problem}");
    it.post(20).await;
    let error = lost(conn, &it.keys(), &it.folder, &[]).await.unwrap_err().to_string();
    assert!(error.contains("the database holds 26 leaves and 11 are published, but not the same"), "{error}");
    // And what a witness saw of another history is not written into this one.
    let it = restored().await;
    let conn = &mut *it.pool.acquire().await.unwrap();
    let seen = [Seen { who: "the witness a".to_owned(), size: 7, root: [9; 32] }];
    let error = lost(conn, &it.keys(), &it.folder, &seen).await.unwrap_err().to_string();
    assert!(error.contains("the witness a has seen another history at 7 leaves"), "{error}");
}
