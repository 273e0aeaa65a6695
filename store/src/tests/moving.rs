//! Readers whom rows overtake that move: each is told everything, or that it is archived, and never less.

use std::pin::pin;

use ledger::{Command, MemberRef};
use sqlx::Connection;
use uuid::Uuid;

use super::archives::Filed;
use super::erasure::seal;
use super::fixture::{Fixture, keyring};
use super::serial::wait_for_waiting;
use crate::*;

/// The tables at which a reader is held up: what it has asked before is then asked before the move, the rest after it.
const GATES: [&str; 5] = ["posting", "entry", "event", "archive", "archived_posting"];

/// Everything that is read from what may be archived.
const QUESTIONS: [Question; 11] = {
    use Question::*;
    [Feed, FeedOf, Forward, Backward, AsOfSize, Mapped, LiabilityAt, Statement, Story, Opened, Held]
};

#[derive(Clone, Copy, Debug)]
enum Question {
    Feed,
    FeedOf,
    Forward,
    Backward,
    AsOfSize,
    Mapped,
    LiabilityAt,
    Statement,
    Story,
    Opened,
    Held,
}

/// A member who has spent twice, and of whom everything is sealed.
struct Scene {
    books: Fixture,
    member: Uuid,
    account: (i64, Uuid),
    spent: Uuid,
}

impl Scene {
    async fn new() -> Self {
        let books = Fixture::new().await;
        let member = books.member_with("amina", 500).await;
        let spent = books.committer.submit(books.redeem("spend", member, 40)).await.unwrap();
        let spent = spent.outcome.unwrap()[0].posting_id;
        books.committer.submit(books.redeem("again", member, 10)).await.unwrap().outcome.unwrap();
        seal(&books).await;
        let account = sqlx::query_as("select account_id, id from account where member_id = $1")
            .bind(member)
            .fetch_one(&books.pool)
            .await
            .unwrap();
        Self { books, member, account, spent }
    }

