//! Receipts: what the caller may see of a leaf, its path in the tree, and the checkpoint that anchors it.

use std::sync::Arc;

use api::{Asked, Caller, Code, Problem};
use axum::Router;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL,
    CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::options;
use ledger::MemberRef;
use proof::{AnchorHint, Checkpoint, OpenedLeaf, Policy, Receipt, Refusal, SignedNote};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Anchor, PgConnection, StoreError, Viewer};
use tiles::TileStore;
use uuid::Uuid;

use crate::ProofService;
use crate::log::{misleading, published, read_proof, read_tiles};

/// How far a receipt has come: `sealed`, `witnessed`, `anchored` or `final`. Asking again gives the better one.
const RECEIPT_STATE: HeaderName = HeaderName::from_static("receipt-state");
/// `soon` where the program, or an operator, has marked the posting: its anchor does not wait for a better price.
const ANCHOR_PRIORITY: HeaderName = HeaderName::from_static("anchor-priority");
/// A seal follows the last one after 200 ms, or when that one is done: within this time, if nothing is wrong.
const SEALED_WITHIN_MS: u64 = 1000;
/// A seal that waits for its witnesses, or for a disk, does not stand still yet. However long it has, whoever waits asks again
/// after an hour.
const STILL_MS: std::ops::Range<u64> = 10_000..60 * 60 * 1000;
/// How many leaves a seal takes at most.
const LEAVES_A_SEAL: u64 = 16 * 1024;

/// What a page of another origin asks before it asks with a credential.
pub(crate) fn preflight_route() -> Router {
    Router::new()
        .route("/v1/receipts/{transaction_id}", options(preflight))
        .route("/v1/receipts/{transaction_id}/map", options(preflight))
}

async fn preflight() -> impl IntoResponse {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, X-API-Key, X-User-ID, X-Request-ID"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers)
}

/// A posting that is not sealed yet.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NotSealed {
    /// `POSTED`.
    status: &'static str,
    /// What to do.
    message: &'static str,
    /// The posting.
    transaction_id: Uuid,
    /// Its place in the log.
    leaf_index: u64,
    /// Within how many milliseconds it is sealed; where sealing stands still, as long again as it has.
    sealed_within_ms: u64,
}

pub(crate) async fn receipt(service: Arc<ProofService>, asked: Asked) -> Result<Response, Problem> {
    let (caller, headers) = (&asked.caller, asked.headers());
    let (id, leaf_index, leaf) = viewed(&service, caller, headers, asked.path("transaction_id")).await?;
    given(&service, id, leaf_index, leaf).await
}

/// The same for whoever checks the program: what was said of the posting, and the house's entries.
pub(crate) async fn audit_receipt(service: Arc<ProofService>, asked: Asked) -> Result<Response, Problem> {
    let not_found = || Problem::new(Code::TransactionNotFound, "There is no such transaction.");
    let id = Uuid::try_parse(asked.path("transaction_id")).map_err(|_| not_found())?;
    let mut conn = service.pool.acquire().await.map_err(StoreError::from)?;
    let (keyring, program) = (&service.keyring, service.program_id);
    let opened =
        store::opened_posting(&mut conn, keyring, &service.log, program, id, &Viewer::Auditor).await?;
    drop(conn);
    let (leaf_index, leaf) = opened.ok_or_else(not_found)?;
    given(&service, id, leaf_index, leaf).await
}

