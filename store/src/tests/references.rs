use sqlx::{AssertSqlSafe, PgConnection};

use super::fixture::{Fixture, PARTNER, keyring};
use crate::{APP_ROLE, ReferenceUse, Taken, claim_references};

/// Claims one reference for a redemption under this key.
pub(super) async fn claim(books: &Fixture, key: &str) -> Result<(), (i16, Taken)> {
    claim_by(books, &mut books.pool.acquire().await.unwrap(), key).await
}

async fn claim_by(books: &Fixture, conn: &mut PgConnection, key: &str) -> Result<(), (i16, Taken)> {
    let used = ReferenceUse {
        program_id: books.program.program_id,
        partner_id: PARTNER,
        kind: "redeem",
        reference: "ORDER-1",
        source: "credential:test",
        key,
        item: 0,
    };
    claim_references(conn, &keyring(), &[used]).await.unwrap()
}

/// Makes all claims five minutes older.
pub(super) async fn age_claims(books: &Fixture) {
    sqlx::query("update claimed_reference set claimed_at = claimed_at - interval '5 minutes'")
        .execute(&books.pool)
        .await
        .unwrap();
}

/// A transaction that waits for a standby ends when the standby is back, however long nobody has heard of it.
#[tokio::test]
async fn a_claim_is_in_doubt_while_a_transaction_of_its_time_goes_on() {
    let books = Fixture::new().await;
    let mut waiting = books.pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *waiting).await.unwrap();
    assert_eq!(claim(&books, "one").await, Ok(()));
    assert_eq!(claim(&books, "one").await, Ok(()), "it is its own");
    assert_eq!(claim(&books, "two").await, Err((0, Taken::InDoubt)));
    age_claims(&books).await;
    assert_eq!(claim(&books, "two").await, Err((0, Taken::InDoubt)));
    waiting.rollback().await.unwrap();
    assert_eq!(claim(&books, "two").await, Ok(()));
    assert_eq!(claim(&books, "one").await, Err((0, Taken::InDoubt)));
}

/// Who may not see others' transactions sees at least that there are some.
#[tokio::test]
async fn a_claim_is_in_doubt_while_it_is_not_told_since_when_a_transaction_goes_on() {
    let books = Fixture::new().await;
    assert_eq!(claim(&books, "one").await, Ok(()));
    age_claims(&books).await;
    let mut unseen = books.pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *unseen).await.unwrap();
    let conn = &mut *books.pool.acquire().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("set role {APP_ROLE}"))).execute(&mut *conn).await.unwrap();
    assert_eq!(claim_by(&books, conn, "two").await, Err((0, Taken::InDoubt)));
    assert_eq!(claim(&books, "two").await, Ok(()), "who sees it sees that it began later");
}

/// Whoever was answered is answered the same, whoever has claimed the reference since.
#[tokio::test]
async fn a_request_that_was_answered_needs_no_claim() {
    let books = Fixture::new().await;
    let member = books.member_with("amina", 100).await;
    for (key, points, is_done) in [("posted", 10, true), ("refused", 1000, false)] {
        let answer = books.committer.submit(books.redeem(key, member, points)).await.unwrap();
        assert_eq!(answer.outcome.is_ok(), is_done);
    }
    assert_eq!(claim(&books, "since").await, Ok(()));
    for key in ["posted", "refused"] {
        assert_eq!(claim(&books, key).await, Ok(()));
    }
    assert_eq!(claim(&books, "new").await, Err((0, Taken::InDoubt)), "they have not taken it");
}
