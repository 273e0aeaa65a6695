use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use ledger::{Command, Day, MemberRef, Points, Refusal, Refused, Request, Status};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::erasure::dump;
use super::fixture::{Fixture, PARTNER, keyring};
use super::serial::wait_for_waiting;
use crate::batch::{Context, InPostgres};
use crate::directory::Directory;
use crate::stages::{self, Database, Session, Stages};
use crate::*;

fn accepted(answer: &Answer) -> (u64, i64) {
    let items = answer.outcome.as_ref().expect("it was posted");
    (items[0].leaf_index, items[0].after.available)
}

fn refused(answer: &Answer) -> Refusal {
    answer.outcome.as_ref().expect_err("it was refused").refusal
}

fn is_reused(outcome: &Result<Vec<Accepted>, Refused>) -> bool {
    matches!(outcome, Err(Refused { refusal: Refusal::KeyReused { .. }, .. }))
}

#[tokio::test]
async fn a_first_event_enrols_and_its_points_can_be_spent() {
    let books = Fixture::new().await;
    let earned = books.committer.submit(books.earn("e1", "456", 150)).await.unwrap();
    assert_eq!(accepted(&earned), (0, 150));
    let member = books.balance("456").await.unwrap().member_id;
    let redeemed = books.committer.submit(books.redeem("r1", member, 40)).await.unwrap();
    assert_eq!(accepted(&redeemed), (1, 110));
    let too_much = books.committer.submit(books.redeem("r2", member, 111)).await.unwrap();
    let refusal = Refusal::InsufficientBalance { available: 110, required: 111 };
    assert_eq!(refused(&too_much), refusal);
    let balance = books.balance("456").await.unwrap();
    assert_eq!((balance.available, balance.sequence), (110, 2));
    assert_eq!(books.check_books().await.leaves, 2);
}

/// What is answered, but for the accounts: under which name a newcomer's stands in leaves nobody knows before it is opened.
fn without_accounts(answer: Answer) -> (Result<Vec<Accepted>, Refused>, u64) {
    let without = |it: Accepted| Accepted { account: Uuid::nil(), ..it };
    (answer.outcome.map(|items| items.into_iter().map(without).collect()), answer.log_size)
}

#[tokio::test]
async fn a_dry_run_says_of_a_newcomer_what_the_request_then_does() {
    let books = Fixture::new().await;
    let known = books.member_with("known", 100).await;
    let conn = &mut *books.pool.acquire().await.unwrap();
    let named = |name: &str| MemberRef::External(name.to_owned());
    let linked = |mut first: Request, second: Request| {
        first.items.extend(second.items);
        first
    };
    let brings = |key: &str, name: &str, points| {
        let lots = vec![(Day::NEVER, Day::parse("2026-01-05").unwrap(), Points::new(points).unwrap())];
        let command = Command::Import { member: named(name), lots, effective_at_us: None };
        books.request(OPERATOR_SOURCE, key, command)
    };
    let (once, twice) = (brings("linked", "linked", 30), brings("", "linked", 12));
    let three = linked(linked(once, twice), brings("", "known", 5));
    let spends = linked(brings("spends", "spender", 9), books.redeem("", known, 1));
    let to = named("stranger");
    let gives = Command::Transfer { from: MemberRef::Id(known), to, points: Points::new(3).unwrap() };
    for (request, available) in [
        (books.earn("first", "456", 100), Ok(vec![100])),
        (three, Ok(vec![30, 42, 105])),
        (brings("brings", "brought", 70), Ok(vec![70])),
        // Neither of these enrols: the one gives, the other spends too.
        (books.request(OPERATOR_SOURCE, "gives", gives), Err(Refusal::MemberUnknown)),
        (spends, Err(Refusal::MemberUnknown)),
    ] {
        let before = dump(conn).await;
        let trial = Request { dry_run: true, ..request.clone() };
        let told = books.committer.submit(trial).await.unwrap();
        assert_eq!(dump(conn).await, before, "a dry run writes nothing");
        let done = books.committer.submit(request).await.unwrap();
        let found =
            done.outcome.as_ref().map(|it| it.iter().map(|it| it.after.available).collect::<Vec<_>>());
        assert_eq!(found.map_err(|it| it.refusal), available);
        assert_eq!(without_accounts(told), without_accounts(done));
    }
    assert_eq!(books.check_books().await.leaves, 6);
}

