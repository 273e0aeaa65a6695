//! Acts of operators beside postings: each in the log with its document, and found when one of the two was changed.

use sqlx::AssertSqlSafe;

use super::fixture::{Fixture, keyring};
use crate::*;

fn by(reason: &str) -> By {
    By { actor: "editor:amina".to_owned(), reason: Some(reason.to_owned()) }
}

fn deed(subject: &str) -> Deed {
    let after = Some(serde_json::json!({"stage": "live"}));
    Deed { action: "partner.live".to_owned(), subject: subject.to_owned(), before: None, after }
}

impl Fixture {
    async fn acted(&self, subject: &str) -> u64 {
        let acting = Acting::begin(&self.pool, self.committer.guard()).await.unwrap();
        acting.done(&keyring(), self.program.program_id, &by("ready"), &deed(subject)).await.unwrap()
    }
}

#[tokio::test]
async fn acts_stand_between_postings_and_are_kept_with_what_they_changed() {
    let fixture = Fixture::new().await;
    fixture.member_with("asha", 50).await;
    assert_eq!(fixture.acted("duka").await, 1);
    fixture.member_with("juma", 50).await;

    // What is changed and not recorded did not happen.
    let mut acting = Acting::begin(&fixture.pool, fixture.committer.guard()).await.unwrap();
    let program_id = fixture.program.program_id;
    ensure_partner(acting.conn(), &keyring(), program_id, "kiosk").await.unwrap();
    drop(acting);
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    assert_eq!(partner(conn, program_id, "kiosk").await.unwrap(), None);

    let listed = acts(conn, program_id, None, 10).await.unwrap();
    let [act] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((act.leaf_index, &act.deed), (1, &deed("duka")));
    assert_eq!((act.actor.as_deref(), act.reason.as_deref()), (Some("editor:amina"), Some("ready")));
    assert_eq!(acts(conn, program_id, Some(1), 10).await.unwrap(), []);
    assert_eq!(acts(conn, program_id + 1, None, 10).await.unwrap(), []);
    let report = fixture.check_books().await;
    assert_eq!((report.leaves, report.entries), (3, 4));
}

#[tokio::test]
async fn an_act_that_was_changed_is_named() {
    let cases = [
        (
            "update act set document = '{\"action\":\"a\",\"subject\":\"b\"}'",
            "leaf 1: what the rows say of its event",
        ),
        (
            "update posting set actor = 'editor:badru' where leaf_index = 1",
            "leaf 1: what the rows say of its details",
        ),
        ("delete from act", "leaf 1: an earning names its event"),
        ("update act set leaf_index = 0", "leaf 0: only an administrative act"),
    ];
    for (statement, problem) in cases {
        let fixture = Fixture::new().await;
        fixture.member_with("asha", 50).await;
        fixture.acted("duka").await;
        let refused = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&fixture.pool).await;
        assert!(refused.unwrap_err().to_string().contains("is append-only"), "{statement}");
        let conn = &mut *fixture.pool.acquire().await.unwrap();
        tamper(conn, &format!("set session_replication_role = replica; {statement}")).await.unwrap();
        let found = check_books_opened(conn, &keyring()).await.unwrap_err().to_string();
        assert!(found.contains(problem), "{statement}: {found}");
    }
}
