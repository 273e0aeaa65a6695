use futures::{StreamExt, stream};
use ledger::{Command, Day, Event, Maturity, MemberRef, Points, Refusal, RuleSet, Status};
use proof::Text;
use uuid::Uuid;

use super::fixture::{Fixture, PARTNER, explain};
use crate::*;

const DAY_US: i64 = 86_400_000_000;

fn points(points: i64) -> Points {
    Points::new(points).unwrap()
}

fn member(name: &str) -> MemberRef {
    MemberRef::parse(name)
}

impl Fixture {
    /// The local date so many days from now, by the database's clock.
    async fn day(&self, ahead: i32) -> Day {
        let today: i32 =
            sqlx::query_scalar("select floor(extract(epoch from clock_timestamp()) / 86400)::integer")
                .fetch_one(&self.pool)
                .await
                .unwrap();
        Day::new(today + ahead).unwrap()
    }

    /// From here on it is so many days later: recorded time never goes back.
    async fn days_pass(&self, days: i64) {
        sqlx::query(
            "update log_head
             set recorded_at = greatest(recorded_at, (extract(epoch from clock_timestamp()) * 1000000)::bigint) + $1",
        )
        .bind(days * DAY_US)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    async fn post(&self, key: &str, command: Command) -> Answer {
        let mut request = self.request("operator", key, command);
        request.items[0].details.actor = Some(Text::new("ops").unwrap());
        self.committer.submit(request).await.unwrap()
    }

    async fn posted(&self, key: &str, command: Command) -> Uuid {
        self.post(key, command).await.outcome.expect("it was posted")[0].posting_id
    }

    /// Points that end so many days from now.
    async fn import(&self, name: &str, amount: i64, ahead: i32) {
        let lots = vec![(self.day(ahead).await, self.day(0).await, points(amount))];
        let command = Command::Import { member: member(name), lots, effective_at_us: None };
        self.posted(&format!("import-{name}-{ahead}"), command).await;
    }

    /// Ten points each that end tomorrow. A connection is waited for in turn, by no more than get one in time.
    async fn import_many(&self, members: usize) {
        let import = async |number| self.import(&format!("m{number}"), 10, 1).await;
        stream::iter(0..members).for_each_concurrent(100, import).await;
    }

    async fn hold(&self, name: &str, amount: i64, seconds: u32) -> Uuid {
        let partner = Some(PARTNER.to_owned());
        let command =
            Command::Hold { member: member(name), points: points(amount), partner, seconds: Some(seconds) };
        self.posted(&format!("hold-{name}-{seconds}"), command).await
    }

    fn sweep(&self) -> Sweep {
        Sweep::new(self.pool.clone(), self.committer.clone(), Pace::Full)
    }

    async fn expiries(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from posting where kind = 4");
        count.fetch_one(&self.pool).await.unwrap()
    }
}

/// What came of a request, without what differs from one database to the next.
fn told(answer: &Answer) -> Result<Vec<(i64, proof::Balances, u64)>, Refusal> {
    let items = answer.outcome.as_ref().map_err(|it| it.refusal)?;
    Ok(items.iter().map(|it| (it.points, it.after, it.version)).collect())
}

/// A little of everything that falls due, in a life that goes on afterwards.
async fn live(books: &Fixture, swept: bool) -> Vec<Result<Vec<(i64, proof::Balances, u64)>, Refusal>> {
    books.import("expired", 100, 1).await;
    books.import("expired", 7, 20).await;
    books.import("held", 50, 1).await;
    books.import("lapsed", 60, 1).await;
    books.import("both", 30, 1).await;
    books.import("both", 30, 9).await;
    let kept = books.hold("held", 40, 20 * 86_400).await;
    let lapsed = books.hold("lapsed", 60, 60).await;
    books.hold("both", 45, 86_400).await;
    let now_us: i64 =
        sqlx::query_scalar("select recorded_at from log_head").fetch_one(&books.pool).await.unwrap();
    let payload =
        br#"{"event_id":"pending","user_id":"pending","type":"purchase","amount":80,"timestamp":"2026-01-15T10:00:00Z"}"#;
    let event = Event::parse(payload).unwrap();
    let earning = RuleSet::parse(br#"{"rates":{"purchase":"1"}}"#).unwrap().earn(&event).unwrap();
    let mut earn = Command::earn(earning, event, payload.to_vec());
    if let Command::Earn { maturity, .. } = &mut earn {
        *maturity = Maturity::At(now_us + DAY_US);
    }
    books.posted("pending", earn).await;

    books.days_pass(3).await;
    if swept {
        let swept = books.sweep().pass().await.unwrap();
        assert_eq!((swept.accounts, swept.postings), (5, 7), "two of them had two things due");
        assert_eq!(books.sweep().pass().await.unwrap(), Swept::default(), "and that was all");
    }
    let redeem = |name, amount| {
        let partner = Some(PARTNER.to_owned());
        Command::Redeem { member: member(name), points: points(amount), partner, up_to: false }
    };
    let capture = |hold| Command::Capture { hold, points: None, keep_rest: false };
    let commands = [
        redeem("expired", 8),
        redeem("expired", 7),
        capture(kept),
        redeem("held", 1),
        capture(lapsed),
        redeem("both", 31),
        redeem("both", 30),
        redeem("pending", 80),
        Command::SetStatus { member: member("lapsed"), status: Status::Closed },
    ];
    let mut answers = Vec::new();
    for (at, command) in commands.into_iter().enumerate() {
        answers.push(told(&books.post(&format!("after-{at}"), command).await));
    }
    books.check_books().await;
    answers
}

#[tokio::test]
async fn swept_or_not_the_answers_are_the_same() {
    let (swept, not) = (Fixture::new().await, Fixture::new().await);
    let answers = live(&swept, true).await;
    assert_eq!(answers, live(&not, false).await);
    let lacking = |available, required| Err(Refusal::InsufficientBalance { available, required });
    assert_eq!(answers[0], lacking(7, 8));
    assert!(answers[2].is_ok(), "points that ended while they were held are captured: {:?}", answers[2]);
    assert_eq!(answers[4], Err(Refusal::HoldOver), "a late capture is refused, swept or not");
    assert_eq!(answers[5], lacking(30, 31));
    assert!(answers[6].is_ok() && answers[7].is_ok());
}

#[tokio::test]
async fn what_is_held_is_never_swept() {
    let books = Fixture::new().await;
    books.import("m", 100, 1).await;
    let hold = books.hold("m", 60, 20 * 86_400).await;
    books.days_pass(5).await;
    let swept = books.sweep().pass().await.unwrap();
    assert_eq!(swept, Swept { accounts: 1, postings: 1 }, "what was not held");
    assert_eq!(books.sweep().pass().await.unwrap(), Swept::default());
    let balance = books.balance("m").await.unwrap();
    assert_eq!((balance.available, balance.held), (0, 60));
    let part = Command::Capture { hold, points: Some(points(10)), keep_rest: true };
    assert!(books.post("capture", part).await.outcome.is_ok());
    assert!(books.post("void", Command::Void { hold }).await.outcome.is_ok());
    let balance = books.balance("m").await.unwrap();
    assert_eq!((balance.available, balance.held), (0, 0), "given back after its day it expires at once");
    assert_eq!(books.sweep().pass().await.unwrap(), Swept::default());
    books.check_books().await;
}

#[tokio::test]
async fn two_sweeps_at_once_post_each_expiry_once() {
    let books = Fixture::new().await;
    books.import_many(1200).await;
    books.days_pass(2).await;
    let second = Fixture::committer_on(&books.pool, &books.log).await;
    let mut one = books.sweep();
    let mut two = Sweep::new(books.pool.clone(), second, Pace::Gentle);
    let (one, two) = tokio::join!(one.pass(), two.pass());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.accounts + two.accounts, one.postings + two.postings), (1200, 1200));
    assert_eq!(books.expiries().await, 1200);
    assert_eq!(books.check_books().await.leaves, 2400);
}