/// In one batch with them nobody else knows whom a dry run brings in, and nothing of them is written.
#[tokio::test]
async fn a_newcomer_of_a_dry_run_is_there_for_it_alone() {
    let books = Fixture::new().await;
    let known = books.member_with("known", 100).await;
    let database = database_of(&books).await;
    let (mut session, stages) = (database.session().await.unwrap(), Stages::default());
    let trial = |key, member, points| Request { dry_run: true, ..books.earn(key, member, points) };
    let (to, points) = (MemberRef::External("stranger".to_owned()), Points::new(3).unwrap());
    let gives = Command::Transfer { from: MemberRef::Id(known), to, points };
    let requests = [
        trial("a", "stranger", 10),
        trial("b", "stranger", 20),
        books.request(OPERATOR_SOURCE, "c", gives),
        // Whom another request of the batch enrols is no newcomer to it.
        trial("d", "456", 5),
        books.earn("e", "456", 7),
        trial("f", "456", 9),
    ];
    let Ok(answers) = stages::commit(&mut session, &stages, &requests.each_ref()).await else {
        panic!("the batch is committed");
    };
    let told = |it: &Answer| it.outcome.as_ref().map(|it| it[0].after.available).map_err(|it| it.refusal);
    let told: Vec<Result<i64, Refusal>> = answers.iter().map(told).collect();
    assert_eq!(told, [Ok(10), Ok(20), Err(Refusal::MemberUnknown), Ok(5), Ok(7), Ok(16)]);
    assert_eq!(books.balance("stranger").await, None);
    assert_eq!(books.balance("456").await.unwrap().available, 7);
    assert_eq!(books.check_books().await.leaves, 2);
}

#[tokio::test]
async fn a_first_event_that_a_limit_refuses_enrols_too() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    add_policy(&mut conn, books.program.program_id, br#"{"earn":{"per_posting":10}}"#).await.unwrap();
    let answer = books.committer.submit(books.earn("e1", "456", 50)).await.unwrap();
    let refusal = Refusal::LimitExceeded { limit: ledger::Limit::PerPosting, left: 10, required: 50 };
    assert_eq!(refused(&answer), refusal);
    let balance = books.balance("456").await.unwrap();
    assert_eq!((balance.available, balance.sequence), (0, 0));
    assert_eq!(accepted(&books.committer.submit(books.earn("e2", "456", 10)).await.unwrap()), (0, 10));
    assert_eq!(books.check_books().await.leaves, 1);
}

#[tokio::test]
async fn a_uuid_names_the_member_itself() {
    let books = Fixture::new().await;
    let id = "550e8400-e29b-41d4-a716-446655440000";
    books.committer.submit(books.earn("e1", id, 5)).await.unwrap();
    assert_eq!(books.balance(id).await.unwrap().member_id.to_string(), id);
}

#[tokio::test]
async fn the_same_key_at_the_same_moment_is_one_posting_with_one_answer() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 1000).await;
    let second = Fixture::committer_on(&books.pool, &books.log).await;
    let tries = (0..50).map(|it| {
        let committer = if it % 2 == 0 { &books.committer } else { &second };
        committer.submit(books.redeem("same", member, 10))
    });
    let answers: Vec<Answer> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|it| !it.replayed).count(), 1);
    assert!(answers.iter().all(|it| it.outcome == answers[0].outcome), "every caller has the same answer");
    assert_eq!(books.balance("m").await.unwrap().available, 990);
    books.check_books().await;
}

