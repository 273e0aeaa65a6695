//! The topic itself: for `daftari up`, for journeys, and for whoever tries things out.

use std::time::Duration;

use futures::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;

use crate::consumer::ConsumerError;

/// Where events come from, keyed by user so that one member's events stay in order.
pub const EVENTS_TOPIC: &str = "loyalty.events";

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the topic if there is none.
pub async fn ensure_topic(brokers: &str, topic: &str, partitions: i32) -> Result<(), ConsumerError> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for made in admin.create_topics([&wanted], &options).await? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(ConsumerError::Topic(code.to_string())),
        }
    }
    Ok(())
}

/// Puts events on a topic, over connections that stay.
pub struct Publisher {
    producer: FutureProducer,
    topic: String,
}

impl Publisher {
    /// A publisher of this topic.
    pub fn new(brokers: &str, topic: &str) -> Result<Self, ConsumerError> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            // Order within a partition is kept, also when a message has to be sent again.
            .set("enable.idempotence", "true")
            .create()?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Puts an event there under its user's key, and returns once the broker holds it.
    pub async fn send(&self, user: &str, payload: &[u8]) -> Result<(), ConsumerError> {
        let record = FutureRecord::to(&self.topic).key(user).payload(payload);
        self.producer.send(record, PATIENCE).await.map_err(|(error, _)| error)?;
        Ok(())
    }
}

/// Puts events on the topic, each under its user's key, and returns once the broker holds them all.
pub async fn publish(
    brokers: &str,
    topic: &str,
    events: impl IntoIterator<Item = (&str, &[u8])>,
) -> Result<(), ConsumerError> {
    let publisher = Publisher::new(brokers, topic)?;
    try_join_all(events.into_iter().map(|(user, payload)| publisher.send(user, payload))).await?;
    Ok(())
}
