//! The public log: checkpoint, tiles and bundles from the object store, and who signs it. No row is read for a proof.

use std::sync::Arc;

use api::{Code, Problem};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proof::{TILE_WIDTH, TileId};
use serde::Serialize;
use tiles::{TileError, TileStore};

use crate::ProofService;
use crate::receipts::parse;

const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) fn routes() -> Router<Arc<ProofService>> {
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/v1/keys", get(keys))
        .route("/v1/anchors", get(anchors))
}

async fn checkpoint(State(service): State<Arc<ProofService>>) -> Result<Response, Problem> {
    let note = read(&service.tiles, TileStore::checkpoint).await?;
    let note = note.ok_or_else(|| Problem::new(Code::NotFound, "Nothing has been sealed yet."))?;
    Ok(public(TEXT, "public, max-age=1", note))
}

/// The bytes behind a path that is served never change. A path that is not there yet may be soon, so that answer is
/// not to be kept.
async fn tile(State(service): State<Arc<ProofService>>, request: Request) -> Response {
    match published_tile(&service, request.uri().path()).await {
        Ok(bytes) => public("application/octet-stream", "public, max-age=31536000, immutable", bytes),
        Err(problem) => ([(CACHE_CONTROL, "no-store")], problem).into_response(),
    }
}

async fn published_tile(service: &ProofService, path: &str) -> Result<Vec<u8>, Problem> {
    // The path as it was sent: an escaped spelling of a tile's path is another path.
    let id = path.strip_prefix('/').and_then(TileId::parse);
    let id = id.ok_or_else(|| Problem::new(Code::NotFound, "This is not the path of a tile."))?;
    let no_tile = || Problem::new(Code::NotFound, "There is no such tile.");
    let note = read(&service.tiles, TileStore::checkpoint).await?.ok_or_else(no_tile)?;
    // A seal writes its tiles first. Until the checkpoint says that they count, another seal may replace them.
    if !is_within(id, parse(&note)?.size) {
        return Err(no_tile());
    }
    read(&service.tiles, move |it| it.read(id)).await?.ok_or_else(no_tile)
}

/// Whether a log of this size fills the tile to its width.
fn is_within(tile: TileId, size: u64) -> bool {
    let count = size.checked_shr(u32::from(tile.level.unwrap_or(0)) * 8).unwrap_or(0);
    let end = tile.index.checked_mul(TILE_WIDTH).and_then(|it| it.checked_add(u64::from(tile.width)));
    end.is_some_and(|end| end <= count)
}

fn public(content_type: &'static str, caching: &'static str, body: impl IntoResponse) -> Response {
    let headers =
        [(CONTENT_TYPE, content_type), (CACHE_CONTROL, caching), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, body).into_response()
}

/// Reads the object store, which blocks.
pub(crate) async fn read<T: Send + 'static>(
    tiles: &Arc<TileStore>,
    question: impl FnOnce(&TileStore) -> Result<T, TileError> + Send + 'static,
) -> Result<T, Problem> {
    let tiles = Arc::clone(tiles);
    match tokio::task::spawn_blocking(move || question(&tiles)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if error.is_passing() => Err(Problem::unavailable("The object store did not answer.")),
        Ok(Err(error)) => Err(Problem::internal(error)),
        Err(error) => Err(Problem::internal(error)),
    }
}

#[derive(Serialize)]
struct Keys {
    origin: String,
    log_id: String,
    keys: Vec<String>,
}

async fn keys(State(service): State<Arc<ProofService>>) -> Response {
    let keys = service.policy.log_keys.iter().filter(|it| it.name() == service.log.origin);
    let body = Keys {
        origin: service.log.origin.clone(),
        log_id: hex::encode(service.log.log_id),
        keys: keys.map(|it| it.encode()).collect(),
    };
    public("application/json", "public, max-age=60", axum::Json(body))
}

#[derive(Serialize)]
struct Anchors {
    anchors: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    chain_id: u64,
    contract: String,
    registrant: String,
    latest: Option<Latest>,
}

#[derive(Serialize)]
struct Latest {
    size: u64,
    block: u64,
    transaction: String,
    is_final: bool,
    age_ms: Option<u64>,
}

/// Where the log is anchored, as far as our rows know: the contract's state is the truth.
async fn anchors(State(service): State<Arc<ProofService>>) -> Result<Response, Problem> {
    let mut conn = service.pool.acquire().await.map_err(store::StoreError::from)?;
    let mut anchors = Vec::new();
    for place in &service.policy.anchors {
        let latest = store::latest_anchor(&mut conn, place).await?;
        let age_ms = store::latest_anchor_age_ms(&mut conn, place).await?;
        anchors.push(Place {
            chain_id: place.chain_id,
            contract: format!("0x{}", hex::encode(place.contract)),
            registrant: format!("0x{}", hex::encode(place.registrant)),
            latest: latest.map(|it| Latest {
                size: it.size,
                block: it.block,
                transaction: format!("0x{}", hex::encode(it.transaction)),
                is_final: it.is_final,
                age_ms,
            }),
        });
    }
    Ok(public("application/json", "public, max-age=1", axum::Json(Anchors { anchors })))
}
