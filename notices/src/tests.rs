//! On a real PostgreSQL, and for webhooks a real server that receives them.

mod streams;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use ledger::{Command, Event, Item, MemberRef, Points, Request, RuleSet};
use proof::{Details, Text};
use serde_json::Value;
use store::{Committer, Keyring, LogIdentity, PgPool, ProgramSpec};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::*;

const RULE_SET: &[u8] = br#"{"rates":{"purchase":"1"}}"#;
const PATIENCE: Duration = Duration::from_secs(60);

/// Books with two partners, and a hub that runs.
struct World {
    pool: PgPool,
    program_id: i16,
    hub: Arc<Hub>,
    committer: Committer,
    _stop: DropGuard,
}

impl World {
    async fn new() -> Self {
        let server = tokio::task::spawn_blocking(devstack::test_postgres_url).await.unwrap().unwrap();
        let pool = store::connect(&store::test_database(&server).await.unwrap(), 8).await.unwrap();
        let log = LogIdentity { log_id: [3; 32], origin: "daftari.example/notices".to_owned() };
        let mut conn = pool.acquire().await.unwrap();
        store::ensure_log(&mut conn, &log).await.unwrap();
        let spec = ProgramSpec {
            name: "test".to_owned(),
            enrols: true,
            point_value: "0.10".to_owned(),
            currency: "KES".to_owned(),
            rule_set: RULE_SET.to_vec(),
        };
        let keyring = Keyring::new(&[9; 32]);
        let program_id = store::ensure_program(&mut conn, &keyring, &spec).await.unwrap().program_id;
        for partner in ["duka", "kiosk"] {
            store::ensure_partner(&mut conn, &keyring, program_id, partner).await.unwrap();
        }
        drop(conn);
        let committer = Committer::start(pool.clone(), &log, keyring).await.unwrap().0;
        let hub = Hub::new(pool.clone(), program_id);
        let stop = CancellationToken::new();
        tokio::spawn(hub.clone().run(stop.clone()));
        Self { pool, program_id, hub, committer, _stop: stop.drop_guard() }
    }

    async fn submit(&self, command: Command, actor: &str) -> Uuid {
        let details = Details { actor: Text::new(actor).ok(), ..Details::default() };
        let item = Item { posting_id: Uuid::now_v7(), command, details };
        let key = Uuid::new_v4().to_string();
        let request = Request::one(self.program_id, "test".to_owned(), key, item);
        self.committer.submit(request).await.unwrap().outcome.unwrap()[0].posting_id
    }

    async fn earn(&self, member: Uuid, points: i64) -> Uuid {
        let id = Uuid::new_v4();
        let payload = format!(
            r#"{{"user_id":"{member}","type":"purchase","amount":{points},"timestamp":"2026-01-15T10:00:00Z","event_id":"{id}"}}"#
        );
        let event = Event::parse(payload.as_bytes()).unwrap();
        let earning = RuleSet::parse(RULE_SET).unwrap().earn(&event).unwrap();
        self.submit(Command::earn(earning, event, payload.into_bytes()), "app").await
    }

    async fn redeem(&self, member: Uuid, points: i64, partner: &str) -> Uuid {
        let (member, points) = (MemberRef::Id(member), Points::new(points).unwrap());
        let command = Command::Redeem { member, points, partner: Some(partner.to_owned()), up_to: false };
        self.submit(command, &format!("partner:{partner}")).await
    }

    async fn hold(&self, member: Uuid, points: i64, partner: &str) -> Uuid {
        let (member, points) = (MemberRef::Id(member), Points::new(points).unwrap());
        let partner = partner.to_owned();
        let actor = format!("partner:{partner}");
        self.submit(Command::Hold { member, points, partner: Some(partner), seconds: None }, &actor).await
    }

    async fn void(&self, hold: Uuid) -> Uuid {
        self.submit(Command::Void { hold }, "operator").await
    }

    async fn listen(&self, reader: &Reader, seq: Option<u64>) -> Subscription {
        Subscription::begin(self.hub.clone(), reader.clone(), seq).await.unwrap()
    }

    /// Everything that the reader may see, as the feed has it.
    async fn story(&self, reader: &Reader) -> Vec<Value> {
        let mut conn = self.pool.acquire().await.unwrap();
        let (mut story, mut seq) = (Vec::new(), 0);
        loop {
            let page = page(&mut conn, self.program_id, reader, seq, 3).await.unwrap();
            story.extend(page.notices.iter().map(|it| serde_json::from_str(&it.json()).unwrap()));
            seq = page.seq;
            if !page.has_more {
                return story;
            }
        }
    }
}

fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
