//! Where a log is read from: its address, or a store that we can open ourselves.

use std::sync::Arc;
use std::time::Duration;

use proof::{LEAF_BYTES, TileId};
use reqwest::{Client, StatusCode};
use tiles::{Beside, TileError, TileStore};

/// A stranger's server gets so long for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A checkpoint with every signature that anybody would put on it.
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It does not answer: nothing is known.
    #[error("the log does not answer: {0}")]
    Unreachable(String),
    /// The checkpoint implies a tile that is not there.
    #[error("{0} is missing, although the checkpoint implies it")]
    Missing(String),
    /// What is there is not what it is called.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// Where it stands.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<TileError> for SourceError {
    fn from(error: TileError) -> Self {
        match error {
            TileError::Missing(path) => Self::Missing(path),
            TileError::Damaged { path, problem } => Self::Damaged { path, problem },
            error => Self::Unreachable(error.to_string()),
        }
    }
}

/// A published log.
#[derive(Clone)]
pub enum Source {
    /// Behind an address, as C2SP `tlog-tiles` says.
    Address {
        /// Who asks.
        client: Client,
        /// The log's prefix, without a slash at its end.
        prefix: String,
    },
    /// In a store of our own.
    Store(Arc<TileStore>),
}

impl Source {
    /// The log behind this http(s) address.
    pub fn at(address: &str) -> Result<Self, SourceError> {
        let client = Client::builder().timeout(PATIENCE).build();
        let client = client.map_err(|error| SourceError::Unreachable(error.to_string()))?;
        Ok(Self::Address { client, prefix: address.trim_end_matches('/').to_owned() })
    }

    /// The published checkpoint; none where nothing was ever published.
    pub async fn checkpoint(&self) -> Result<Option<String>, SourceError> {
        let bytes = match self {
            Self::Address { .. } => self.get("checkpoint", CHECKPOINT_BYTES_MAX).await?,
            Self::Store(store) => {
                let store = Arc::clone(store);
                blocking(move || store.checkpoint()).await?.map(String::into_bytes)
            }
        };
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| SourceError::Damaged { path: "checkpoint".into(), problem: "it is not text".into() })
    }

    /// The greatest checkpoint that was ever published there, as far as the place knows: a folder remembers it beside itself.
    pub async fn greatest_checkpoint(&self) -> Result<Option<String>, SourceError> {
        match self {
            Self::Address { .. } => self.checkpoint().await,
            Self::Store(store) => {
                let store = Arc::clone(store);
                blocking(move || store.greatest_checkpoint()).await
            }
        }
    }

    /// A tile or bundle that a checkpoint implies. Where a partial one is gone, the full one serves, cut to width.
    pub async fn tile(&self, tile: TileId) -> Result<Vec<u8>, SourceError> {
        let bytes = match self {
            Self::Store(store) => {
                let store = Arc::clone(store);
                blocking(move || store.read(tile)).await?
            }
            Self::Address { .. } => match self.get(&tile.path(), bytes_of(tile.full())).await? {
                None if tile.is_partial() => self.get(&tile.full().path(), bytes_of(tile.full())).await?,
                bytes => bytes,
            },
        };
        let bytes = bytes.ok_or_else(|| SourceError::Missing(tile.path()))?;
        let damaged = |problem| SourceError::Damaged { path: tile.path(), problem };
        let mut bytes = tiles::plain_form(tile, bytes).map_err(|error| damaged(error.to_string()))?;
        if bytes.len() < bytes_of(tile) {
            return Err(damaged(format!("it has {} bytes, not {}", bytes.len(), bytes_of(tile))));
        }
        bytes.truncate(bytes_of(tile));
        Ok(bytes)
    }

    /// What is kept beside the tiles.
    pub async fn beside(&self, beside: Beside) -> Result<Vec<u8>, SourceError> {
        let bytes = match self {
            Self::Store(store) => {
                let store = Arc::clone(store);
                blocking(move || store.read_beside(beside)).await?
            }
            Self::Address { .. } => self.get(&beside.path(), beside.bytes_max()).await?,
        };
        bytes.ok_or_else(|| SourceError::Missing(beside.path()))
    }

    async fn get(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let Self::Address { client, prefix } = self else { unreachable!("a store is not asked by address") };
        let unreachable = |error: reqwest::Error| SourceError::Unreachable(error.to_string());
        let mut response = client.get(format!("{prefix}/{path}")).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(SourceError::Unreachable(format!("{path}: it answered with {status}"))),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes_max < bytes.len() {
                let problem = format!("it has more than {bytes_max} bytes");
                return Err(SourceError::Damaged { path: path.to_owned(), problem });
            }
        }
        Ok(Some(bytes))
    }
}

fn bytes_of(tile: TileId) -> usize {
    let row_bytes = if tile.level.is_some() { 32 } else { 2 + LEAF_BYTES };
    usize::from(tile.width) * row_bytes
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, TileError> + Send + 'static,
) -> Result<T, SourceError> {
    let read = tokio::task::spawn_blocking(read).await;
    Ok(read.expect("the store does not panic")?)
}