/// Also right after an import, when the planner knows nothing of the tables yet.
#[tokio::test]
async fn what_is_due_is_found_without_looking_at_all_accounts() {
    let books = Fixture::new().await;
    books.import_many(1000).await;
    let conn = &mut *books.pool.acquire().await.unwrap();
    let plan = explain(sweep::EXPIRED_LOTS)
        .bind(vec![books.program.program_id])
        .bind(vec![books.day(3).await.number()])
        .bind(books.day(3).await.number())
        .bind(500_i64)
        .fetch_all(conn)
        .await
        .unwrap()
        .join("\n");
    assert!(
        plan.contains("lot_by_last_day") && plan.contains("Index Cond: (account_id = lot.account_id)"),
        "{plan}"
    );
}

/// A sweep is cut off: its task between two waits, its connections at the server. The next one does the rest, and nothing
/// twice.
#[tokio::test]
async fn a_sweep_that_is_cut_off_is_begun_again() {
    let books = Fixture::new().await;
    books.import_many(2500).await;
    books.days_pass(2).await;
    let begun = |size: u64| {
        let pool = books.pool.clone();
        async move {
            while log_size(&mut pool.acquire().await.unwrap()).await.unwrap() <= size {
                tokio::task::yield_now().await;
            }
        }
    };
    let mut cut = books.sweep();
    tokio::select! {
        swept = cut.pass() => panic!("it was not cut off: {swept:?}"),
        () = begun(2500) => {}
    }
    assert!(books.expiries().await < 2500, "the first pages only");
    let mut cut = books.sweep();
    let size = 2500 + books.expiries().await as u64;
    let name = books.url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let kill = async {
        begun(size).await;
        let ended = sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
        );
        ended.bind(name).execute(&books.pool).await.unwrap();
    };
    // It ends with an error, or had found its way past the lost connections: the next one finds what is left.
    let _ = tokio::join!(cut.pass(), kill);
    // With connections of its own: the pool may still lend one that was ended.
    let pool = connect(&books.url, 4).await.unwrap();
    let committer = Fixture::committer_on(&pool, &books.log).await;
    Sweep::new(pool.clone(), committer, Pace::Full).pass().await.unwrap();
    let books = Fixture { pool, ..books };
    assert_eq!(books.expiries().await, 2500);
    assert_eq!(books.check_books().await.leaves, 5000);
}

