//! Callers who remember what they were told: each asks again with the same key until there is an answer, as the API
//! asks its callers to, wherever the service is by then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ground::{API_KEY, PARTNER, PATIENCE};
use crate::load::{Client, Random, credential, grant, member, written};

/// How many members there are; every fourth request is about the first of them, so that batches meet.
pub(super) const MEMBERS: u32 = 40;
/// One request in so many is sent twice at the same moment.
const TWIN_ONE_IN: u64 = 10;
/// Before a caller asks again who was told to, or whom nobody answered.
const PAUSE: Duration = Duration::from_millis(20);

/// Where the service is, and how many times it has been put there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) life: u32,
    pub(super) address: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Earn,
    Redeem,
}

/// What is asked for under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) key: Uuid,
    pub(super) wish: Wish,
    pub(super) member: u32,
    pub(super) points: i64,
}

/// What the caller was told, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted { transaction_id: Uuid, leaf_index: u64, points: i64, balance: i64 },
    Refused { code: String },
}

/// A request and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) asked: Asked,
    pub(super) answer: Answer,
    /// Whether the service said that it had done so before.
    pub(super) replayed: bool,
    /// How it was left without an answer before.
    pub(super) left: Vec<Left>,
}

/// How a request was left without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It was told that it is not known, or not now.
    Unknown,
    /// This life of the service said nothing.
    Silent(u32),
}

/// Callers at work.
pub(super) struct Callers {
    tasks: Vec<JoinHandle<anyhow::Result<Vec<Told>>>>,
    stop: CancellationToken,
    answered: watch::Receiver<u64>,
}

impl Callers {
    /// Starts so many callers; they follow the service to wherever it is.
    pub(super) fn start(count: u32, seed: u64, place: &watch::Receiver<Place>) -> Self {
        let stop = CancellationToken::new();
        let (count_answer, answered) = watch::channel(0);
        let count_answer = Arc::new(count_answer);
        let tasks = (0..u64::from(count)).map(|number| {
            let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
            let [one, two] = [0, 1].map(|_| Caller::new(place.clone()));
            let work = work(random, [one, two], Arc::clone(&count_answer), stop.clone());
            tokio::spawn(work)
        });
        Self { tasks: tasks.collect(), stop, answered }
    }

    /// Waits until so many more requests are answered.
    pub(super) async fn answers(&mut self, more: u64) -> anyhow::Result<()> {
        // Callers end by themselves only with an error, which is told when they are waited for.
        let goal = *self.answered.borrow() + more;
        let answered = tokio::time::timeout(PATIENCE, self.answered.wait_for(|it| goal <= *it)).await;
        answered.map(|_| ()).with_context(|| format!("no {more} answers within {PATIENCE:?}"))
    }

    /// Lets everybody have the answer to their last request; gives all that was told.
    pub(super) async fn finish(self) -> anyhow::Result<Vec<Told>> {
        self.stop.cancel();
        let mut told = Vec::new();
        for task in self.tasks {
            told.extend(task.await.context("a caller panicked")??);
        }
        Ok(told)
    }
}

/// Gives every member something to spend, which enrols them; gives what was told.
pub(super) async fn endow(place: &watch::Receiver<Place>, seed: u64) -> anyhow::Result<Vec<Told>> {
    let mut random = Random(seed ^ u64::from(MEMBERS));
    let mut caller = Caller::new(place.clone());
    let mut told = Vec::new();
    for member in 0..MEMBERS {
        let key = Uuid::from_u64_pair(random.next(), random.next());
        told.push(caller.ask(Asked { key, wish: Wish::Earn, member, points: 1000 }).await?);
    }
    Ok(told)
}

async fn work(
    mut random: Random,
    mut callers: [Caller; 2],
    answered: Arc<watch::Sender<u64>>,
    stop: CancellationToken,
) -> anyhow::Result<Vec<Told>> {
    let mut told = Vec::new();
    while !stop.is_cancelled() {
        let asked = wish(&mut random);
        let [one, two] = &mut callers;
        if random.next().is_multiple_of(TWIN_ONE_IN) {
            told.extend(try_join_all([one.ask(asked), two.ask(asked)]).await?);
        } else {
            told.push(one.ask(asked).await?);
        }
        answered.send_modify(|it| *it += 1);
    }
    Ok(told)
}

