//! A member's receipts, checked as a folder.

use super::*;
use crate::check_folder;

#[tokio::test]
async fn a_folder_of_receipts_is_checked_as_a_chain() {
    let mut world = World::new().await;
    let mut ids = vec![world.earn(MEMBER, 500).await];
    for points in [151, 20, 3] {
        ids.push(world.redeem(points).await);
    }
    world.earn(OTHER, 5).await;
    world.seal().await;
    let mut files = Vec::new();
    for id in &ids {
        files.push((format!("{id}.tlog-proof"), world.receipt(*id, "member-key", "").await.bytes));
    }
    files.push(("notes.txt".to_owned(), b"mine".to_vec()));
    let policy = world.policy(&[]);
    let report = check_folder(&files, &policy, None).await;
    assert_eq!((report.verdict, report.receipts), ("valid", 4), "{}", report.sentence);
    let account = &report.accounts[0];
    assert_eq!((account.first, account.last, account.available), (1, 4, 326));
    assert!(report.sentence.contains("no map says whether something came after"), "{}", report.sentence);

    let without = |at: usize| {
        let mut files = files.clone();
        files.remove(at);
        files
    };
    let report = check_folder(&without(1), &policy, None).await;
    assert_eq!(report.exit_status, 1);
    assert!(report.sentence.contains("entries 1 and 3 are there, and none between"), "{}", report.sentence);
    let report = check_folder(&without(3), &policy, None).await;
    assert_eq!((report.verdict, report.accounts[0].last), ("valid", 3), "the last may be missing unnoticed");
    let mut spoilt = files.clone();
    let at = spoilt[2].1.len() - 20;
    spoilt[2].1[at] ^= 1;
    let report = check_folder(&spoilt, &policy, None).await;
    assert_eq!((report.exit_status, report.file.as_deref()), (1, Some(files[2].0.as_str())));
    let mut with_map = files.clone();
    with_map.push(("day.map-proof".to_owned(), b"nothing".to_vec()));
    let report = check_folder(&with_map, &policy, None).await;
    assert_eq!((report.exit_status, report.file.as_deref()), (1, Some("day.map-proof")));
    assert_eq!(check_folder(&[], &policy, None).await.exit_status, 1, "nothing proves nothing");
}