#[tokio::test]
async fn a_key_used_for_another_request_is_refused_and_nothing_moves() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 1000).await;
    books.committer.submit(books.redeem("k", member, 10)).await.unwrap();
    let other = books.committer.submit(books.redeem("k", member, 11)).await.unwrap();
    let Refusal::KeyReused { differs } = refused(&other) else { panic!("{other:?}") };
    assert_eq!(differs.to_string(), "points");
    // Also for another member at the same moment, from two committers: the locks do not meet, the key does.
    let rival = books.member_with("rival", 1000).await;
    let second = Fixture::committer_on(&books.pool, &books.log).await;
    for round in 0..20 {
        let key = format!("contested-{round}");
        let (one, two) = tokio::join!(
            books.committer.submit(books.redeem(&key, member, 1)),
            second.submit(books.redeem(&key, rival, 1)),
        );
        let outcomes = [one.unwrap().outcome, two.unwrap().outcome];
        let posted = outcomes.iter().filter(|it| it.is_ok()).count();
        let reused = outcomes.iter().filter(|it| is_reused(it)).count();
        assert_eq!((posted, reused), (1, 1), "round {round}: {outcomes:?}");
    }
    books.check_books().await;
}

/// What to do about it is to ask with the version that was seen, and the version is no part of what is asked under a key.
#[tokio::test]
async fn a_version_that_was_out_of_date_is_not_remembered() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 5).await;
    let asks = |version| Request { expected_version: Some(version), ..books.redeem("k", member, 2) };
    let first = books.committer.submit(asks(7)).await.unwrap();
    assert_eq!(refused(&first), Refusal::VersionMismatch { version: 1 });
    let again = books.committer.submit(asks(1)).await.unwrap();
    assert_eq!((accepted(&again), again.replayed), ((1, 3), false));
    let replay = books.committer.submit(asks(7)).await.unwrap();
    assert_eq!((accepted(&replay), replay.replayed), ((1, 3), true));
}

#[tokio::test]
async fn a_refusal_is_remembered_with_its_amounts() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 5).await;
    let refusal = Refusal::InsufficientBalance { available: 5, required: 6 };
    let first = books.committer.submit(books.redeem("k", member, 6)).await.unwrap();
    books.committer.submit(books.earn("more", "m", 100)).await.unwrap();
    let again = books.committer.submit(books.redeem("k", member, 6)).await.unwrap();
    assert_eq!((refused(&first), first.replayed), (refusal, false));
    assert_eq!((refused(&again), again.replayed), (refusal, true));
    let stranger = books.committer.submit(books.redeem("s", Uuid::new_v4(), 6)).await.unwrap();
    assert_eq!(refused(&stranger), Refusal::MemberUnknown);
}

/// An earning of somebody unknown is decided anew, as it may be had once they are enrolled. A spend is not.
/// However many keys come again together, their postings are read at once: whoever asks holds their members' locks.
#[tokio::test]
async fn keys_that_come_again_together_are_read_together() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 1000).await;
    let mut asked = Vec::new();
    for number in 1..=20 {
        let points = if number % 5 == 0 { 5000 } else { number };
        let mut request = books.redeem(&format!("k{number}"), member, points);
        if number % 3 == 0 {
            request.items.extend(books.redeem("another item", member, 1).items);
        }
        let key = outcomes::key(&request);
        asked.push((key, books.committer.submit(request).await.unwrap().outcome));
    }
    let keys: Vec<_> = asked.iter().map(|it| it.0.clone()).collect();
    let mut conn = PgConnection::connect(&books.url).await.unwrap();
    let known = outcomes::remembered(&mut conn, &keyring().pepper(), &keys, |_| false).await.unwrap();
    for (key, outcome) in &asked {
        assert_eq!(known[key].outcome, *outcome, "{key:?}");
    }
    let looks: i64 = sqlx::query_scalar(
        "select generic_plans + custom_plans
         from pg_prepared_statements
         where statement like 'select posting.posting_id, posting.leaf_index, %'",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(looks, 1);
}

