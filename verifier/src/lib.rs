//! The proof service: the log as C2SP `tlog-tiles` lays it out, receipts, the page that checks them; and the check
//! behind `daftari verify`.

mod anchors;
mod check;
mod export;
mod history;
mod keys;
mod log;
mod maps;
mod page;
mod proofs;
mod receipts;
mod statement;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use api::{AUDITING, Code, Endpoint, Gate, Guarded, Operations, Route, Routes, Scope, TAKING_PART};
use axum::Router;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL};
use axum::http::{HeaderValue, Method};
use axum::middleware::map_response;
use axum::response::Response;
use proof::Policy;
use store::{Keyring, LogIdentity, PgPool};
use tiles::TileStore;
use uuid::Uuid;

pub use check::{ChainFinding, Proves, ProvesAnchor, ProvesEntry, Report, check, could_not_check, judge};
pub use export::{Export, ExportError};
pub use history::{FolderReport, ProvesHistory, check_folder};
pub use statement::{Holds, Line, STATEMENT, Statement};

/// What the proof service serves from.
pub struct ProofService {
    pool: PgPool,
    keyring: Arc<Keyring>,
    log: LogIdentity,
    program_id: i16,
    tiles: Arc<TileStore>,
    gate: Gate,
    page: Page,
    /// The greatest tree that is known to be published.
    head: Mutex<log::Head>,
    /// What was last said of the anchors, for when our rows cannot be asked.
    told_anchors: Mutex<Option<anchors::Anchors>>,
    /// What the log has said of its keys so far.
    told_of_keys: Mutex<Option<keys::ToldOfKeys>>,
    sandbox: Option<Arc<Self>>,
}

/// Tells what is to be trusted now: a policy as it is written, and what that means.
pub type Trusted = Arc<dyn Fn() -> (String, Policy) + Send + Sync>;

/// The page, and what it proposes to trust.
#[derive(Clone)]
pub struct Page {
    /// The folder of its files, as `web` builds them.
    pub folder: PathBuf,
    /// `policy.txt`: the log's keys and where it is anchored. Asked for at each use, since it may change.
    pub policy: Trusted,
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
    ) -> Self {
        let (head, told_anchors) = (Mutex::default(), Mutex::new(None));
        let (told_of_keys, sandbox) = (Mutex::new(None), None);
        Self { pool, keyring, log, program_id, tiles, gate, page, head, told_anchors, told_of_keys, sandbox }
    }

    /// The policy that holds now.
    fn policy(&self) -> Policy {
        (self.page.policy)().1
    }

    /// With the receipts of the program's sandbox beside its own, for whoever shows a credential of it.
    pub fn with_sandbox(mut self, sandbox: Self) -> Self {
        self.sandbox = Some(Arc::new(sandbox));
        self
    }
}

impl Guarded for ProofService {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn of(self: Arc<Self>, program_id: i16) -> Option<Arc<Self>> {
        match self.program_id == program_id {
            true => Some(self),
            false => self.sandbox.clone().filter(|it| it.program_id == program_id),
        }
    }
}

/// All endpoints of the proof service, as they are documented.
pub fn endpoints() -> Vec<Endpoint> {
    api::endpoints_of(table())
}

/// The table of paths; the page's files stand beside it.
fn table() -> Vec<Route<ProofService>> {
    let mut table = receipts_and_proofs();
    table.extend(public_log());
    table
}

fn get(path: &'static str, name: &'static str, summary: &'static str) -> Endpoint {
    Endpoint::new(Method::GET, path, name, summary)
}

