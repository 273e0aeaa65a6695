use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::fixture::{Fixture, keyring};
use crate::*;

/// Plants one corruption with the triggers out of the way, and demands that the check names it.
#[track_caller]
fn check(runtime: &tokio::runtime::Runtime, statement: &str, expected: &str) {
    let error = runtime.block_on(async {
        let books = Fixture::new().await;
        let member = books.member_with("m", 100).await;
        for it in 0..5 {
            books.committer.submit(books.redeem(&format!("k{it}"), member, 1)).await.unwrap();
        }
        books.check_books().await;
        let mut conn = PgConnection::connect(&books.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("set session_replication_role = replica; {statement}")))
            .execute(&mut conn)
            .await
            .unwrap();
        check_books_opened(&mut conn, &keyring()).await
    });
    let error = error.expect_err(statement).to_string();
    assert!(error.contains(expected), "{statement}\ngave: {error}");
}

#[test]
fn the_check_finds_what_was_planted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = [
        (
            "with changed as (
                 update entry
                 set available_change = available_change - 1, available_after = available_after - 1
                 where leaf_index = 5 and ordinal = 0
                 returning account_id
             )
             update balance
             set available = available - 1
             from changed
             where balance.account_id = changed.account_id",
            "sum to zero",
        ),
        ("update entry set available_change = available_change - 1 where leaf_index = 2", "do not follow"),
        ("update entry set available_after = available_after + 1 where leaf_index = 2", "do not follow"),
        ("update entry set sequence = sequence + 1 where leaf_index = 3 and ordinal = 0", "leaves a hole"),
        ("update entry set previous_leaf_index = 0 where leaf_index = 4", "does not name the entry before"),
        (
            "update entry set commitment = sha256('x') where leaf_index = 5 and ordinal = 0",
            "not that of its parts",
        ),
        ("delete from entry where leaf_index = 3", "not that of its parts"),
        ("update leaf set commitment = sha256('x') where leaf_index = 1", "not that of its parts"),
        ("delete from leaf where leaf_index = 2", "leaf 2"),
        ("delete from posting where leaf_index = 2", "it has no posting"),
        ("update posting set header_commitment = sha256('x') where leaf_index = 0", "not that of its parts"),
        ("update posting set details_commitment = sha256('x') where leaf_index = 0", "not that of its parts"),
        ("update posting set merchant_reference = 'another' where leaf_index = 2", "its details"),
        ("update posting set effective_at = effective_at - 1 where leaf_index = 3", "its header"),
        ("update posting set posting_id = gen_random_uuid() where leaf_index = 4", "of its"),
        ("update posting set rule_set_hash = sha256('x') where leaf_index = 0", "its header"),
        ("update event set payload = '{}' where leaf_index = 0", "its event"),
        ("delete from event where leaf_index = 0", "its event"),
        (
            "update account set id = gen_random_uuid() where account_id = (select account_id from entry where leaf_index = 1 limit 1)",
            "wrapping key",
        ),
        ("update balance set available = available + 1 where sequence = 6", "not what its entries come to"),
        ("update balance set sequence = sequence + 1 where sequence = 6", "not what its entries come to"),
        ("update log_head set size = 5", "beyond the log's size"),
        ("update log_head set size = 7", "leaf 6 is missing"),
        ("update outcome set points = points + 1 where leaf_index = 2", "what was answered for leaf 2"),
        ("update outcome set available = available + 1 where leaf_index = 2", "what was answered for leaf 2"),
        (
            "update rule_set set document = '{\"rates\":{\"purchase\":\"2\"}}', hash = sha256('{\"rates\":{\"purchase\":\"2\"}}')",
            "its earning",
        ),
        ("delete from outcome where leaf_index = 3", "do not name each other"),
        ("update outcome set posting_id = gen_random_uuid() where leaf_index = 3", "do not name each other"),
        (
            "insert into checkpoint (size, previous_size, root, note) values (3, 0, sha256('x'), 'n')",
            "signed over another history",
        ),
    ];
    for (statement, expected) in cases {
        check(&runtime, statement, expected);
    }
}

#[tokio::test]
async fn history_refuses_to_change() {
    let books = Fixture::new().await;
    books.member_with("m", 100).await;
    books.committer.submit(books.redeem("k", books.balance("m").await.unwrap().member_id, 1)).await.unwrap();
    for table in ["leaf", "posting", "entry", "leaf_0", "posting_0", "entry_0"] {
        for statement in [
            format!("update {table} set leaf_index = leaf_index"),
            format!("delete from {table}"),
            format!("truncate {table}"),
        ] {
            check_refused(&books, statement).await;
        }
    }
    check_refused(&books, "update outcome set points = points + 1".to_owned()).await;
    check_refused(&books, "update event set payload = 'x'".to_owned()).await;
}

async fn check_refused(books: &Fixture, statement: String) {
    let outcome = sqlx::query(AssertSqlSafe(statement.clone())).execute(&books.pool).await;
    let error = outcome.expect_err(&statement).to_string();
    assert!(error.contains("is append-only"), "{statement}: {error}");
}