#[tokio::test]
async fn a_refusal_is_remembered_for_thirty_days_and_what_was_accepted_for_ever() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 10).await;
    let accepted = books.committer.submit(books.redeem("yes", member, 4)).await.unwrap();
    assert!(books.committer.submit(books.redeem("no", member, 7)).await.unwrap().outcome.is_err());
    books.committer.submit(books.earn("more", "m", 5)).await.unwrap();
    for (days, replayed) in [(29, true), (2, false)] {
        books.days_pass(days).await;
        books.sweep().pass().await.unwrap();
        let again = books.committer.submit(books.redeem("no", member, 7)).await.unwrap();
        assert_eq!((again.outcome.is_err(), again.replayed), (replayed, replayed), "{days} days later");
    }
    let again = books.committer.submit(books.redeem("yes", member, 4)).await.unwrap();
    assert_eq!((again.outcome, again.replayed), (accepted.outcome, true));
    books.check_books().await;
}

/// However many there are whose time is not over.
#[tokio::test]
async fn refusals_to_be_forgotten_are_found_without_a_look_at_the_others() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    sqlx::query(
        "insert into outcome (program_id, source, key, fingerprint, refusal, points, available, recorded_at)
         select $1, 'test', number::text, decode(repeat('00', 32), 'hex'), 1, 0, 0, $2 + number
         from generate_series(1, 20000) as number",
    )
    .bind(books.program.program_id)
    .bind(clock_us(&mut conn).await.unwrap())
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze outcome").execute(&mut *conn).await.unwrap();
    let plan = explain(outcomes::FORGET_REFUSALS)
        .bind(clock_us(&mut conn).await.unwrap() - 30 * DAY_US)
        .bind(500_i64)
        .fetch_all(&mut *conn)
        .await
        .unwrap()
        .join("\n");
    assert!(plan.contains("outcome_refused") && plan.contains("Index Cond: (recorded_at <"), "{plan}");
}