/// Earns are larger than redeems, so that most redeems have enough and some do not.
fn wish(random: &mut Random) -> Asked {
    let key = Uuid::from_u64_pair(random.next(), random.next());
    let number = if random.next().is_multiple_of(4) { 0 } else { random.next() % u64::from(MEMBERS) };
    let (wish, points_max) =
        if random.next().is_multiple_of(4) { (Wish::Earn, 150) } else { (Wish::Redeem, 50) };
    Asked { key, wish, member: number as u32, points: (1 + random.next() % points_max) as i64 }
}

/// One caller with one connection.
pub(super) struct Caller {
    place: watch::Receiver<Place>,
    connection: Option<(u32, Client)>,
}

impl Caller {
    pub(super) fn new(place: watch::Receiver<Place>) -> Self {
        Self { place, connection: None }
    }

    /// Asks until there is an answer.
    pub(super) async fn ask(&mut self, asked: Asked) -> anyhow::Result<Told> {
        let asking = self.ask_patiently(asked);
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| bail!("{asked:?} has no answer"))
    }

    async fn ask_patiently(&mut self, asked: Asked) -> anyhow::Result<Told> {
        let request = asked.to_http();
        let mut left = Vec::new();
        loop {
            let (life, client) = self.connection().await;
            match client.ask(request.as_bytes()).await {
                Ok(200) => {
                    let (answer, replayed) = accepted(asked.wish, client)?;
                    return Ok(Told { asked, answer, replayed, left });
                }
                Ok(409) => {
                    let code = client.body()?["error"].as_str().context("a refusal has a code")?.to_owned();
                    let replayed = client.has_header("idempotent-replayed: true");
                    return Ok(Told { asked, answer: Answer::Refused { code }, replayed, left });
                }
                Ok(503) => {
                    left.push(Left::Unknown);
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(status) => bail!("{asked:?} was answered {status}: {}", client.body()?),
                Err(_) => {
                    left.push(Left::Silent(life));
                    self.connection = None;
                }
            }
        }
    }

    /// What the member has now.
    pub(super) async fn balance(&mut self, number: u32) -> anyhow::Result<i64> {
        let (_, client) = self.connection().await;
        let path = format!("/loyalty/v1/partner/users/{}/balance", member(number));
        let request = written(&format!("GET {path}"), &credential(API_KEY, PARTNER), "");
        match client.ask(request.as_bytes()).await? {
            200 => client.body()?["balance"].as_i64().context("a balance is a number"),
            status => bail!("the balance was answered {status}: {}", client.body()?),
        }
    }

    /// The connection that there is, or a new one to where the service is now.
    async fn connection(&mut self) -> (u32, &mut Client) {
        while self.connection.is_none() {
            let place = *self.place.borrow_and_update();
            if let Some(address) = place.address
                && let Ok(client) = Client::connect(address).await
            {
                self.connection = Some((place.life, client));
                break;
            }
            let _ = tokio::time::timeout(PAUSE, self.place.changed()).await;
        }
        let (life, client) = self.connection.as_mut().expect("it was made above");
        (*life, client)
    }
}

impl Asked {
    fn to_http(self) -> String {
        let Self { key, wish, member: number, points } = self;
        let member = member(number);
        let (path, body) = match wish {
            Wish::Earn => ("/api/v1/events".to_owned(), grant(member, points, key)),
            Wish::Redeem => (
                format!("/loyalty/v1/partner/users/{member}/redeem"),
                format!(r#"{{"points":{points},"merchant_reference":"bench"}}"#),
            ),
        };
        let headers = credential(API_KEY, PARTNER) + &format!("X-Idempotency-Key: {key}\r\n");
        written(&format!("POST {path}"), &headers, &body)
    }
}

fn accepted(wish: Wish, client: &Client) -> anyhow::Result<(Answer, bool)> {
    let body = client.body()?;
    let (points, balance) = match wish {
        Wish::Earn => ("points", "balance"),
        Wish::Redeem => ("points_redeemed", "new_balance"),
    };
    let read = || {
        Some(Answer::Accepted {
            transaction_id: body["transaction_id"].as_str()?.parse().ok()?,
            leaf_index: body["leaf_index"].as_u64()?,
            points: body[points].as_i64()?,
            balance: body[balance].as_i64()?,
        })
    };
    let answer = read().with_context(|| format!("an answer that is not one: {body}"))?;
    let replayed = match wish {
        Wish::Earn => body["replayed"] == Value::Bool(true),
        Wish::Redeem => client.has_header("idempotent-replayed: true"),
    };
    Ok((answer, replayed))
}