/// The receipt of an opened leaf as it is now, or when there will be one.
async fn given(
    service: &ProofService,
    id: Uuid,
    leaf_index: u64,
    leaf: OpenedLeaf,
) -> Result<Response, Problem> {
    let mut conn = service.pool.acquire().await.map_err(StoreError::from)?;
    let policy = service.policy();
    let Some(covering) = covering(&service.tiles, &policy, &mut conn, leaf_index).await? else {
        let recorded_at_us = leaf.header.opened().map_or(i64::MAX, |it| it.recorded_at_us);
        let still_ms = store::still_ms(&mut conn, recorded_at_us).await?;
        drop(conn);
        let published = published(service).await.map_or(0, |it| it.size);
        let within_ms = sealed_within_ms(leaf_index.saturating_sub(published), still_ms);
        return Ok(not_sealed(id, leaf_index, within_ms));
    };
    let is_hurried = store::is_hurried(&mut conn, leaf_index).await?;
    drop(conn);

    let state = covering.state(&policy);
    let text = assemble(&service.tiles, leaf, leaf_index, covering).await?;
    let mut response = attached(&format!("{}.tlog-proof", id.hyphenated()), text);
    response.headers_mut().insert(RECEIPT_STATE, HeaderValue::from_static(state));
    if is_hurried {
        response.headers_mut().insert(ANCHOR_PRIORITY, HeaderValue::from_static("soon"));
    }
    Ok(response)
}

/// The posting that the caller asks about, opened as far as they may see it.
pub(crate) async fn viewed(
    service: &ProofService,
    caller: &Caller,
    headers: &HeaderMap,
    transaction_id: &str,
) -> Result<(Uuid, u64, OpenedLeaf), Problem> {
    let not_found = || Problem::new(Code::TransactionNotFound, "There is no such transaction of yours.");
    let id = Uuid::try_parse(transaction_id).map_err(|_| not_found())?;

    let mut conn = service.pool.acquire().await.map_err(StoreError::from)?;
    let viewer = match (api::member(caller, headers)?, &caller.credential.partner_id) {
        (Some(member), _) => {
            Viewer::Member(member_id(service, &mut conn, member).await?.ok_or_else(not_found)?)
        }
        (None, Some(partner)) => Viewer::Partner(partner.clone()),
        (None, None) => return Err(Problem::invalid_parameter("X-User-ID", "this header is required")),
    };
    let opened =
        store::opened_posting(&mut conn, &service.keyring, &service.log, service.program_id, id, &viewer)
            .await?;
    let (leaf_index, leaf) = opened.ok_or_else(not_found)?;
    Ok((id, leaf_index, leaf))
}

/// A file for one holder. It is theirs alone, and the next one may be better.
pub(crate) fn attached(name: &str, text: String) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).expect("a UUID is a file's name")),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (headers, text).into_response()
}

async fn member_id(
    service: &ProofService,
    conn: &mut PgConnection,
    member: MemberRef,
) -> Result<Option<Uuid>, StoreError> {
    match member {
        MemberRef::Id(id) => Ok(Some(id)),
        MemberRef::External(name) => store::member_id(conn, service.program_id, &name).await,
    }
}

/// The checkpoint of a receipt, with where it is anchored.
pub(crate) struct Covering {
    note: String,
    anchors: Vec<Anchor>,
}

impl Covering {
    /// How far the receipt has come. It only says what the receipt shows, for programs that would ask again.
    fn state(&self, policy: &Policy) -> &'static str {
        let is_witnessed = || {
            let verified = proof::verify_checkpoint(&self.note, policy);
            verified.is_ok_and(|it| !it.witnesses.is_empty())
        };
        match &self.anchors[..] {
            [] if is_witnessed() => "witnessed",
            [] => "sealed",
            anchors if anchors.iter().any(|it| it.is_final) => "final",
            _ => "anchored",
        }
    }
}

/// The smallest pinned checkpoint that covers the leaf; else the smallest anchored one; else the newest published one, if it
/// does.
pub(crate) async fn covering(
    tiles: &Arc<TileStore>,
    policy: &Policy,
    conn: &mut PgConnection,
    leaf_index: u64,
) -> Result<Option<Covering>, Problem> {
    let mut covering = anchored(policy, conn, leaf_index).await?;
    // What only a key that has retired has signed, its holder could not check without a chain: a later anchor serves both.
    let retired = policy.retired.iter().map(|it| it.leaf_index).max();
    if let (Some(found), Some(retired)) = (&covering, retired)
        && proof::verify_checkpoint(&found.note, &policy.of_logs()).err() == Some(Refusal::RetiredKey)
    {
        covering = anchored(policy, conn, retired.max(leaf_index)).await?.or(covering);
    }
    if covering.is_some() {
        return Ok(covering);
    }
    let Some(note) = read_tiles(tiles, TileStore::checkpoint).await? else { return Ok(None) };
    let is_covered = leaf_index < parse(&note)?.size;
    Ok(is_covered.then_some(Covering { note, anchors: Vec::new() }))
}

