use proof::{Body, LeafKind, Text};

use super::fixture::Fixture;
use crate::*;

fn bodies() -> Vec<Body> {
    let reason = Text::new("the standby was promoted while behind").unwrap();
    vec![
        Body::Map { log_size: 1, accounts: 2, root: [3; 32] },
        Body::Incident { first_leaf_index: 0, leaves: 1, reason },
    ]
}

#[tokio::test]
async fn declarations_stand_between_postings_and_can_be_read_without_a_secret() {
    let fixture = Fixture::new().await;
    fixture.member_with("asha", 50).await;
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    assert_eq!(append_declarations(conn, &fixture.log, bodies()).await.unwrap(), 1);
    fixture.member_with("juma", 50).await;
    let report = fixture.check_books().await;
    assert_eq!((report.leaves, report.entries), (4, 4));

    let stored = leaves(conn, 0, 10).await.unwrap();
    let kinds: Vec<LeafKind> = stored.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [LeafKind::Posting, LeafKind::Map, LeafKind::Incident, LeafKind::Posting]);
    for leaf in &stored {
        assert_eq!(leaf.parts.as_ref().unwrap().commitment(), leaf.commitment, "leaf {}", leaf.leaf_index);
    }
    for (leaf, body) in stored[1..3].iter().zip(bodies()) {
        let opened = declaration_at(conn, &fixture.log, leaf.leaf_index).await.unwrap().unwrap();
        assert_eq!(opened.leaf(leaf.leaf_index).commitment, leaf.commitment);
        assert_eq!(opened.body.unwrap().opened(), Some(&body));
        assert!(leaf_time_ms(conn, leaf.leaf_index).await.unwrap().is_some());
    }
    assert_eq!(declaration_at(conn, &fixture.log, 0).await.unwrap(), None);
    let maps = declarations_of(conn, &fixture.log, LeafKind::Map).await.unwrap();
    assert_eq!(maps.iter().map(|it| it.0).collect::<Vec<_>>(), [1]);
}

/// A time limit would end a commit's wait for its standby, and call it done.
#[tokio::test]
async fn no_declaration_is_committed_under_a_time_limit() {
    let fixture = Fixture::new().await;
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "create function refuse_limit() returns trigger language plpgsql as $$
         begin
             if current_setting('statement_timeout') <> '0' then raise 'it has a time limit'; end if;
             return null;
         end
         $$;
         create constraint trigger declaration_has_no_limit after insert on declaration
             deferrable initially deferred for each row execute function refuse_limit();
         set statement_timeout = '1h'",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let [first, second]: [Body; 2] = bodies().try_into().unwrap();
    begin_log(conn, &fixture.log, first).await.unwrap();
    assert_eq!(append_declarations(conn, &fixture.log, vec![second]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_declaration_that_was_changed_is_named() {
    let cases = [
        (
            "update declaration set body = set_byte(body, 40, 9) where leaf_index = 1",
            "leaf 1: its commitment is not that of its parts",
        ),
        (
            "update declaration set recorded_at = 5 where leaf_index = 2",
            "leaf 2: its commitment is not that of its parts",
        ),
        ("update declaration set body = body || body where leaf_index = 1", "leaf 1: its declaration: "),
        ("delete from declaration where leaf_index = 2", "leaf 2: it has no declaration"),
        ("update leaf set kind = 1 where leaf_index = 1", "leaf 1: its declaration: its leaf is a posting"),
        ("update declaration set leaf_index = 3 where leaf_index = 2", "leaf 2: it has no declaration"),
    ];
    for (statement, problem) in cases {
        let fixture = Fixture::new().await;
        fixture.member_with("asha", 50).await;
        let conn = &mut *fixture.pool.acquire().await.unwrap();
        append_declarations(conn, &fixture.log, bodies()).await.unwrap();
        tamper(conn, &format!("set session_replication_role = replica; {statement}")).await.unwrap();
        let found = check_books(conn).await.unwrap_err().to_string();
        assert!(found.contains(problem), "{statement}: {found}");
    }
}
