use ledger::{Command, MemberRef, Refusal, Request, Status};
use proof::PostingKind;
use uuid::Uuid;

use super::fixture::Fixture;
use crate::*;

#[tokio::test]
async fn a_request_marks_what_it_posts_and_nothing_else() {
    let it = Fixture::new().await;
    let asha = it.member_with("asha", 500).await;
    let ask = |key, points, hurried| Request { hurried, ..it.redeem(key, asha, points) };
    let soon = ask("soon", 7, true);
    for (request, is_posted) in
        [(ask("slow", 7, false), true), (ask("much", 501, true), false), (soon.clone(), true)]
    {
        assert_eq!(it.committer.submit(request).await.unwrap().outcome.is_ok(), is_posted);
    }
    // A trial says what would come of it, and marks no more than it posts.
    let trial = Request { dry_run: true, ..ask("trial", 7, true) };
    assert!(it.committer.submit(trial).await.unwrap().outcome.is_ok());
    let again = it.committer.submit(soon.clone()).await.unwrap();
    assert!(again.replayed && again.outcome.is_ok());
    let unlike = it.committer.submit(Request { hurried: false, ..soon }).await.unwrap();
    let refusal = unlike.outcome.unwrap_err().refusal;
    assert!(matches!(refusal, Refusal::KeyReused { .. }), "{refusal:?}");

    let conn = &mut *it.pool.acquire().await.unwrap();
    let marked: Vec<i64> =
        sqlx::query_scalar("select leaf_index from hurried_posting").fetch_all(&mut *conn).await.unwrap();
    assert_eq!(marked, [2]);
    assert!(is_hurried(conn, 2).await.unwrap());
    // An act says its status by its fingerprint alone, which the mark is part of.
    let suspend = Command::SetStatus { member: MemberRef::Id(asha), status: Status::Suspended };
    let suspend = Request { hurried: true, ..it.request("operator", "suspend", suspend) };
    assert!(it.committer.submit(suspend).await.unwrap().outcome.is_ok());
    it.check_books().await;
}

#[tokio::test]
async fn kinds_and_amounts_and_single_postings_are_marked() {
    let it = Fixture::new().await;
    let asha = it.member_with("asha", 500).await;
    it.member_with("juma", 40).await;
    let redeem = it.redeem("1", asha, 7);
    let id = redeem.items[0].posting_id;
    assert!(it.committer.submit(redeem).await.unwrap().outcome.is_ok());
    let (conn, program_id) = (&mut *it.pool.acquire().await.unwrap(), it.program.program_id);
    let times = [0, 1, 2].map(|leaf| leaf as u64);
    let mut ms = Vec::new();
    for leaf in times {
        ms.push(leaf_time_ms(conn, leaf).await.unwrap().unwrap());
    }
    assert_eq!(hurried_by_rule(conn, 0, 3).await.unwrap(), None, "nobody has said so");

    assert_eq!(set_hurry_rule(conn, program_id, PostingKind::EARN, Some(500)).await.unwrap(), None);
    let first = Hurried { oldest_ms: ms[0], last_leaf: 0 };
    assert_eq!(hurried_by_rule(conn, 0, 3).await.unwrap(), Some(first));
    assert_eq!(hurried_by_rule(conn, 1, 3).await.unwrap(), None, "40 are less, and 7 are no earning");
    assert_eq!(set_hurry_rule(conn, program_id, PostingKind::NONE, Some(41)).await.unwrap(), None);
    assert_eq!(set_hurry_rule(conn, program_id, PostingKind::NONE, Some(40)).await.unwrap(), Some(41));
    let both = Hurried { oldest_ms: ms[0], last_leaf: 1 };
    assert_eq!(hurried_by_rule(conn, 0, 3).await.unwrap(), Some(both), "any kind");

    assert!(!is_hurried(conn, 2).await.unwrap());
    for _ in 0..2 {
        assert_eq!(hurry_posting(conn, id).await.unwrap(), Some(2), "twice is once");
    }
    assert_eq!(hurried_by_mark(conn, 0, 3).await.unwrap(), Some(Hurried { oldest_ms: ms[2], last_leaf: 2 }));
    assert_eq!(hurried_by_mark(conn, 0, 2).await.unwrap(), None);
    assert!(is_hurried(conn, 2).await.unwrap());
    assert_eq!(hurry_posting(conn, Uuid::nil()).await.unwrap(), None);

    for (kind, before) in [(PostingKind::EARN, 500), (PostingKind::NONE, 40)] {
        assert_eq!(set_hurry_rule(conn, program_id, kind, None).await.unwrap(), Some(before));
        assert_eq!(set_hurry_rule(conn, program_id, kind, None).await.unwrap(), None, "nothing is left");
    }
    assert_eq!(hurried_by_rule(conn, 0, 3).await.unwrap(), None);
}