    /// The answer; none where it is that something is archived.
    async fn ask(&self, question: Question, conn: &mut PgConnection) -> Option<String> {
        let (program, (account, id), member) =
            (self.books.program.program_id, self.account, MemberRef::Id(self.member));
        let told = match question {
            Question::Feed => feed(conn, program, 0, 100).await.map(|it| format!("{it:?}")),
            Question::FeedOf => feed_of(conn, account, 0, 100).await.map(|it| format!("{it:?}")),
            Question::Forward => {
                history(conn, account, None, Order::Forward, 100).await.map(|it| format!("{it:?}"))
            }
            Question::Backward => {
                history(conn, account, None, Order::Backward, 100).await.map(|it| format!("{it:?}"))
            }
            Question::AsOfSize => {
                balance_as_of(conn, account, AsOf::Size(1)).await.map(|it| format!("{it:?}"))
            }
            Question::Mapped => {
                let mapped = mapped_account(conn, &keyring(), 1, id).await;
                mapped.map(|it| format!("{:?}", it.map(|it| it.value)))
            }
            Question::LiabilityAt => liability(conn, program, Some(1)).await.map(|it| format!("{it:?}")),
            Question::Statement => match statement(conn, account, (0, i64::MAX)).await {
                Ok(mut told) => {
                    let lines = told.next(100).await.unwrap();
                    Ok(format!("{:?} {lines:?} {:?} {}", told.opening, told.closing, told.log_size))
                }
                Err(error) => Err(error),
            },
            Question::Story => story(conn, program, self.spent).await.map(|it| format!("{it:?}")),
            Question::Opened => {
                let (keyring, viewer) = (keyring(), Viewer::Member(self.member));
                let opened =
                    opened_posting(conn, &keyring, &self.books.log, program, self.spent, &viewer).await;
                opened.map(|it| format!("{it:?}"))
            }
            Question::Held => {
                let mut out = Vec::new();
                match everything_held(conn, program, &member, &mut out).await {
                    Ok(_) => Ok(String::from_utf8(out).unwrap()),
                    Err(HeldError::Store(error)) => Err(error),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        match told {
            Ok(told) => Some(told),
            Err(StoreError::Archived { .. }) => None,
            Err(error) => panic!("{question:?}: {error}"),
        }
    }
}

/// What comes of `asking`, and of `moving`, which is done while whoever asks waits at the gate, unless they need not pass there.
async fn overtaken<A, M>(
    books: &Fixture,
    gate: &str,
    asking: impl Future<Output = A>,
    moving: impl AsyncFnOnce(&mut PgConnection) -> M,
) -> (A, M) {
    let mut mover = books.pool.acquire().await.unwrap();
    let mut watcher = books.pool.acquire().await.unwrap();
    begin_moving(&mut mover).await.unwrap();
    let mut transaction = mover.begin().await.unwrap();
    tamper(&mut transaction, &format!("lock table {gate} in access exclusive mode")).await.unwrap();
    let mut asking = pin!(asking);
    let early = tokio::select! {
        answer = &mut asking => Some(answer),
        () = wait_for_waiting(&mut watcher, 1) => None,
    };
    let moved = moving(&mut *transaction).await;
    transaction.commit().await.unwrap();
    end_moving(&mut mover).await.unwrap();
    let answer = match early {
        Some(answer) => answer,
        None => asking.await,
    };
    (answer, moved)
}

#[tokio::test]
async fn whoever_reads_while_rows_move_is_told_everything_or_that_it_is_archived() {
    let scene = Scene::new().await;
    let books = &scene.books;
    for question in QUESTIONS {
        let asking = async || {
            let mut conn = books.pool.acquire().await.unwrap();
            scene.ask(question, &mut conn).await
        };
        let whole = asking().await;
        assert!(whole.is_some(), "{question:?}");
        for gate in GATES {
            let (told, filed) = overtaken(books, gate, asking(), async |mover| {
                let filed = Filed::begin(mover, 3).await;
                filed.gone(mover).await;
                filed
            })
            .await;
            assert!(told.is_none() || told == whole, "{question:?} when {gate} went: {told:?}");
            assert_eq!(asking().await, None, "{question:?}");
            let (told, ()) = overtaken(books, gate, asking(), async |mover| filed.back(mover).await).await;
            assert!(told.is_none() || told == whole, "{question:?} when {gate} came: {told:?}");
            assert_eq!(asking().await, whole, "{question:?}");
        }
    }
    books.check_books().await;
}

/// A request whose posting comes back after it was looked for is answered as if it had never been gone.
#[tokio::test]
async fn what_comes_back_while_it_is_looked_for_is_found() {
    let Scene { books, member, spent, .. } = Scene::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let spend = books.redeem("spend", member, 40);
    let undo = books.request("operator", "undo", Command::Reverse { posting: spent, points: None });
    for (request, replayed) in [(spend, true), (undo, false)] {
        let filed = Filed::begin(&mut conn, 3).await;
        filed.gone(&mut conn).await;
        let asking = books.committer.submit(request);
        let (answer, ()) =
            overtaken(&books, "archived_posting", asking, async |mover| filed.back(mover).await).await;
        let answer = answer.unwrap();
        assert_eq!((answer.replayed, answer.outcome.is_ok()), (replayed, true), "{answer:?}");
    }
    assert_eq!(books.balance("amina").await.unwrap().available, 490);
    books.check_books().await;
}

#[tokio::test]
async fn of_two_who_archive_at_once_only_one_begins() {
    let Scene { books, .. } = Scene::new().await;
    let mut one = books.pool.acquire().await.unwrap();
    let mut other = books.pool.acquire().await.unwrap();
    let mut watcher = books.pool.acquire().await.unwrap();
    let new =
        NewArchive { first_leaf_index: 0, end_leaf_index: 3, postings: 3, digest: [0; 32], file: "0-3" };
    let shorter = NewArchive { end_leaf_index: 2, postings: 2, file: "0-2", ..new.clone() };
    let mut first = one.begin().await.unwrap();
    begin_archive(&mut first, &new).await.unwrap();
    // It waits to learn what becomes of the first: no lock but the record itself keeps them apart.
    let (second, ()) = tokio::join!(begin_archive(&mut other, &shorter), async {
        wait_for_waiting(&mut watcher, 1).await;
        first.commit().await.unwrap();
    });
    let problem = second.unwrap_err().to_string();
    assert!(problem.contains("somebody else has begun this archive"), "{problem}");
    assert_eq!(archives(&mut watcher).await.unwrap().len(), 1);
}