/// The smallest anchored checkpoint that covers the leaf.
async fn anchored(
    policy: &Policy,
    conn: &mut PgConnection,
    leaf_index: u64,
) -> Result<Option<Covering>, Problem> {
    // Whoever trusts our policy looks nowhere else. What the contract keeps for ever comes first: it is checked without
    // asking for events, which not every node has.
    let mut anchors = store::pins_covering(conn, leaf_index).await?;
    anchors.retain(|it| policy.anchors.contains(&it.place));
    if anchors.is_empty() {
        anchors = store::anchors_covering(conn, leaf_index).await?;
        anchors.retain(|it| policy.anchors.contains(&it.place));
    }
    let Some(size) = anchors.iter().map(|it| it.size).min() else { return Ok(None) };
    anchors.retain(|it| it.size == size);
    let note = store::cosigned_note(conn, size).await?;
    let note = note.ok_or_else(|| Problem::internal(format!("the anchored checkpoint {size} is missing")))?;
    Ok(Some(Covering { note, anchors }))
}

pub(crate) async fn assemble(
    tiles: &Arc<TileStore>,
    mut leaf: OpenedLeaf,
    leaf_index: u64,
    covering: Covering,
) -> Result<String, Problem> {
    let Checkpoint { size, root, .. } = parse(&covering.note)?;
    let hash = proof::leaf_hash(&leaf.leaf(leaf_index).encode());
    let newest = read_tiles(tiles, move |it| Ok(it.newest(size))).await?;
    // A receipt that would be refused is ours to find, not its holder's.
    let over = [leaf_index, size.saturating_sub(1), newest.saturating_sub(1)];
    let path = read_proof(tiles, newest, over, move |it| {
        let path = proof::inclusion_proof(leaf_index, size, it.nodes(newest))?;
        match proof::verify_inclusion(leaf_index, size, &hash, &path, &root) {
            true => Ok(path),
            false => Err(misleading(leaf_index, size)),
        }
    })
    .await?;
    leaf.hints = covering.anchors.iter().take(8).map(hint).collect();
    Ok(Receipt { leaf, leaf_index, path, checkpoint: covering.note }.encode())
}

fn hint(anchor: &Anchor) -> AnchorHint {
    AnchorHint {
        chain_id: anchor.place.chain_id,
        contract: anchor.place.contract,
        registrant: anchor.place.registrant,
        block: anchor.block,
        transaction: anchor.transaction,
    }
}

pub(crate) fn parse(note: &str) -> Result<Checkpoint, Problem> {
    let note = SignedNote::parse(note).map_err(Problem::internal)?;
    Checkpoint::parse(&note.text).map_err(Problem::internal)
}

fn not_sealed(transaction_id: Uuid, leaf_index: u64, sealed_within_ms: u64) -> Response {
    let message = "posted, not sealed yet: ask again later";
    let body = NotSealed { status: "POSTED", message, transaction_id, leaf_index, sealed_within_ms };
    let retry_after = HeaderValue::from(sealed_within_ms.div_ceil(1000));
    let mut response =
        (StatusCode::ACCEPTED, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response();
    response.headers_mut().insert(RETRY_AFTER, retry_after);
    response
}

/// After so long a leaf is sealed before which so many wait: they are sealed in order, no more at once than a seal takes. What
/// has kept sealing for so long may well do so again.
pub(crate) fn sealed_within_ms(waiting_before: u64, still_ms: u64) -> u64 {
    let in_turn = SEALED_WITHIN_MS * (1 + waiting_before / LEAVES_A_SEAL);
    if still_ms < STILL_MS.start { in_turn } else { in_turn.max(still_ms.min(STILL_MS.end)) }
}
