//! A database that lacks what the world has seen of the log.

use std::sync::Mutex;

use ledger::MemberRef;
use proof::Hash;

use super::fixture::{Fixture, keyring};
use crate::*;

/// What the world knows, as a test says.
type World = std::sync::Arc<Mutex<Result<Vec<Seen>, String>>>;

async fn guarded(fixture: &Fixture, world: &World) -> Committer {
    let world = world.clone();
    let outside: Outside = std::sync::Arc::new(move |_| {
        let told = world.lock().unwrap().clone();
        Box::pin(async move { told })
    });
    let committer =
        Committer::start_guarded(fixture.pool.clone(), &fixture.log, keyring(), Guard::new(outside));
    committer.await.unwrap().0
}

fn seen(size: u64, root: Hash) -> Seen {
    Seen { who: "the published log".to_owned(), size, root }
}

async fn seal(fixture: &Fixture) -> Hash {
    let BooksReport { leaves, root, .. } = fixture.check_books().await;
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    let checkpoint =
        RecordedCheckpoint { size: leaves, previous_size: 0, root, note: "a signed note".to_owned() };
    let recording = record_checkpoint(conn, &mut Warnings::default(), &checkpoint).await;
    assert_eq!(recording.unwrap(), Recording::Recorded);
    root
}

/// Asks until the committer goes on: whoever watches finds out by and by.
async fn goes_on(fixture: &Fixture, committer: &Committer, key: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match committer.submit(fixture.earn(key, "asha", 5)).await {
            Ok(answer) => return assert!(answer.outcome.is_ok(), "{answer:?}"),
            Err(error) => assert_eq!(error, SubmitError::Halted),
        }
        assert!(std::time::Instant::now() < deadline, "it does not go on: {:?}", committer.guard().halted());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_is_committed_on_a_database_that_lost_what_was_published() {
    let fixture = Fixture::new().await;
    fixture.member_with("asha", 50).await;
    fixture.member_with("juma", 50).await;
    let root = seal(&fixture).await;
    let lost = "shows 9 leaves of the log, and the database holds 2: leaves 2 to 8 are lost";
    let other = "shows a checkpoint of 2 leaves, and the database holds another history of that size";
    let unsigned = "the database never signed one of that size";
    let unread = "the published checkpoint cannot be read (it is away)";
    for (told, problem) in [
        (Ok(vec![seen(9, root)]), lost),
        (Ok(vec![seen(2, root), seen(2, [7; 32])]), other),
        (Ok(vec![seen(1, root)]), unsigned),
        (Err("it is away".to_owned()), unread),
    ] {
        let world = World::new(Mutex::new(told));
        let committer = guarded(&fixture, &world).await;
        let earn = fixture.earn(problem, "asha", 5);
        assert_eq!(committer.submit(earn.clone()).await, Err(SubmitError::Halted));
        let halted = committer.guard().halted().unwrap();
        assert!(halted.contains(problem), "{halted}");
        assert_eq!(log_size(&mut fixture.pool.acquire().await.unwrap()).await.unwrap(), 2, "{problem}");
        // A dry run decides nothing either: its answer might be another's history.
        let asked = ledger::Request { dry_run: true, ..earn };
        assert_eq!(committer.submit(asked).await, Err(SubmitError::Halted));
    }
    // Once the database holds it all, the same committer goes on by itself.
    let world = World::new(Mutex::new(Ok(vec![seen(9, root)])));
    let committer = guarded(&fixture, &world).await;
    assert_eq!(committer.submit(fixture.earn("k", "asha", 5)).await, Err(SubmitError::Halted));
    *world.lock().unwrap() = Ok(vec![seen(2, root)]);
    goes_on(&fixture, &committer, "k").await;
    // And it halts where the world moves on without this database, as when there are two primaries.
    *world.lock().unwrap() = Ok(vec![seen(4, root)]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while committer.guard().halted().is_none() {
        assert!(std::time::Instant::now() < deadline, "nobody looked");
        tokio::task::yield_now().await;
    }
    assert_eq!(committer.submit(fixture.earn("l", "asha", 5)).await, Err(SubmitError::Halted));
    assert_eq!(fixture.check_books().await.leaves, 3);
}

/// A failover may lose an enrolment that was seen before it was safe, and give its number to somebody else.
#[tokio::test]
async fn who_is_who_is_asked_again_after_a_doubt() {
    let fixture = Fixture::new().await;
    for name in ["asha", "juma"] {
        fixture.member_with(name, 50).await;
        fixture.committer.submit(fixture.earn(&format!("more-{name}"), name, 5)).await.unwrap();
    }
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    tamper(
        conn,
        "update log_head set size = size - 1;
         alter table member disable trigger member_keeps_its_names;
         update member set external_id = 'somebody' where external_id = 'asha';
         update member set external_id = 'asha' where external_id = 'juma';
         update member set external_id = 'juma' where external_id = 'somebody'",
    )
    .await
    .unwrap();
    let doubted = fixture.committer.submit(fixture.earn("later", "asha", 5)).await;
    assert_eq!(doubted, Err(SubmitError::Halted));
    tamper(conn, "update log_head set size = size + 1").await.unwrap();
    goes_on(&fixture, &fixture.committer, "later").await;
    let [asha, juma] = [fixture.balance("asha").await, fixture.balance("juma").await];
    assert_eq!((asha.unwrap().available, juma.unwrap().available), (60, 55));
}

#[tokio::test]
async fn a_committer_remembers_what_it_was_told() {
    let fixture = Fixture::new().await;
    fixture.member_with("asha", 50).await;
    fixture.member_with("juma", 50).await;
    let conn = &mut *fixture.pool.acquire().await.unwrap();
    tamper(conn, "update log_head set size = size - 1").await.unwrap();
    let again = fixture.committer.submit(fixture.earn("later", "asha", 5)).await;
    assert_eq!(again, Err(SubmitError::Halted));
    let halted = fixture.committer.guard().halted().unwrap();
    assert!(
        halted.contains(
            "told that 2 leaves of the log are committed, and the database holds 1: leaves 1 to 1 are lost"
        ),
        "{halted}"
    );
    tamper(conn, "update log_head set size = size + 1").await.unwrap();
    goes_on(&fixture, &fixture.committer, "later").await;
    let reader = Reader::new(fixture.pool.clone());
    let asha = reader.balance(fixture.program.program_id, 1, &MemberRef::parse("asha")).await.unwrap();
    assert_eq!(asha.unwrap().available, 55);
}