#[tokio::test]
async fn an_earning_of_a_stranger_is_not_remembered_as_refused() {
    let books = Fixture::new().await;
    let conn = &mut *books.pool.acquire().await.unwrap();
    add_policy(conn, books.program.program_id, br#"{"strangers":"refuse"}"#).await.unwrap();
    let member = Uuid::new_v4();
    let earn = || books.committer.submit(books.earn("k", &member.to_string(), 5));
    for answer in [earn().await.unwrap(), earn().await.unwrap()] {
        assert_eq!((refused(&answer), answer.replayed), (Refusal::MemberUnknown, false));
    }
    let spend = || books.committer.submit(books.redeem("s", member, 1));
    spend().await.unwrap();
    let names = [MemberRef::Id(member)];
    enrol_members(conn, &keyring(), books.program.program_id, 1, &names).await.unwrap();
    let earned = earn().await.unwrap();
    assert!(earned.outcome.is_ok() && !earned.replayed, "{earned:?}");
    assert!(earn().await.unwrap().replayed);
    let again = spend().await.unwrap();
    assert_eq!((refused(&again), again.replayed), (Refusal::MemberUnknown, true));
    books.check_books().await;
}

/// A committer learns of what was settled after it began before it is asked about it: here of a hold with a partner whom
/// it does not know.
#[tokio::test]
async fn what_was_decided_ahead_is_decided_again_where_another_was_first() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 1000).await;
    let second = Fixture::committer_on(&books.pool, &books.log).await;
    let mut next = 1;
    for round in 0..3 {
        // By the third posting in a row a committer is sure to be alone, and decides ahead.
        for (name, committer) in [("first", &books.committer), ("second", &second)] {
            for posting in 0..4 {
                let key = format!("{name}-{round}-{posting}");
                let answer = committer.submit(books.redeem(&key, member, 1)).await.unwrap();
                assert_eq!(accepted(&answer), (next, 1000 - next as i64));
                next += 1;
            }
        }
    }
    assert_eq!(books.check_books().await.leaves, next);
}

#[tokio::test]
async fn what_was_decided_ahead_is_decided_again_where_the_program_has_changed() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 1000).await;
    for posting in 0..4 {
        books.committer.submit(books.redeem(&posting.to_string(), member, 1)).await.unwrap();
    }
    let mut conn = books.pool.acquire().await.unwrap();
    add_policy(&mut conn, books.program.program_id, br#"{"redeem":{"per_posting":5}}"#).await.unwrap();
    let answer = books.committer.submit(books.redeem("six", member, 6)).await.unwrap();
    let left = Refusal::LimitExceeded { limit: ledger::Limit::PerPosting, left: 5, required: 6 };
    assert_eq!(refused(&answer), left);
}

#[tokio::test]
async fn a_hold_for_a_partner_who_came_later_is_no_damage() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100).await;
    let program = books.program.program_id;
    ensure_partner(&mut books.pool.acquire().await.unwrap(), &keyring(), program, "late").await.unwrap();
    let second = Fixture::committer_on(&books.pool, &books.log).await;
    let (name, points) = (MemberRef::Id(member), Points::new(10).unwrap());
    let hold = Command::Hold { member: name, points, partner: Some("late".to_owned()), seconds: None };
    accepted(&second.submit(books.request("operator", "h", hold)).await.unwrap());
    let redeemed = books.committer.submit(books.redeem("r", member, 5)).await.unwrap();
    assert_eq!(accepted(&redeemed).1, 85);
    books.check_books().await;
}

