//! What somebody runs who does not trust the log: an audit of all of it, a monitor that follows it, a witness that
//! cosigns it. It reads what everybody can read, tiles and chain, and knows no PostgreSQL.

mod anchors;
mod audit;
mod climb;
mod finding;
mod monitor;
mod proofs;
mod source;
mod witness;

#[cfg(test)]
mod tests;

pub use anchors::Anchored;
pub use audit::{Audit, AuditReport, KeySaid};
pub use finding::Finding;
pub use monitor::{ForkProof, Monitor, MonitorError, Observation, is_fork, read_fork};
pub use source::{Source, SourceError};
pub use witness::{Clock, Witness};
