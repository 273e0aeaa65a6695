use std::time::{Duration, Instant};

use super::fixture::Fixture;
use super::serial::wait_for_waiting;
use crate::pulse::{Commits, Pulse};
use crate::warnings::Warnings;
use crate::{Guard, PgPool};

/// An attempt that was given up just now, after a minute without an answer.
fn give_up(pulse: &Pulse) {
    drop(pulse.begin_at(Instant::now() - Duration::from_secs(61)));
}

/// As a batch whose commit hangs: the server holds the lock of the head for it.
async fn hang(pool: &PgPool) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let mut conn = pool.acquire().await.unwrap();
    sqlx::raw_sql("begin; select size from log_head for update").execute(&mut *conn).await.unwrap();
    conn
}

#[tokio::test]
async fn commits_that_hang_are_told_of_until_one_has_come_to_an_end() {
    let books = Fixture::new().await;
    let commits = Commits { guard: Guard::default(), pulse: Pulse::default() };
    let mut hanging = hang(&books.pool).await;
    give_up(&commits.pulse);
    // The next attempt has only begun, and one that is answered without a commit says nothing.
    let next = commits.pulse.begin();
    assert!(commits.trouble().is_some());
    next.answered();
    assert!(commits.trouble().is_some());

    let (pulse, pool) = (commits.pulse.clone(), books.pool.clone());
    let probing = tokio::spawn(async move { pulse.probe(&pool, &mut Warnings::default()).await });
    wait_for_waiting(&mut books.pool.acquire().await.unwrap(), 1).await;
    assert!(commits.trouble().is_some());
    sqlx::raw_sql("rollback").execute(&mut *hanging).await.unwrap();
    probing.await.unwrap();
    assert_eq!(commits.trouble(), None);
}

#[tokio::test]
async fn a_committer_finds_out_by_itself_that_commits_go_on() {
    let books = Fixture::new().await;
    let commits = books.committer.commits();
    let mut hanging = hang(&books.pool).await;
    give_up(&commits.pulse);
    // Nobody has asked for anything: whoever waits is the probe.
    wait_for_waiting(&mut books.pool.acquire().await.unwrap(), 1).await;
    assert!(commits.trouble().is_some());
    sqlx::raw_sql("rollback").execute(&mut *hanging).await.unwrap();
    books.committer.submit(books.earn("e1", "amina", 1)).await.unwrap();
    assert_eq!(commits.trouble(), None, "a commit says so, too");
}