/// A request is about one unit, and so about one of a member's accounts.
#[tokio::test]
async fn who_is_suspended_or_merged_in_a_unit_takes_part_in_the_others() {
    let books = Fixture::new().await;
    let conn = &mut *books.pool.acquire().await.unwrap();
    ensure_unit(conn, &keyring(), books.program.program_id, 2).await.unwrap();
    let [asha, juma, baraka] = ["asha", "juma", "baraka"].map(|it| MemberRef::External(it.to_owned()));
    for name in ["asha", "juma", "baraka"] {
        for unit in [1, 2] {
            let earning = Request { unit, ..books.earn(&format!("{name}-{unit}"), name, 5) };
            assert!(books.committer.submit(earning).await.unwrap().outcome.is_ok());
        }
    }
    let ask = async |unit: u16, command: Command| {
        let request = books.request(OPERATOR_SOURCE, &Uuid::new_v4().to_string(), command);
        let answer = books.committer.submit(Request { unit, ..request }).await.unwrap();
        answer.outcome.map(|it| it[0].after.available).map_err(|it| it.refusal)
    };
    let spend = |member: &MemberRef| Command::Redeem {
        member: member.clone(),
        points: Points::new(1).unwrap(),
        partner: None,
        up_to: false,
    };
    let suspend = || Command::SetStatus { member: asha.clone(), status: Status::Suspended };
    ask(1, suspend()).await.unwrap();
    assert_eq!(ask(1, spend(&asha)).await, Err(Refusal::MemberSuspended));
    assert_eq!(ask(2, spend(&asha)).await, Ok(4));
    ask(2, suspend()).await.unwrap();
    assert_eq!(ask(2, spend(&asha)).await, Err(Refusal::MemberSuspended));

    assert_eq!(ask(1, Command::Merge { from: juma.clone(), to: baraka.clone() }).await, Ok(10));
    assert_eq!(ask(1, spend(&juma)).await, Err(Refusal::MemberClosed));
    assert_eq!(ask(2, spend(&juma)).await, Ok(4));
    assert_eq!(ask(2, Command::Merge { from: juma.clone(), to: baraka }).await, Ok(9));
    assert_eq!(ask(2, spend(&juma)).await, Err(Refusal::MemberClosed));
    books.check_books().await;
}

#[tokio::test]
async fn a_stranger_to_the_partners_is_refused() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 5).await;
    let mut request = books.redeem("k", member, 1);
    if let Command::Redeem { partner, .. } = &mut request.items[0].command {
        *partner = Some(format!("not {PARTNER}"));
    }
    let answer = books.committer.submit(request).await.unwrap();
    assert_eq!(refused(&answer), Refusal::PartnerUnknown);
}

#[derive(Clone, Debug)]
enum Step {
    Earn { member: usize, points: i64, key: u8 },
    Redeem { member: usize, points: i64, key: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (any::<bool>(), 0_usize..4, 1_i64..100, any::<u8>()).prop_map(|(earns, member, points, key)| {
            if earns { Step::Earn { member, points, key } } else { Step::Redeem { member, points, key } }
        });
    prop::collection::vec(step, 1..60)
}

/// Random requests with repeated keys, from two committers at once. Replayed in leaf order, the accepted ones give the
/// books exactly, nobody was ever overdrawn, and every request has the answer of its key.
#[test]
fn any_interleaving_is_a_history_in_leaf_order() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let books = runtime.block_on(Fixture::new());
    let second = runtime.block_on(Fixture::committer_on(&books.pool, &books.log));
    let rounds = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    runner
        .run(&steps(), |steps| {
            rounds.set(rounds.get() + 1);
            runtime.block_on(check_history(&books, &second, rounds.get(), steps));
            Ok(())
        })
        .unwrap();
    runtime.block_on(books.check_books());
}

