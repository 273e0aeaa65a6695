//! What a connection asks for, and how it is written.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::client::{Client, credential, written};
use super::{Random, grant, member};
use crate::config::Load;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// A redemption of one point by the partner contract.
    Redeem,
    /// An event that earns one point.
    Earn,
    /// A hold of one point.
    Hold,
    /// A member's balance.
    Balance,
    /// A balance that the caller knows already.
    NotModified,
    /// A member's transactions.
    Transactions,
    /// A member's lots.
    Lots,
    /// Whether a redemption would be allowed.
    Eligibility,
    /// What has happened lately.
    Feed,
    /// Nothing: whether the process answers.
    Ping,
}

/// A connection that asks for things by turns, about members drawn at random.
pub(super) struct Asker {
    config: Load,
    client: Client,
    random: Random,
    turn: usize,
    /// The member about whom it knows something, and the tag of what it knows.
    known: (Uuid, Option<String>),
}

impl Asker {
    pub(super) async fn connect(config: &Load, number: u32) -> anyhow::Result<Self> {
        let mut random = Random(Random(config.seed).next() ^ u64::from(number) << 32);
        let known = (someone(config, &mut random), None);
        let client = Client::connect(config.target).await?;
        Ok(Self { config: config.clone(), client, random, turn: number as usize, known })
    }

    /// Asks for what comes next; gives the status of the answer.
    pub(super) async fn ask(&mut self) -> anyhow::Result<(Ask, u16)> {
        self.turn += 1;
        let ask = self.config.ask[self.turn % self.config.ask.len()];
        let request = self.request(ask);
        let status = self.client.ask(request.as_bytes()).await?;
        if ask == Ask::NotModified && status == 200 {
            self.known.1 = self.client.header("etag");
        }
        Ok((ask, status))
    }

    /// The body of the last answer.
    pub(super) fn said(&self) -> String {
        self.client.body().map_or_else(|error| error.to_string(), |it| it.to_string())
    }

    fn request(&mut self, ask: Ask) -> String {
        let who = someone(&self.config, &mut self.random);
        let key = Uuid::from_u64_pair(self.random.next(), self.random.next());
        let about =
            |path: &str, who: Uuid| (format!("GET {path}"), format!("X-User-ID: {who}\r\n"), String::new());
        let (line, header, body) = match ask {
            Ask::Redeem => (
                format!("POST /loyalty/v1/partner/users/{who}/redeem"),
                format!("X-Idempotency-Key: {key}\r\n"),
                format!(r#"{{"points":1,"merchant_reference":"{}"}}"#, self.random.next() % 1_000_000),
            ),
            Ask::Earn => ("POST /api/v1/events".to_owned(), String::new(), grant(who, 1, key)),
            Ask::Hold => (
                "POST /api/v1/loyalty/holds".to_owned(),
                format!("Idempotency-Key: {key}\r\n"),
                format!(r#"{{"user_id":"{who}","points":1}}"#),
            ),
            Ask::Balance => about("/api/v1/loyalty/balance", who),
            Ask::NotModified => {
                let (who, tag) = &self.known;
                let (line, header, body) = about("/api/v1/loyalty/balance", *who);
                let known = tag.as_ref().map(|it| format!("If-None-Match: {it}\r\n"));
                (line, header + &known.unwrap_or_default(), body)
            }
            Ask::Transactions => about("/api/v1/loyalty/transactions", who),
            Ask::Lots => about("/api/v1/loyalty/lots", who),
            Ask::Eligibility => about(&format!("/api/v1/loyalty/eligibility?points=1&user_id={who}"), who),
            Ask::Feed => about("/api/v1/feed?limit=10", who),
            Ask::Ping => ("GET /health/live".to_owned(), String::new(), String::new()),
        };
        let who_asks = match ask {
            Ask::Ping => String::new(),
            _ => credential(&self.config.api_key.0, &self.config.partner),
        };
        written(&line, &format!("{who_asks}{header}"), &body)
    }
}

fn someone(config: &Load, random: &mut Random) -> Uuid {
    member((random.next() % u64::from(config.members)) as u32)
}
