//! PostgreSQL warns that it has committed what a standby may lack.

use std::time::{Duration, Instant};

use devstack::{Postgres, PostgresConfig, Scratch};
use sqlx::{Connection, PgConnection};

use super::fixture::Fixture;
use crate::pulse::{Commits, Pulse};
use crate::warnings::Warnings;
use crate::*;

#[tokio::test]
async fn a_warning_is_heard_and_passed_on() {
    let mut conn = PgConnection::connect(&devstack::test_postgres_url().unwrap()).await.unwrap();
    // There is no transaction, and it says so: also where the driver has told of a warning before and nobody listened.
    sqlx::raw_sql("commit").execute(&mut conn).await.unwrap();
    for (statement, warns) in [
        ("commit", true),
        ("begin; commit", false),
        ("do $$ begin raise notice 'by the way'; end $$", false),
        ("do $$ begin raise warning 'beware'; end $$", true),
    ] {
        let mut log = Warnings::default();
        let (heard, logged) = log
            .during(async {
                let (done, heard) =
                    Warnings::default().during(sqlx::raw_sql(statement).execute(&mut conn)).await;
                done.unwrap();
                heard
            })
            .await;
        assert_eq!((heard, logged), (warns, warns), "{statement}");
    }
}

/// Somebody cancels the wait for the standby: what was asked for is there, and may yet be lost. Who asks again with the same
/// key waits in turn, and is told the truth once nobody has to wait.
#[tokio::test]
async fn a_commit_with_a_warning_is_unknown_and_asking_again_waits_too() {
    let scratch = Scratch::new().unwrap();
    let mut config = PostgresConfig::new(scratch.path().join("postgres"));
    config.settings.push(("synchronous_standby_names".to_owned(), "nobody".to_owned()));
    let postgres = tokio::task::spawn_blocking(move || Postgres::start(&config)).await.unwrap().unwrap();
    // Whoever connects so does not wait for the standby that is not there.
    let alone = "options=-c%20synchronous_commit%3Dlocal";
    let url = test_database(&format!("{}?{alone}", postgres.url("postgres"))).await.unwrap();
    let books = Fixture::on(&format!("{url}&{alone}")).await;
    let member = books.member_with("m", 100).await;

    let committer = Fixture::committer_on(&connect(&url, 4).await.unwrap(), &books.log).await;
    let mut operator = PgConnection::connect(&url).await.unwrap();
    let request = books.redeem("k", member, 10);
    for _ in 0..2 {
        let (told, ()) = tokio::join!(committer.submit(request.clone()), cancel_a_wait(&mut operator));
        assert_eq!(told, Err(SubmitError::Unknown));
        assert_eq!(books.balance("m").await.unwrap().available, 90, "PostgreSQL has committed");
    }
    let told = books.committer.submit(request).await.unwrap();
    assert!(told.replayed, "{told:?}");
    assert_eq!(told.outcome.unwrap()[0].leaf_index, 1);
    let BooksReport { leaves, root, .. } = books.check_books().await;
    assert_eq!(leaves, 2);

    // Nor does whoever asks whether commits go on take it for one that has come to an end.
    let (pool, long_ago) = (connect(&url, 1).await.unwrap(), Instant::now() - Duration::from_secs(61));
    let commits = Commits { guard: Guard::default(), pulse: Pulse::default() };
    drop(commits.pulse.begin_at(long_ago));
    let mut warnings = Warnings::default();
    tokio::join!(commits.pulse.probe(&pool, &mut warnings), cancel_a_wait(&mut operator));
    assert!(commits.trouble().is_some());

    // Nor is a checkpoint promised that only this server may have, or one that another had recorded so.
    let conn = &mut PgConnection::connect(&url).await.unwrap();
    let checkpoint = RecordedCheckpoint { size: 2, previous_size: 0, root, note: "a signed note".to_owned() };
    let recording = record_checkpoint(conn, &mut warnings, &checkpoint);
    let (told, ()) = tokio::join!(recording, cancel_a_wait(&mut operator));
    assert!(matches!(told, Err(StoreError::Warned)), "{told:?}");
    let (told, ()) = tokio::join!(confirm(conn, &mut warnings), cancel_a_wait(&mut operator));
    assert!(matches!(told, Err(StoreError::Warned)), "{told:?}");
}

/// Cancels a commit's wait for the standby, once there is one.
async fn cancel_a_wait(operator: &mut PgConnection) {
    let cancelled = async {
        let mut cancelled = Vec::<bool>::new();
        while cancelled.is_empty() {
            let cancel = sqlx::query_scalar(
                "select pg_cancel_backend(pid)
                 from pg_stat_activity
                 where datname = current_database() and wait_event = 'SyncRep'",
            );
            cancelled = cancel.fetch_all(&mut *operator).await.unwrap();
        }
        assert_eq!(cancelled, [true]);
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), cancelled).await.expect("no commit waits");
}
