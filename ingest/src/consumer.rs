//! The Kafka consumer: many events in flight, so that they commit together; those of one key one after the other, and offsets in
//! the order of the topic.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::intake::Intake;

/// How long an event that has no verdict waits before it is tried again: at first, and at most.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How many keys are remembered before those are dropped that nothing in flight has.
const KEYS_MAX: usize = 4096;
/// The header of a record that names its event in the log.
pub const REQUEST_ID: &str = "x-request-id";

/// What to read, and as whom.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group: its members share the partitions.
    pub group: String,
    /// How many events may be on their way to a verdict at once.
    pub in_flight_max: usize,
}

impl ConsumerConfig {
    /// The usual topic and group.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic: crate::EVENTS_TOPIC.into(),
            group: "daftari".into(),
            in_flight_max: 1000,
        }
    }
}

/// Why there is nothing to consume.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The client cannot go on.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The topic cannot be made.
    #[error("Kafka: the topic could not be made: {0}")]
    Topic(String),
}

/// Consumes until told to stop; then finishes what is in flight, commits its offsets and leaves the group.
pub async fn consume(
    intake: Intake,
    config: &ConsumerConfig,
    stop: CancellationToken,
) -> Result<(), ConsumerError> {
    let consumer: StreamConsumer = client(config).create()?;
    consumer.subscribe(&[&config.topic])?;
    tracing::info!(topic = config.topic, group = config.group, "consuming");
    let mut in_flight = FuturesOrdered::new();
    let mut turns = Turns::default();
    let all_settled = loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break true,
            Some(settled) = in_flight.next(), if !in_flight.is_empty() => match settled {
                Some(message) => mark(&consumer, &message),
                None => break false,
            },
            received = consumer.recv(), if in_flight.len() < config.in_flight_max => match received {
                Ok(message) => {
                    let turn = turns.of(message.key());
                    in_flight.push_back(settle(&intake, message, turn, &stop));
                }
                Err(error) if is_fatal(&error) => return Err(error.into()),
                // The client mends what it can by itself: brokers that went away, leaders that moved.
                Err(error) => tracing::warn!(%error, "Kafka"),
            },
        }
    };
    // In order, and only up to the first without a verdict: what is after it will be delivered again, too.
    if all_settled {
        while let Some(Some(message)) = in_flight.next().await {
            mark(&consumer, &message);
        }
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => {
            tracing::warn!(%error, "the last offsets are not committed: their events will come again")
        }
    }
    Ok(())
}

fn client(config: &ConsumerConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", &config.group)
        .set("auto.offset.reset", "earliest")
        // Offsets are ours to mark, one by one, after the verdict; what is marked is committed every second, before
        // partitions are given away, and at the end.
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        .set("queued.max.messages.kbytes", "16384");
    client
}

/// Brings one message to its verdict, however often it must be tried; `None` where we are told to stop before there is
/// one. A message is never skipped.
async fn settle<'a>(
    intake: &Intake,
    message: BorrowedMessage<'a>,
    turn: Option<Turn>,
    stop: &CancellationToken,
) -> Option<BorrowedMessage<'a>> {
    // Whoever asks first for a turn has it first, and those in flight are begun in the order of the topic.
    let _turn = match &turn {
        Some(turn) => Some(turn.lock().await),
        None => None,
    };
    let span = tracing::info_span!("event", correlation_id = %correlation_id(&message));
    settle_within(intake, message, stop).instrument(span).await
}

/// Whose event is in flight under a key lets the next one of the key wait: a member's events come into the books in the order
/// in which they were sent, also when one of them has to be tried again.
#[derive(Default)]
struct Turns(HashMap<Vec<u8>, Turn>);

type Turn = Arc<Mutex<()>>;

impl Turns {
    /// The turn to wait for; none where a record has no key, and so no order.
    fn of(&mut self, key: Option<&[u8]>) -> Option<Turn> {
        let key = key?;
        if KEYS_MAX <= self.0.len() {
            self.0.retain(|_, turn| 1 < Arc::strong_count(turn));
        }
        Some(self.0.entry(key.to_vec()).or_default().clone())
    }
}

/// The producer's id for the event where it is a UUID, else a new one: the lines of the log about one event have it in
/// common, as those about one request have.
fn correlation_id(message: &impl Message) -> Uuid {
    let headers = message.headers();
    let given = headers.and_then(|it| it.iter().find(|it| it.key.eq_ignore_ascii_case(REQUEST_ID)));
    given
        .and_then(|it| it.value)
        .filter(|it| it.len() == 36)
        .and_then(|it| Uuid::try_parse_ascii(it).ok())
        .unwrap_or_else(Uuid::new_v4)
}

async fn settle_within<'a>(
    intake: &Intake,
    message: BorrowedMessage<'a>,
    stop: &CancellationToken,
) -> Option<BorrowedMessage<'a>> {
    let origin = format!("kafka:{}/{}@{}", message.topic(), message.partition(), message.offset());
    let payload = message.payload().unwrap_or_default();
    let mut backoff = BACKOFF_MIN;
    loop {
        match intake.accept(payload, &origin).await {
            Ok(_) => return Some(message),
            Err(error) => tracing::warn!(%error, origin, ?backoff, "no verdict: trying it again"),
        }
        metrics::counter!("daftari_event_retries_total").increment(1);
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(backoff) => backoff = (2 * backoff).min(BACKOFF_MAX),
        }
    }
}

fn mark(consumer: &StreamConsumer, message: &BorrowedMessage<'_>) {
    // From here the posting exists: Postgres holds it and its leaf. A crash before the Kafka commit only replays the
    // event, and `outcome_pk` makes the replay a no-op.
    if let Err(error) = consumer.store_offset_from_message(message) {
        // The partition was given to another consumer meanwhile: it will see the event again, to no effect.
        tracing::debug!(%error, "the partition is no longer ours");
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}