#[tokio::test]
async fn idle_members_are_swept_when_their_time_is_over() {
    let books = Fixture::new().await;
    // Recorded time is ahead of the clock from here on, so no day ends but where one is said to.
    books.days_pass(1).await;
    let conn = &mut *books.pool.acquire().await.unwrap();
    let policy = br#"{"expiry":{"inactivity":{"days":10}}}"#;
    add_policy(conn, books.program.program_id, policy).await.unwrap();
    books.member_with("idle", 100).await;
    books.member_with("busy", 100).await;
    let mut sweep = books.sweep();
    books.days_pass(10).await;
    assert_eq!(sweep.pass().await.unwrap(), Swept::default(), "the last day counts whole");
    books.member_with("busy2", 1).await;
    let busy = books.balance("busy").await.unwrap().member_id;
    assert!(books.committer.submit(books.redeem("r", busy, 1)).await.unwrap().outcome.is_ok());
    books.days_pass(1).await;
    assert_eq!(sweep.pass().await.unwrap(), Swept { accounts: 1, postings: 1 });
    assert_eq!(books.balance("idle").await.unwrap().available, 0);
    assert_eq!(books.balance("busy").await.unwrap().available, 99);
    // A shorter time counts at once, though the day has been looked at.
    add_policy(conn, books.program.program_id, br#"{"expiry":{"inactivity":{"days":0,"months":0}}}"#)
        .await
        .unwrap_err();
    books.days_pass(5).await;
    assert_eq!(sweep.pass().await.unwrap(), Swept::default());
    let shorter = br#"{"expiry":{"inactivity":{"days":3}}}"#;
    let terms = ledger::Terms::parse(shorter).unwrap();
    let loss = idle_loss(conn, books.program.program_id, &terms).await.unwrap();
    assert_eq!(loss, IdleLoss { accounts: 2, points: 100 });
    add_policy(conn, books.program.program_id, shorter).await.unwrap();
    assert_eq!(sweep.pass().await.unwrap(), Swept { accounts: 2, postings: 2 });
    books.check_books().await;
}

#[tokio::test]
async fn what_a_house_has_in_lots_keeps_nobody_from_being_swept() {
    let books = Fixture::new().await;
    books.import("m", 10, 1).await;
    books.import("n", 10, 9).await;
    books.hold("n", 10, 60).await;
    // More than a page of each, that ended before the members'.
    for planted in [
        "insert into lot
         select account_id, 0, earned_day, 0, 1, 0, 0
         from account, generate_series(1, 600) as earned_day
         where kind = 2",
        "insert into reservation
         select gen_random_uuid(), account.account_id, 1, house_id, 1, 1, parts
         from reservation, account, generate_series(1, 600)
         where account.kind = 2",
    ] {
        sqlx::query(planted).execute(&books.pool).await.unwrap();
    }
    books.days_pass(3).await;
    assert_eq!(books.sweep().pass().await.unwrap(), Swept { accounts: 2, postings: 2 });
    let found = check_books(&mut books.pool.acquire().await.unwrap()).await.unwrap_err().to_string();
    assert!(found.contains("it has a lot and is no member's"), "{found}");
}

#[tokio::test]
async fn a_settlement_is_remembered_under_no_key() {
    let books = Fixture::new().await;
    books.import("m", 10, 1).await;
    books.days_pass(2).await;
    books.sweep().pass().await.unwrap();
    let kept: i64 = sqlx::query_scalar("select count(*) from outcome where source = 'sweep'")
        .fetch_one(&books.pool)
        .await
        .unwrap();
    assert_eq!(kept, 0);
    let stranger = Command::Settle { account: Uuid::new_v4() };
    let answer = books.post("stranger", stranger).await;
    assert_eq!(told(&answer), Err(Refusal::MemberUnknown), "and the committer lives on");
    books.check_books().await;
}
