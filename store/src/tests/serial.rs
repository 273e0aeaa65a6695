//! Committers run at READ COMMITTED, and what they come to is what one after the other would have: the order of the log is
//! a serial order (docs/adr, "Read committed, with these locks, is serializable").

use std::time::Duration;

use futures::future::join_all;
use ledger::{Command, Request};
use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::fixture::{Fixture, PARTNER, keyring};
use super::world::{named, points};
use crate::{Committer, connect};

const MEMBERS: [&str; 3] = ["amina", "baraka", "chema"];

/// What is done: to whom, how much, and to which of the requests before it.
type Step = (u8, usize, i64, usize);

/// The requests of these steps. Their ids are chosen ahead, so one may go on from another that is asked at the same moment.
fn requests(books: &Fixture, steps: &[Step]) -> Vec<Request> {
    let ids: Vec<Uuid> = steps.iter().map(|_| Uuid::now_v7()).collect();
    let one = |(at, (what, member, amount, other)): (usize, &Step)| {
        let (name, earlier) = (MEMBERS[*member], ids[other % ids.len()]);
        let (who, amount, partner) = (named(name), points(*amount), Some(PARTNER.to_owned()));
        let key = format!("s{at}");
        let command = match what {
            0 | 1 => {
                let mut request = books.earn(&key, name, amount.get());
                request.items[0].posting_id = ids[at];
                return request;
            }
            2 | 3 => Command::Redeem { member: who, points: amount, partner, up_to: what % 2 == 0 },
            4 => Command::Transfer { from: who, to: named(MEMBERS[(member + 1) % 3]), points: amount },
            5 => Command::Hold { member: who, points: amount, partner, seconds: None },
            6 => Command::Capture { hold: earlier, points: None, keep_rest: false },
            7 => Command::Void { hold: earlier },
            _ => Command::Reverse { posting: earlier, points: None },
        };
        let mut request = books.request("operator:test", &key, command);
        request.items[0].posting_id = ids[at];
        request
    };
    steps.iter().enumerate().map(one).collect()
}

/// All that was posted, entry by entry, without what is random or of the clock.
async fn posted(books: &Fixture) -> Vec<(i64, Uuid, i16, String, i64, i64, i64, i64)> {
    sqlx::query_as(
        "select leaf_index, posting_id, posting.kind, coalesce(external_id, account.kind::text),
             available_change, held_change, available_after, held_after
         from entry
         join posting using (leaf_index)
         join account using (account_id)
         left join member on member.program_id = account.program_id and member.member_id = account.member_id
         where leaf_index >= 3
         order by 1, 4",
    )
    .fetch_all(&books.pool)
    .await
    .unwrap()
}

/// Books in which everyone is enrolled. An enrolment is a step of its own, before the batch of the event that causes it.
async fn books_with_members() -> Fixture {
    let books = Fixture::new().await;
    for name in MEMBERS {
        books.member_with(name, 50).await;
    }
    books
}

async fn check_serial(steps: &[Step]) {
    let books = books_with_members().await;
    let others = [(); 2].map(async |()| Fixture::committer_on(&books.pool, &books.log).await);
    let others = join_all(others).await;
    let committers = [&books.committer, &others[0], &others[1]];
    let requests = requests(&books, steps);
    let asked = requests.iter().enumerate().map(|(at, it)| committers[at % 3].submit(it.clone()));
    let answers = join_all(asked).await;
    let accepted = answers.iter().zip(&requests).filter_map(|(answer, request)| {
        let outcome = answer.as_ref().expect("it is answered").outcome.as_ref().ok()?;
        Some((outcome[0].leaf_index, request))
    });
    let mut accepted: Vec<_> = accepted.collect();
    accepted.sort_by_key(|it| it.0);
    books.check_books().await;

    let serial = books_with_members().await;
    for (leaf_index, request) in accepted {
        let answer = serial.committer.submit(request.clone()).await.unwrap();
        let outcome = answer.outcome.unwrap_or_else(|refused| panic!("leaf {leaf_index}: {refused:?}"));
        assert_eq!(outcome[0].leaf_index, leaf_index);
    }
    let history = posted(&books).await;
    assert_eq!(history, posted(&serial).await);
    let overdrawn = history.iter().find(|it| MEMBERS.contains(&it.3.as_str()) && it.6.min(it.7) < 0);
    assert_eq!(overdrawn, None, "no debt is allowed here");
}

#[test]
fn committers_at_read_committed_come_to_a_serial_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let step = (0_u8..9, 0_usize..3, 1_i64..60, any::<usize>());
    let steps = proptest::collection::vec(step, 60..160);
    // A run that fails may pass the next time: there is nothing to shrink.
    let config = Config { cases: 12, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&steps, |steps| {
            runtime.block_on(check_serial(&steps));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn spends_at_once_never_overdraw() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100).await;
    let others = [(); 3].map(async |()| Fixture::committer_on(&books.pool, &books.log).await);
    let others = join_all(others).await;
    let spends = (0..200).map(|it| others[it % 3].submit(books.redeem(&format!("k{it}"), member, 7)));
    let done = join_all(spends).await.into_iter().filter(|it| it.as_ref().unwrap().outcome.is_ok()).count();
    assert_eq!(done, 100 / 7);
    assert_eq!(books.balance("m").await.unwrap().available, 100 % 7);
    books.check_books().await;
}

