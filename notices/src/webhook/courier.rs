//! Brings messages to endpoints: one after the other to each, and to many at once. It looks through the log for what is to
//! be told, takes an endpoint that is due for a while, and writes down each attempt before the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Attempt, Endpoint, Lease, Message, PgPool, StoreError, Then};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::course::{self, SCHEDULE, Said};
use super::message::{Letter, Test};
use super::post::Post;
use crate::notice::{Notice, Reader};

/// So many endpoints are delivered to at once by one process.
const AT_ONCE: usize = 16;
/// So many messages go to an endpoint before others have their turn, if it takes them in this time.
const TURN: usize = 50;
const TURN_TIME: Duration = Duration::from_secs(10);
/// How long to wait where nothing is to be done, or the database does not answer.
const GAP: Duration = Duration::from_millis(250);
/// How long to wait once all old messages are forgotten, and how many are at once.
const FORGET_GAP: Duration = Duration::from_secs(60);
const FORGET_MAX: i64 = 1000;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The waits before each attempt at a message.
    pub schedule: &'static [Duration],
    /// For how long an endpoint is taken. An attempt takes less; and when a process is killed, so long its endpoints wait.
    pub lease: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { schedule: &SCHEDULE, lease: Duration::from_secs(30) }
    }
}

/// Delivers the webhooks of a program. Several may, in one process or in many.
pub struct Courier {
    pool: PgPool,
    program_id: i16,
    post: Arc<Post>,
    pace: Pace,
}

impl Courier {
    /// A courier of this program.
    pub fn new(pool: PgPool, program_id: i16, post: Arc<Post>, pace: Pace) -> Self {
        Self { pool, program_id, post, pace }
    }

