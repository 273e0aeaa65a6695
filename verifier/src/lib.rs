//! The proof service: the log as C2SP `tlog-tiles` lays it out, receipts, the page that checks them; and the check
//! behind `daftari verify`.

mod check;
mod log;
mod page;
mod receipts;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use api::{Gate, Operations};
use axum::Router;
use proof::{Policy, PolicyError};
use store::{Keyring, LogIdentity, PgPool};
use tiles::TileStore;

pub use check::{ChainFinding, Proves, ProvesAnchor, ProvesEntry, Report, check, could_not_check, judge};

/// What the proof service serves from.
pub struct ProofService {
    pool: PgPool,
    keyring: Arc<Keyring>,
    log: LogIdentity,
    program_id: i16,
    tiles: Arc<TileStore>,
    gate: Gate,
    policy: Policy,
    page: Page,
}

/// The page, and what it proposes to trust.
#[derive(Clone, Debug)]
pub struct Page {
    /// The folder of its files, as `web` builds them.
    pub folder: PathBuf,
    /// `policy.txt`: the log's keys and where it is anchored.
    pub policy: String,
    /// `chain.json`: `{"rpc_url": …}`.
    pub chain: String,
}

impl ProofService {
    /// A proof service. The log's keys and the places of its anchors are those of the page's policy.
    pub fn new(
        pool: PgPool,
        keyring: Arc<Keyring>,
        log: LogIdentity,
        program_id: i16,
        tiles: Arc<TileStore>,
        gate: Gate,
        page: Page,
    ) -> Result<Self, PolicyError> {
        let policy = Policy::parse(&page.policy)?;
        Ok(Self { pool, keyring, log, program_id, tiles, gate, policy, page })
    }
}

/// The routes alone, to be merged with others and made [`api::complete`].
pub fn routes(service: Arc<ProofService>) -> Router {
    log::routes().merge(receipts::routes()).merge(page::routes()).with_state(service)
}

/// The proof service on its own.
pub fn router(service: Arc<ProofService>, operations: Operations) -> Router {
    api::complete(routes(service), operations)
}
