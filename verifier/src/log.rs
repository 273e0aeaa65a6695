//! The public log: checkpoint, tiles and bundles from the object store, and who signs it. No row is read for a proof.

use std::sync::Arc;

use api::{Code, Problem};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use proof::{Checkpoint, Hash, Node, TILE_WIDTH, TileId, subtree_root};
use tiles::{Beside, StoredTile, TileError, TileStore};

use crate::ProofService;
use crate::anchors::lock;
use crate::receipts::parse;

pub(crate) const FOR_EVER: &str = "public, max-age=31536000, immutable";
const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) async fn checkpoint(
    State(service): State<Arc<ProofService>>,
    request: Request,
) -> Result<Response, Problem> {
    let note = read_tiles(&service.tiles, TileStore::checkpoint).await?.ok_or_else(nothing_sealed)?;
    // Monitors ask again and again, mostly to learn that nothing is new.
    let tag = format!("\"{}\"", hex::encode(&proof::leaf_hash(note.as_bytes())[..16]));
    let is_known = request.headers().get(IF_NONE_MATCH).is_some_and(|it| it.as_bytes() == tag.as_bytes());
    let mut response = match is_known {
        true => public(TEXT, "public, max-age=1", StatusCode::NOT_MODIFIED),
        false => public(TEXT, "public, max-age=1", note),
    };
    response
        .headers_mut()
        .insert(ETAG, HeaderValue::from_str(&tag).expect("hexadecimal is a header's value"));
    Ok(response)
}

fn nothing_sealed() -> Problem {
    Problem::new(Code::NotFound, "Nothing has been sealed yet.")
}

/// The published checkpoint.
pub(crate) async fn published(service: &ProofService) -> Result<Checkpoint, Problem> {
    parse(&read_tiles(&service.tiles, TileStore::checkpoint).await?.ok_or_else(nothing_sealed)?)
}

/// A tree that is published.
#[derive(Clone, Copy, Default)]
pub(crate) struct Head {
    /// How many leaves it has.
    pub(crate) size: u64,
    root: Hash,
}

impl Head {
    /// The root of this tree, or of a smaller one by tiles that lead to the root that was signed. Full ones are held against those
    /// above them when they are read; with this no proof is made of a partial one that has rotted either. A proof in this tree leads
    /// to the signed root itself, or is not told.
    pub(crate) fn root_of(
        &self,
        size: u64,
        nodes: &mut impl FnMut(Node) -> Result<Hash, TileError>,
    ) -> Result<Hash, TileError> {
        if size == self.size {
            return Ok(self.root);
        }
        if subtree_root(0, self.size, nodes)? != self.root {
            let problem = format!("they do not lead to the root of {} leaves that was signed", self.size);
            return Err(TileError::Damaged { path: "one of the partial tiles".to_owned(), problem });
        }
        subtree_root(0, size, nodes)
    }
}

/// A published tree of as many leaves as are asked for, if there is one. The checkpoint is read again only for what lies
/// beyond what is known, and where the newest is asked for.
pub(crate) async fn published_head(service: &ProofService, asked: Option<u64>) -> Result<Head, Problem> {
    let known = *lock(&service.head);
    if 0 < known.size && asked.is_some_and(|it| it <= known.size) {
        return Ok(known);
    }
    Ok(learnt(service, &published(service).await?))
}

/// The head that a published checkpoint tells of. The greatest is remembered.
fn learnt(service: &ProofService, checkpoint: &Checkpoint) -> Head {
    let head = Head { size: checkpoint.size, root: checkpoint.root };
    let mut known = lock(&service.head);
    if known.size < head.size {
        *known = head;
    }
    head
}

/// The bytes behind a path that is served never change. A path that is not there yet may be soon, so that answer is
/// not to be kept.
pub(crate) async fn tile(
    State(service): State<Arc<ProofService>>,
    request: Request,
) -> Result<Response, Problem> {
    Ok(stored(published_tile(&service, request.uri().path()).await?, request.headers()))
}

async fn published_tile(service: &ProofService, path: &str) -> Result<StoredTile, Problem> {
    // The path as it was sent: an escaped spelling of a tile's path is another path.
    let id = path.strip_prefix('/').and_then(TileId::parse);
    let id = id.ok_or_else(|| Problem::new(Code::NotFound, "This is not the path of a tile."))?;
    let no_tile = || Problem::new(Code::NotFound, "There is no such tile.");
    // A seal writes its tiles first. Until the checkpoint says that they count, another seal may replace them.
    if !is_published(service, |size| is_within(id, size)).await? {
        return Err(no_tile());
    }
    read_tiles(&service.tiles, move |it| it.read_stored(id)).await?.ok_or_else(no_tile)
}