async fn check_history(books: &Fixture, second: &Committer, round: u32, steps: Vec<Step>) {
    let name = |member: usize| format!("{round}-{member}");
    let mut ids = Vec::new();
    for member in 0..4 {
        ids.push(books.member_with(&name(member), 100).await);
    }
    let requests: Vec<Request> = steps
        .iter()
        .map(|step| match *step {
            Step::Earn { member, points, key } => {
                books.earn(&format!("{round}-e-{key}"), &name(member), points)
            }
            Step::Redeem { member, points, key } => {
                books.redeem(&format!("{round}-r-{key}"), ids[member], points)
            }
        })
        .collect();
    let answers = join_all(requests.iter().enumerate().map(|(at, request)| {
        let committer = if at % 2 == 0 { &books.committer } else { second };
        committer.submit(request.clone())
    }))
    .await;

    let mut by_key: HashMap<(String, String), Result<Vec<Accepted>, Refused>> = HashMap::new();
    let mut posted = Vec::new();
    for (at, answer) in answers.into_iter().enumerate() {
        let answer = answer.unwrap();
        if is_reused(&answer.outcome) {
            continue;
        }
        let key = (requests[at].source.clone(), requests[at].key.clone());
        let first = by_key.entry(key).or_insert_with(|| answer.outcome.clone());
        assert_eq!(*first, answer.outcome, "one key has one answer");
        if !answer.replayed && answer.outcome.is_ok() {
            let (leaf_index, available) = accepted(&answer);
            posted.push((leaf_index, at, available));
        }
    }
    posted.sort_unstable();
    let mut model = [100_i64; 4];
    for (leaf_index, at, available) in posted {
        let (member, change) = match steps[at] {
            Step::Earn { member, points, .. } => (member, points),
            Step::Redeem { member, points, .. } => (member, -points),
        };
        model[member] += change;
        assert!(0 <= model[member], "leaf {leaf_index} overdraws");
        assert_eq!(model[member], available, "leaf {leaf_index} answered another balance");
    }
    for (member, expected) in model.into_iter().enumerate() {
        assert_eq!(books.balance(&name(member)).await.unwrap().available, expected);
    }
}

/// Connections are ended by the server at any moment, also between a commit and its answer. Whoever is told that it is
/// not known asks again with the same key, and in the end each request stands exactly once.
#[tokio::test]
async fn asking_again_after_a_lost_connection_gives_the_truth() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100_000).await;
    let name = books.url.rsplit('/').next().unwrap().to_owned();
    let mut admin = PgConnection::connect(&devstack::test_postgres_url().unwrap()).await.unwrap();
    let mut unknown = 0;
    for round in 0..30 {
        let requests: Vec<Request> =
            (0..40).map(|it| books.redeem(&format!("{round}-{it}"), member, 1)).collect();
        let submits = join_all(requests.iter().map(|it| books.committer.submit(it.clone())));
        let kill = sqlx::query(AssertSqlSafe(format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'",
            name.split('?').next().unwrap()
        )))
        .execute(&mut admin);
        let (answers, killed) = tokio::join!(submits, kill);
        killed.unwrap();
        for (request, answer) in requests.iter().zip(answers) {
            let mut answer = answer;
            while answer.is_err() {
                assert_eq!(answer, Err(SubmitError::Unknown));
                unknown += 1;
                answer = books.committer.submit(request.clone()).await;
            }
            accepted(&answer.unwrap());
        }
    }
    assert_ne!(unknown, 0, "no connection was lost: the test shows nothing");
    assert_eq!(books.balance("m").await.unwrap().available, 100_000 - 30 * 40);
    assert_eq!(books.check_books().await.leaves, 1 + 30 * 40);
}

#[tokio::test]
async fn a_request_that_the_database_refuses_stands_alone() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100).await;
    // A text with a zero byte is one that PostgreSQL cannot store.
    let poisoned = books.redeem("with \0 zero", member, 1);
    let sound = (0..20).map(|it| books.redeem(&format!("k{it}"), member, 1));
    let requests: Vec<Request> = sound.chain([poisoned]).collect();
    let answers = join_all(requests.into_iter().map(|it| books.committer.submit(it))).await;
    let failed: Vec<_> = answers.iter().filter(|it| it.is_err()).collect();
    assert_eq!(failed, [&Err(SubmitError::Failed)]);
    assert_eq!(books.balance("m").await.unwrap().available, 80);
    books.check_books().await;
}