/// Two committers are made to know nothing of each other's key until both stand before the log's head: the second one's
/// batch collides, is tried again, finds the first one's outcome, and is counted.
#[tokio::test]
async fn a_collision_is_tried_again_and_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let books = Fixture::new().await;
    let [one, two] = [books.member_with("one", 10).await, books.member_with("two", 10).await];
    let second = Fixture::committer_on(&books.pool, &books.log).await;
    let mut holder = PgConnection::connect(&books.url).await.unwrap();
    sqlx::raw_sql("begin; select * from log_head for update").execute(&mut holder).await.unwrap();
    let both_stand = async {
        wait_for_waiting(&mut holder, 2).await;
        sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    };
    let (first, other, ()) = tokio::join!(
        books.committer.submit(books.redeem("contested", one, 1)),
        second.submit(books.redeem("contested", two, 1)),
        both_stand,
    );
    let posted = [first, other].into_iter().filter(|it| it.as_ref().unwrap().outcome.is_ok()).count();
    assert_eq!(posted, 1);
    let counted = metrics.render();
    assert!(counted.lines().any(|it| it == "daftari_commit_collisions_total 1"), "{counted}");
    books.check_books().await;
}

/// One has inserted its rows ahead and is made to wait. Another one takes the head, and comes upon those rows: the first one
/// gives way at once, instead of each waiting for the other until PostgreSQL finds out.
#[tokio::test]
async fn rows_that_were_inserted_ahead_give_way() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let books = Fixture::new().await;
    let [one, two] = [books.member_with("one", 10).await, books.member_with("two", 10).await];
    // By now it knows itself alone, and the house accounts of a redemption.
    books.committer.submit(books.redeem("first", one, 1)).await.unwrap();
    let second = Fixture::committer_on(&books.pool, &books.log).await;
    let mut holder = PgConnection::connect(&books.url).await.unwrap();
    sqlx::raw_sql(
        "begin;
         create temporary table twin on commit drop as select * from posting where leaf_index = 2;
         update twin set leaf_index = 3, posting_id = gen_random_uuid();
         insert into posting select * from twin",
    )
    .execute(&mut holder)
    .await
    .unwrap();
    let (goes, waits) = tokio::sync::oneshot::channel();
    let one_after_the_other = async {
        wait_for_waiting(&mut holder, 1).await;
        goes.send(()).unwrap();
        wait_for_waiting(&mut holder, 2).await;
        sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    };
    let another = async {
        waits.await.unwrap();
        second.submit(books.redeem("other", two, 1)).await
    };
    let (first, other, ()) =
        tokio::join!(books.committer.submit(books.redeem("ahead", one, 1)), another, one_after_the_other);
    assert!(first.as_ref().unwrap().outcome.is_ok(), "{first:?}");
    assert_eq!(first.unwrap().log_size, 4, "it was decided again, after the other");
    assert_eq!(other.unwrap().log_size, 3);
    let counted = metrics.render();
    assert!(counted.lines().any(|it| it == "daftari_commit_overtaken_total 1"), "{counted}");
    assert!(!counted.contains("daftari_commit_collisions_total"), "{counted}");
    books.check_books().await;
}

/// Many committers in each other's way wait for one another only in one direction.
#[tokio::test(flavor = "multi_thread")]
async fn committers_never_wait_for_each_other_in_a_circle() {
    let books = Fixture::new().await;
    let mut members = vec![];
    for it in 0..40 {
        members.push(books.member_with(&format!("m{it}"), 1000).await);
    }
    let pool = connect(&books.url, 40).await.unwrap();
    let mut committers = vec![];
    for batch in [1, 1, 1, 1, 1, 1, 4, 4, 1000, 1000] {
        let started = Committer::start_with_batches_of(batch, pool.clone(), &books.log, keyring()).await;
        committers.push(started.unwrap().0);
    }
    let callers = (0..60_usize).map(|caller| {
        let (committer, books, members) = (&committers[caller % committers.len()], &books, &members);
        async move {
            for it in 0..25_usize {
                let member = members[(7 * caller + 11 * it) % members.len()];
                let answer = committer.submit(books.redeem(&format!("k-{caller}-{it}"), member, 1)).await;
                assert!(answer.unwrap().outcome.is_ok());
            }
        }
    });
    join_all(callers).await;
    books.check_books().await;
    // A backend tells its figures when it ends.
    drop(committers);
    tokio::join!(pool.close(), books.pool.close());
    let mut conn = PgConnection::connect(&books.url).await.unwrap();
    let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    while 0 < sqlx::query_scalar::<_, i64>(others).fetch_one(&mut conn).await.unwrap() {}
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(&mut conn)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
}

/// Until so many wait for a lock.
pub(super) async fn wait_for_waiting(conn: &mut PgConnection, wanted: i64) {
    let all_wait = async {
        let mut waiting = 0_i64;
        while waiting < wanted {
            let count = sqlx::query_scalar(
                "select count(*)
                 from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'",
            );
            waiting = count.fetch_one(&mut *conn).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_wait).await.expect("somebody does not wait");
}