/// Whether what is published is enough. It stays so: the checkpoint is read again only for what lies beyond.
async fn is_published(service: &ProofService, is_enough: impl Fn(u64) -> bool) -> Result<bool, Problem> {
    if is_enough(lock(&service.head).size) {
        return Ok(true);
    }
    let Some(note) = read_tiles(&service.tiles, TileStore::checkpoint).await? else { return Ok(false) };
    Ok(is_enough(learnt(service, &parse(&note)?).size))
}

/// Declarations and maps. A declaration is kept before its leaf is published, as tiles are, and served after it; a map is
/// named by its root.
pub(crate) async fn beside(
    State(service): State<Arc<ProofService>>,
    request: Request,
) -> Result<Response, Problem> {
    let beside = request.uri().path().strip_prefix('/').and_then(Beside::parse);
    let nothing = || Problem::new(Code::NotFound, "There is no such declaration and no such part of a map.");
    let beside = beside.ok_or_else(nothing)?;
    if let Beside::Declaration(leaf_index) = beside
        && !is_published(&service, |size| leaf_index < size).await?
    {
        return Err(nothing());
    }
    let bytes = read(&service.tiles, move |it| it.read_beside(beside)).await?;
    Ok(public("application/octet-stream", FOR_EVER, bytes.ok_or_else(nothing)?))
}

/// Bundles go out as they are kept, compressed, to whoever takes them so, and plain to the others.
fn stored(tile: StoredTile, asked: &HeaderMap) -> Response {
    const OCTETS: &str = "application/octet-stream";
    if !tile.is_gzip {
        return public(OCTETS, FOR_EVER, tile.bytes);
    }
    let vary = (VARY, "Accept-Encoding");
    if accepts_gzip(asked) {
        return ([vary, (CONTENT_ENCODING, "gzip")], public(OCTETS, FOR_EVER, tile.bytes)).into_response();
    }
    match tiles::unpacked(tile) {
        Ok(bytes) => ([vary], public(OCTETS, FOR_EVER, bytes)).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|it| it.to_str().ok());
    accepted.flat_map(|it| it.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused =
            weight.trim().strip_prefix("q=").is_some_and(|it| it.trim_matches(['0', '.']).is_empty());
        ["gzip", "*"].contains(&name.trim()) && !is_refused
    })
}

/// Whether a log of this size fills the tile to its width.
fn is_within(tile: TileId, size: u64) -> bool {
    let count = size.checked_shr(u32::from(tile.level.unwrap_or(0)) * 8).unwrap_or(0);
    let end = tile.index.checked_mul(TILE_WIDTH).and_then(|it| it.checked_add(u64::from(tile.width)));
    end.is_some_and(|end| end <= count)
}

/// An answer that anybody may have and keep for so long. Tiles are short, so they are given whole or not at all.
pub(crate) fn public(content_type: &'static str, caching: &'static str, body: impl IntoResponse) -> Response {
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, caching), (ACCEPT_RANGES, "none")];
    (headers, body).into_response()
}

/// Reads a tile, a bundle or the checkpoint. Of a folder that is a few KiB, which the system mostly has in memory: they are there
/// before another thread would have woken, and this one again.
pub(crate) async fn read_tiles<T: Send + 'static>(
    tiles: &Arc<TileStore>,
    question: impl FnOnce(&TileStore) -> Result<T, TileError> + Send + 'static,
) -> Result<T, Problem> {
    match tiles.is_folder() {
        true => question(tiles).map_err(unread),
        false => read(tiles, question).await,
    }
}

/// Reads what must lead to a signed root. What was kept of the tiles over these leaves of the tree of this size may be from before
/// another process put them right: where it leads elsewhere, they are read anew.
pub(crate) async fn read_proof<T: Send + 'static, const N: usize>(
    tiles: &Arc<TileStore>,
    size: u64,
    leaves: [u64; N],
    question: impl Fn(&TileStore) -> Result<T, TileError> + Send + 'static,
) -> Result<T, Problem> {
    read_tiles(tiles, move |it| match question(it) {
        Err(TileError::Damaged { .. }) => {
            leaves.iter().for_each(|leaf_index| it.forget(*leaf_index, size));
            question(it)
        }
        answer => answer,
    })
    .await
}

/// What is not told: it would be refused by whoever checks it.
pub(crate) fn misleading(leaf_index: u64, size: u64) -> TileError {
    let problem = format!("they do not lead to the root of size {size}");
    TileError::Damaged { path: format!("the tiles over leaf {leaf_index}"), problem }
}

/// Reads what may be large, or takes long.
pub(crate) async fn read<T: Send + 'static>(
    tiles: &Arc<TileStore>,
    question: impl FnOnce(&TileStore) -> Result<T, TileError> + Send + 'static,
) -> Result<T, Problem> {
    let tiles = Arc::clone(tiles);
    let answer = tokio::task::spawn_blocking(move || question(&tiles)).await;
    answer.map_err(Problem::internal)?.map_err(unread)
}

fn unread(error: TileError) -> Problem {
    match error.is_passing() {
        true => Problem::unavailable("The object store did not answer."),
        false => Problem::internal(error),
    }
}