#[tokio::test]
async fn a_server_that_would_lose_postings_is_refused() {
    let books = Fixture::new().await;
    let name = books.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let statement = format!("alter database {name} set synchronous_commit = off");
    sqlx::query(AssertSqlSafe(statement)).execute(&books.pool).await.unwrap();
    let error = connect(&books.url, 1).await.unwrap_err();
    assert!(matches!(error, StoreError::NotDurable { setting: "synchronous_commit", .. }), "{error}");
}

#[tokio::test]
async fn a_log_begun_with_another_key_is_refused() {
    let books = Fixture::new().await;
    let other = LogIdentity { log_id: [6; 32], ..books.log.clone() };
    let error = ensure_log(&mut books.pool.acquire().await.unwrap(), &other).await.unwrap_err();
    assert!(error.to_string().contains("begun with another key"), "{error}");
}

#[tokio::test]
async fn an_event_that_is_not_posted_enrols_nobody() {
    let books = Fixture::new().await;
    let mut early = books.earn("early", "ghost", 5);
    if let Command::Earn { event, .. } = &mut early.items[0].command {
        event.timestamp_us = i64::MAX / 2;
    }
    let answer = books.committer.submit(early).await.unwrap();
    assert_eq!(refused(&answer), Refusal::InFuture);
    assert_eq!(books.balance("ghost").await, None);
    books.committer.submit(books.earn("taken", "m", 5)).await.unwrap();
    let answer = books.committer.submit(books.earn("taken", "another", 5)).await.unwrap();
    assert!(is_reused(&answer.outcome));
    assert_eq!(books.balance("another").await, None);
}

/// Whatever happens while a program is made, either all of it is there or none.
#[tokio::test]
async fn a_program_is_made_whole_or_not_at_all() {
    let books = Fixture::new().await;
    let mut conn = books.pool.acquire().await.unwrap();
    let spec = ProgramSpec {
        name: "second".to_owned(),
        enrols: true,
        point_value: "1".to_owned(),
        currency: "KES".to_owned(),
        rule_set: br#"{"rates":{}}"#.to_vec(),
    };
    let fail =
        "create function no_accounts() returns trigger language plpgsql as $$ begin raise 'cut'; end $$;
                create trigger no_accounts before insert on account execute function no_accounts()";
    tamper(&mut conn, fail).await.unwrap();
    assert!(ensure_program(&mut conn, &keyring(), &spec).await.is_err());
    assert!(ensure_partner(&mut conn, &keyring(), books.program.program_id, "late").await.is_err());
    tamper(&mut conn, "drop trigger no_accounts on account").await.unwrap();
    let second = ensure_program(&mut conn, &keyring(), &spec).await.unwrap();
    ensure_partner(&mut conn, &keyring(), second.program_id, "late").await.unwrap();
    rule_sets(&mut conn, second.program_id).await.unwrap();
    let accounts: i64 = sqlx::query_scalar("select count(*) from account where program_id = $1")
        .bind(second.program_id)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(accounts, 5);
    drop(conn);

    // A committer that began before the program learns of it; of one that does not exist it says so, without harm to
    // the others.
    let member = books.member_with("m", 10).await;
    let of = |program, key| Request { program, ..books.redeem(key, member, 1) };
    let [sound, late, strange] = join_all(
        [of(books.program.program_id, "k"), of(second.program_id, "s"), of(77, "x")]
            .map(|it| books.committer.submit(it)),
    )
    .await
    .try_into()
    .unwrap();
    accepted(&sound.unwrap());
    assert_eq!(refused(&late.unwrap()), Refusal::MemberUnknown, "a member of another program");
    assert_eq!(strange, Err(SubmitError::Failed));
}