    /// Delivers until it is stopped; what is being sent then is sent.
    pub async fn run(self, stop: CancellationToken) {
        let courier = Arc::new(self);
        let queueing = tokio::spawn(courier.clone().keep_queueing(stop.clone()));
        let forgetting = tokio::spawn(courier.clone().keep_forgetting(stop.clone()));
        let (places, mut turns) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        while let Some(place) = stop.run_until_cancelled(places.clone().acquire_owned()).await {
            let place = place.expect("nobody closes the places");
            match courier.lease().await {
                Ok(Some(lease)) => {
                    turns.spawn(courier.clone().turn(lease, place, stop.clone()));
                    while turns.try_join_next().is_some() {}
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no endpoint could be looked for"),
            }
            drop(place);
            if stop.run_until_cancelled(tokio::time::sleep(GAP)).await.is_none() {
                break;
            }
        }
        while turns.join_next().await.is_some() {}
        let _ = tokio::join!(queueing, forgetting);
    }

    /// Looks through the log for what is to be told.
    async fn keep_queueing(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let more = self.queue().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "webhook messages could not be queued");
                false
            });
            if !more {
                stop.run_until_cancelled(tokio::time::sleep(GAP)).await;
            }
        }
    }

    /// Forgets what is old, however much there is to queue.
    async fn keep_forgetting(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let more = self.forget().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "old webhook messages could not be forgotten");
                false
            });
            if !more {
                stop.run_until_cancelled(tokio::time::sleep(FORGET_GAP)).await;
            }
        }
    }

    async fn queue(&self) -> Result<bool, StoreError> {
        let mut conn = self.pool.acquire().await?;
        store::queue_messages(&mut conn, self.program_id, |posting, endpoint| {
            let notice = Notice::of(posting, &reader(endpoint))?;
            endpoint.wants(notice.r#type).then_some(notice.r#type)
        })
        .await
    }

    /// Says whether there may be more.
    async fn forget(&self) -> Result<bool, StoreError> {
        let forgotten = store::forget_messages(&mut *self.pool.acquire().await?, FORGET_MAX).await?;
        Ok(forgotten == FORGET_MAX as u64)
    }

    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        store::lease_endpoint(&mut conn, self.program_id, self.pace.lease).await
    }

    /// Brings an endpoint its next messages. Where this fails, the lease ends by itself and somebody goes on.
    async fn turn(self: Arc<Self>, mut lease: Lease, _place: OwnedSemaphorePermit, stop: CancellationToken) {
        let begun = Instant::now();
        for _ in 0..TURN {
            match self.bring(&mut lease).await {
                Ok(true) if !stop.is_cancelled() && begun.elapsed() < TURN_TIME => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, endpoint = %lease.endpoint_id, "a webhook message could not be sent");
                    break;
                }
            }
        }
        let released = async { store::release_endpoint(&mut *self.pool.acquire().await?, &lease).await };
        if let Err(error) = released.await {
            tracing::warn!(%error, "an endpoint could not be given back");
        }
    }

    /// Sends the next message; says whether to go on.
    async fn bring(&self, lease: &mut Lease) -> Result<bool, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let due = store::next_message(&mut conn, self.program_id, lease).await?;
        let Some((endpoint, message)) = due else { return Ok(false) };
        let body = self.body(&mut conn, &endpoint, &message).await?;
        // Nothing of the database is held while the endpoint takes its time.
        drop(conn);
        let begun = Instant::now();
        let said = match body {
            Some(body) => self.post.send(&endpoint, message.message_id, body).await?,
            None => Said::Nothing("the posting is not told to this endpoint any more".to_owned()),
        };
        let attempt = self.attempt(lease, &said, begun.elapsed());
        observe(&attempt);
        let delivered = attempt.then == Then::Delivered;
        let mut conn = self.pool.acquire().await?;
        let is_ours = store::record_attempt(&mut conn, lease, message.number, &attempt).await?;
        Ok(is_ours && (delivered || attempt.then == Then::GiveUp))
    }

    fn attempt(&self, lease: &Lease, said: &Said, took: Duration) -> Attempt {
        let failing = Duration::from_secs_f64(lease.failing_s.max(0.0));
        let then = course::next(self.pace.schedule, lease.failed as usize, failing, said);
        let (status, problem) = match said {
            Said::Status(status @ 200..=299, _) => (Some(*status), None),
            Said::Status(status, _) => (Some(*status), Some(format!("it answered {status}"))),
            Said::Nothing(problem) => (None, Some(problem.clone())),
        };
        Attempt { status, problem, took, then }
    }

    /// What the message says, from the books: the same at each attempt, since postings do not change.
    async fn body(
        &self,
        conn: &mut store::PgConnection,
        endpoint: &Endpoint,
        message: &Message,
    ) -> Result<Option<String>, StoreError> {
        let Some(leaf_index) = message.leaf_index else {
            let test = Test { endpoint_id: endpoint.endpoint_id };
            return Ok(Some(Letter::new(&message.r#type, message.created_at_us, test).body()));
        };
        let page = match store::feed(conn, self.program_id, leaf_index as u64, 1).await {
            // It waited for longer than postings are kept here.
            Err(StoreError::Archived { .. }) => return Ok(None),
            page => page?,
        };
        let posting = page.postings.first().filter(|it| it.leaf_index == leaf_index as u64);
        let notice = posting.and_then(|it| Some((it, Notice::of(it, &reader(endpoint))?)));
        let message =
            notice.map(|(posting, it)| Letter::new(it.r#type, posting.recorded_at_us, &it.data).body());
        Ok(message)
    }
}

/// Who an endpoint's owner is.
fn reader(endpoint: &Endpoint) -> Reader {
    endpoint.partner_id.clone().map_or(Reader::Operator, Reader::Partner)
}

fn observe(attempt: &Attempt) {
    let result = match attempt.then {
        Then::Delivered => "delivered",
        Then::Again(_) => "failed",
        Then::GiveUp => "given_up",
        Then::Disable(_) => "disabled",
    };
    metrics::counter!("daftari_webhook_attempts_total", "result" => result).increment(1);
    metrics::histogram!("daftari_webhook_seconds").record(attempt.took.as_secs_f64());
}
