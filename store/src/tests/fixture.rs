use ledger::{Command, Event, Item, MemberRef, Points, Request, RuleSet};
use proof::Details;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;
use sqlx::{AssertSqlSafe, PgPool, Postgres};
use uuid::Uuid;

use crate::*;

pub(super) const PARTNER: &str = "duka";
const RULE_SET: &[u8] = br#"{"rates":{"purchase":"1"}}"#;
const WRAPPING_KEY: [u8; 32] = [9; 32];

/// One program on an empty database of its own, with a committer.
pub(super) struct Fixture {
    pub(super) url: String,
    pub(super) pool: PgPool,
    pub(super) committer: Committer,
    pub(super) program: Program,
    pub(super) log: LogIdentity,
}

pub(super) fn keyring() -> Keyring {
    Keyring::new(&WRAPPING_KEY)
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let server = devstack::test_postgres_url().unwrap();
        Self::on(&test_database(&server).await.unwrap()).await
    }

    /// On this database, which is empty.
    pub(super) async fn on(url: &str) -> Self {
        let pool = connect(url, 8).await.unwrap();
        let log = LogIdentity { log_id: [5; 32], origin: "daftari.example/test".to_owned() };
        let mut conn = pool.acquire().await.unwrap();
        ensure_log(&mut conn, &log).await.unwrap();
        let spec = ProgramSpec {
            name: "test".to_owned(),
            enrols: true,
            point_value: "0.10".to_owned(),
            currency: "KES".to_owned(),
            rule_set: RULE_SET.to_vec(),
        };
        let program = ensure_program(&mut conn, &keyring(), &spec).await.unwrap();
        ensure_partner(&mut conn, &keyring(), program.program_id, PARTNER).await.unwrap();
        drop(conn);
        let committer = Self::committer_on(&pool, &log).await;
        Self { url: url.to_owned(), pool, committer, program, log }
    }

    pub(super) async fn committer_on(pool: &PgPool, log: &LogIdentity) -> Committer {
        Committer::start(pool.clone(), log, keyring()).await.unwrap().0
    }

    pub(super) fn earn(&self, key: &str, member: &str, points: i64) -> Request {
        self.earn_by(RULE_SET, key, member, points)
    }

    /// What a purchase of this amount earns by these rules.
    pub(super) fn earn_by(&self, rules: &[u8], key: &str, member: &str, amount: i64) -> Request {
        let payload = format!(
            r#"{{"user_id":"{member}","type":"purchase","amount":{amount},"timestamp":"2026-01-15T10:00:00Z","event_id":"{key}"}}"#
        );
        let event = Event::parse(payload.as_bytes()).unwrap();
        let earning = RuleSet::parse(rules).unwrap().earn(&event).unwrap();
        self.request("event:events", key, Command::earn(earning, event, payload.into_bytes()))
    }

    pub(super) fn redeem(&self, key: &str, member: Uuid, points: i64) -> Request {
        let (member, points) = (MemberRef::Id(member), Points::new(points).unwrap());
        let command = Command::Redeem { member, points, partner: Some(PARTNER.to_owned()), up_to: false };
        self.request("credential:test", key, command)
    }

    pub(super) fn request(&self, source: &str, key: &str, command: Command) -> Request {
        let item = Item { posting_id: Uuid::now_v7(), command, details: Details::default() };
        Request::one(self.program.program_id, source.to_owned(), key.to_owned(), item)
    }

    /// A member who has this much.
    pub(super) async fn member_with(&self, name: &str, points: i64) -> Uuid {
        let answer = self.committer.submit(self.earn(&format!("fund-{name}"), name, points)).await.unwrap();
        assert!(answer.outcome.is_ok(), "{answer:?}");
        self.balance(name).await.unwrap().member_id
    }

    pub(super) async fn balance(&self, name: &str) -> Option<MemberBalance> {
        let reader = Reader::new(self.pool.clone());
        reader.balance(self.program.program_id, 1, &MemberRef::parse(name)).await.unwrap()
    }

    pub(super) async fn check_books(&self) -> BooksReport {
        check_books_opened(&mut self.pool.acquire().await.unwrap(), &keyring()).await.unwrap()
    }
}

/// How the planner answers a statement, line by line, once it has what the statement takes.
pub(super) fn explain(statement: &str) -> QueryScalar<'static, Postgres, String, PgArguments> {
    sqlx::query_scalar(AssertSqlSafe(format!("explain {statement}")))
}