/// What the database has no time or room for just now is not halved, and not called a fault of the request.
#[tokio::test]
async fn a_lock_that_is_not_to_be_had_is_no_fault_of_the_requests() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100).await;
    let mut holder = PgConnection::connect(&books.url).await.unwrap();
    sqlx::raw_sql("begin; select * from log_head for update").execute(&mut holder).await.unwrap();
    // The committer's next connection gives up after a moment instead of ten seconds.
    let hurried = format!("{}&options=-c%20lock_timeout%3D50ms", books.url);
    let pool = sqlx::PgPool::connect(&hurried).await.unwrap();
    let committer = Fixture::committer_on(&pool, &books.log).await;
    let tries = (0..8).map(|it| committer.submit(books.redeem(&format!("k{it}"), member, 1)));
    for answer in join_all(tries).await {
        assert_eq!(answer, Err(SubmitError::Unknown));
    }
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    for it in 0..8 {
        accepted(&committer.submit(books.redeem(&format!("k{it}"), member, 1)).await.unwrap());
    }
    assert_eq!(books.balance("m").await.unwrap().available, 92);
}

/// Whoever has the log's head and says nothing more holds up every commit: the server ends it, by the limit that each connection
/// of ours has.
#[tokio::test]
async fn a_silent_holder_of_the_head_is_ended() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100).await;
    let pool = connect(&books.url, 1).await.unwrap();
    let mut holder = pool.acquire().await.unwrap();
    sqlx::raw_sql("begin").execute(&mut *holder).await.unwrap();
    log_head::lock(&mut holder, &books.log.log_id).await.unwrap();
    let asked = async {
        loop {
            match books.committer.submit(books.redeem("k", member, 1)).await {
                Err(SubmitError::Busy | SubmitError::Unknown) => {}
                answer => break answer.unwrap(),
            }
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(60), asked);
    let mut watcher = PgConnection::connect(&books.url).await.unwrap();
    let (answer, ()) = tokio::join!(asked, wait_for_waiting(&mut watcher, 1));
    assert_eq!(accepted(&answer.expect("nobody ends who holds the head")), (1, 99));
    let ended = sqlx::query("select 1").execute(&mut *holder).await;
    assert!(ended.is_err(), "it goes on: {ended:?}");
    books.check_books().await;
}

/// Where a committer of these books commits.
async fn database_of(books: &Fixture) -> InPostgres {
    let conn = &mut *books.pool.acquire().await.unwrap();
    let context = Context {
        log_id: books.log.log_id,
        keyring: keyring(),
        directory: Directory::read(conn, &keyring()).await.unwrap(),
        guard: Guard::default(),
        warnings: Mutex::default(),
    };
    context.guard.check(conn).await.unwrap();
    InPostgres { pool: books.pool.clone(), context: Arc::new(context) }
}

/// One that PostgreSQL never answered is given up in the end, and then nothing is decided from where it would have left the log.
#[tokio::test]
async fn what_was_cut_off_is_no_ground_for_the_next() {
    let books = Fixture::new().await;
    let member = books.member_with("m", 100).await;
    let database = database_of(&books).await;
    let stages = Stages::default();
    let mut session = database.session().await.unwrap();
    // By the second posting in a row it is sure to be alone, and decides the third ahead.
    for key in ["first", "second"] {
        let request = books.redeem(key, member, 1);
        assert!(stages::commit(&mut session, &stages, &[&request]).await.is_ok());
    }
    assert!(stages.tip.is_alone());
    let mut holder = PgConnection::connect(&books.url).await.unwrap();
    sqlx::raw_sql("begin; lock table posting in share mode").execute(&mut holder).await.unwrap();
    let mut watcher = PgConnection::connect(&books.url).await.unwrap();
    let request = books.redeem("cut off", member, 1);
    let requests = [&request];
    tokio::select! {
        _ = stages::commit(&mut session, &stages, &requests) => panic!("it waits to write its postings"),
        () = wait_for_waiting(&mut watcher, 1) => {}
    }
    assert!(!stages.tip.is_alone(), "its tip is forgotten");
    session.abandon();
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    let mut session = database.session().await.unwrap();
    let request = books.redeem("next", member, 1);
    assert!(stages::commit(&mut session, &stages, &[&request]).await.is_ok());
    assert_eq!(books.balance("m").await.unwrap().available, 97);
}