fn receipts_and_proofs() -> Vec<Route<ProofService>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    vec![
        get("/v1/receipts/{transaction_id}", "getReceipt", "A receipt, as a `.tlog-proof` file")
            .path::<Uuid>("transaction_id", "The posting.")
            .header::<String>("X-User-ID", "Whose side is opened; without it the partner's.")
            .answers_plain(200, TEXT, "The receipt; the header `Receipt-State` says how far it has come.")
            .answers::<receipts::NotSealed>(202, "It is posted and not sealed yet.")
            .refuses(&[Code::TransactionNotFound, Code::Archived])
            .guarded(Scope::Read, TAKING_PART, receipts::receipt),
        get(
            "/v1/audit/receipts/{transaction_id}",
            "getAuditReceipt",
            "A receipt for an auditor: what was said, and the house's entries",
        )
        .path::<Uuid>("transaction_id", "The posting.")
        .answers_plain(200, TEXT, "The receipt; the header `Receipt-State` says how far it has come.")
        .answers::<receipts::NotSealed>(202, "It is posted and not sealed yet.")
        .refuses(&[Code::TransactionNotFound, Code::Archived])
        .guarded(Scope::Audit, AUDITING, receipts::audit_receipt),
        get(
            "/v1/receipts/{transaction_id}/map",
            "getMapProof",
            "An account's place in the newest account map",
        )
        .path::<Uuid>("transaction_id", "A posting that the map describes.")
        .header::<String>("X-User-ID", "Whose account it is; without it the partner's.")
        .answers_plain(200, TEXT, "A `.map-proof` file.")
        .refuses(&[Code::TransactionNotFound, Code::NotFound, Code::Archived])
        .guarded(Scope::Read, TAKING_PART, maps::map_proof),
        get("/v1/proofs/inclusion", "getInclusionProof", "The path from a leaf to the root of a size")
            .required_query::<u64>("index", "The leaf.")
            .query::<u64>("size", "The size; the newest where it is left out.")
            .answers::<proofs::Inclusion>(200, "The path.")
            .refuses(&[Code::NotFound])
            .open(proofs::inclusion),
        get(
            "/v1/proofs/consistency",
            "getConsistencyProof",
            "That the tree of one size extends that of another",
        )
        .required_query::<u64>("from", "The smaller size.")
        .query::<u64>("to", "The greater one; the newest where it is left out.")
        .answers::<proofs::Consistency>(200, "The proof.")
        .refuses(&[Code::NotFound])
        .open(proofs::consistency),
        get("/v1/leaves/{index}", "getLeaf", "A leaf as everybody may see it: closed")
            .path::<u64>("index", "The leaf.")
            .answers::<proofs::ClosedLeaf>(200, "The leaf.")
            .refuses(&[Code::NotFound])
            .open(proofs::leaf),
        Endpoint::new(
            Method::POST,
            "/v1/verify",
            "verifyReceipt",
            "Our verdict on a receipt; trusting it is trusting us",
        )
        .plain_body("text/plain")
        .answers::<proofs::OwnWord>(200, "The verdict.")
        .open(proofs::verify),
    ]
}

/// The log, as C2SP `tlog-tiles` lays it out, and who signs and anchors it.
fn public_log() -> Vec<Route<ProofService>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const BYTES: &str = "application/octet-stream";
    vec![
        get(
            "/v1/anchors",
            "getAnchors",
            "Where the log is anchored, as far as we know, and the story of each anchor",
        )
        .query::<u64>("size", "Only the transactions that carry the checkpoint of this size.")
        .query::<u64>("limit", "How many transactions of each place; 20 where it is left out, 100 at most.")
        .answers::<anchors::Anchors>(200, "The places.")
        .open(anchors::anchors),
        get("/v1/keys", "getKeys", "The log's keys").answers::<keys::Keys>(200, "The keys.").open(keys::keys),
        get("/checkpoint", "getCheckpoint", "The published checkpoint, a signed note")
            .header::<String>("If-None-Match", "The ETag of the one that the caller has.")
            .answers_plain(200, TEXT, "The checkpoint.")
            .answers_empty(304, "The caller has it already.")
            .refuses(&[Code::NotFound])
            .open(log::checkpoint),
        get("/tile/{*path}", "getTile", "A tile, or with `entries/` a bundle of leaves")
            .path::<String>("path", "As C2SP `tlog-tiles` writes it.")
            .answers_plain(200, BYTES, "The bytes.")
            .refuses(&[Code::NotFound])
            .open(log::tile),
        get("/declaration/{*path}", "getDeclaration", "What the log says of itself in a leaf, opened")
            .path::<String>("path", "The leaf's index.")
            .answers_plain(200, BYTES, "The bytes.")
            .refuses(&[Code::NotFound])
            .open(log::beside),
        get("/map/{*path}", "getMap", "The parts of an account map")
            .path::<String>("path", "The map's root in hexadecimal, then `index` or a part's number.")
            .answers_plain(200, BYTES, "The bytes.")
            .refuses(&[Code::NotFound])
            .open(log::beside),
    ]
}

/// The routes alone, to be merged with others and made [`api::complete`].
pub fn routes(service: Arc<ProofService>) -> Routes {
    let open = Routes::new(table(), Arc::clone(&service)).map(|it| {
        // A page of another origin may ask for all of it, and read why it was refused: nothing here goes by cookies.
        it.merge(receipts::preflight_route()).layer(map_response(async |mut response: Response| {
            let status = response.status();
            let headers = response.headers_mut();
            // What is not there yet may be soon, and what went wrong may go well.
            if status.is_client_error() || status.is_server_error() {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("Anchor-Priority, ETag, Receipt-State, Retry-After"),
            );
            response
        }))
    });
    open.map(|it| it.merge(page::routes().with_state(service)))
}

/// The proof service on its own.
pub fn router(service: Arc<ProofService>, operations: Operations) -> Router {
    api::complete(routes(service), operations)
}
