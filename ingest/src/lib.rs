//! Events in, postings out, rejects kept: one code path for HTTP and for Kafka. The only crate that speaks to Kafka.

mod consumer;
mod intake;
mod release;
mod rules;
mod topic;

#[cfg(test)]
mod tests;

pub use consumer::{ConsumerConfig, ConsumerError, REQUEST_ID, consume};
pub use intake::{EVENT_BYTES_MAX, Intake, RejectCode, Retry, Verdict};
pub use release::Releaser;
pub use topic::{EVENTS_TOPIC, Publisher, ensure_topic, publish};
