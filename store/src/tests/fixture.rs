use ledger::{Command, Event, MemberRef, Outcome, Points, Request};
use proof::Details;
use sqlx::PgPool;
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
        let url = test_database(&server).await.unwrap();
        let pool = connect(&url, 8).await.unwrap();
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
        Self { url, pool, committer, program, log }
    }

    pub(super) async fn committer_on(pool: &PgPool, log: &LogIdentity) -> Committer {
        Committer::start(pool.clone(), log, keyring()).await.unwrap().0
    }

    pub(super) fn earn(&self, key: &str, member: &str, points: i64) -> Request {
        let payload = format!(
            r#"{{"user_id":"{member}","type":"purchase","amount":{points},"timestamp":"2026-01-15T10:00:00Z","event_id":"{key}"}}"#
        );
        Request {
            program: self.program.program_id,
            source: "event:test".to_owned(),
            key: key.to_owned(),
            posting_id: Uuid::now_v7(),
            command: Command::Earn {
                points: Points::new(points).unwrap(),
                rule_set_hash: proof::rule_set_hash(RULE_SET),
                event: Event::parse(payload.as_bytes()).unwrap(),
                payload: payload.into_bytes(),
            },
            details: Details::default(),
        }
    }

    pub(super) fn redeem(&self, key: &str, member: Uuid, points: i64) -> Request {
        Request {
            program: self.program.program_id,
            source: "credential:test".to_owned(),
            key: key.to_owned(),
            posting_id: Uuid::now_v7(),
            command: Command::Redeem {
                member,
                points: Points::new(points).unwrap(),
                partner: PARTNER.to_owned(),
            },
            details: Details::default(),
        }
    }

    /// A member who has this much.
    pub(super) async fn member_with(&self, name: &str, points: i64) -> Uuid {
        let answer = self.committer.submit(self.earn(&format!("fund-{name}"), name, points)).await.unwrap();
        assert!(matches!(answer.outcome, Outcome::Accepted { .. }), "{answer:?}");
        self.balance(name).await.unwrap().member_id
    }

    pub(super) async fn balance(&self, name: &str) -> Option<MemberBalance> {
        let mut conn = self.pool.acquire().await.unwrap();
        member_balance(&mut conn, self.program.program_id, &MemberRef::parse(name)).await.unwrap()
    }

    pub(super) async fn check_books(&self) -> BooksReport {
        check_books_opened(&mut self.pool.acquire().await.unwrap(), &keyring()).await.unwrap()
    }
}
