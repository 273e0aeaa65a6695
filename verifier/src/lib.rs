//! The proof service: the log as C2SP `tlog-tiles` lays it out, receipts, the page that checks them; and the check
//! behind `daftari verify`.

mod check;
mod history;
mod log;
mod page;
mod proofs;
mod receipts;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use api::{Gate, Operations};
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS};
use axum::middleware::map_response;
use axum::response::Response;
use proof::{Policy, PolicyError};
use store::{Keyring, LogIdentity, PgPool};
use tiles::TileStore;

pub use check::{ChainFinding, Proves, ProvesAnchor, ProvesEntry, Report, check, could_not_check, judge};
pub use history::{FolderReport, ProvesHistory, check_folder};

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
    /// How many leaves are known to be published: never more than are.
    published_size: AtomicU64,
    /// What was last said of the anchors, for when our rows cannot be asked.
    told_anchors: Mutex<Option<log::Anchors>>,
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
        let (published_size, told_anchors) = (AtomicU64::new(0), Mutex::new(None));
        Ok(Self { pool, keyring, log, program_id, tiles, gate, policy, page, published_size, told_anchors })
    }
}

/// The routes alone, to be merged with others and made [`api::complete`].
pub fn routes(service: Arc<ProofService>) -> Router {
    // A page of another origin may ask for all of it, and read why it was refused: nothing here goes by cookies.
    let open = log::routes().merge(proofs::routes()).merge(receipts::routes());
    let open = open.layer(map_response(async |mut response: Response| {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("ETag, Receipt-State, Retry-After"),
        );
        response
    }));
    open.merge(page::routes()).with_state(service)
}

/// The proof service on its own.
pub fn router(service: Arc<ProofService>, operations: Operations) -> Router {
    api::complete(routes(service), operations)
}
