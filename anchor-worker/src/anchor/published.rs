//! What may be anchored: the published checkpoint. One that is only recorded may never be published, where another history was
//! meanwhile, and a contract that had taken it would keep the two apart for ever.

use std::sync::Arc;

use proof::{Checkpoint, SignedNote};
use store::{PgConnection, RecordedCheckpoint, StoreError};
use tiles::TileError;
use tokio::task::{JoinHandle, spawn_blocking};

use super::look::ASK_PATIENCE;
use super::{AnchorError, Anchorer};

/// The published checkpoint as it was seen last, and the question for it while it is under way: a store that is silent keeps
/// nobody from following what was sent. Where it has been silent since the start, what is recorded counts: the deadline
/// wins.
#[derive(Default)]
pub(super) struct Published {
    known: Option<RecordedCheckpoint>,
    is_seen: bool,
    asking: Option<JoinHandle<Result<Option<String>, TileError>>>,
}

impl Anchorer {
    /// The published checkpoint, if it is one of the database's.
    pub(super) async fn published(
        &mut self,
        conn: &mut PgConnection,
    ) -> Result<Option<RecordedCheckpoint>, AnchorError> {
        let newest = store::latest_checkpoint(conn).await?;
        let Self { published, folder, .. } = self;
        if newest == published.known {
            return Ok(newest);
        }
        let asking = published.asking.get_or_insert_with(|| {
            let folder = Arc::clone(folder);
            spawn_blocking(move || folder.checkpoint())
        });
        let Ok(answer) = tokio::time::timeout(ASK_PATIENCE, asking).await else {
            return Ok(published.or(newest));
        };
        published.asking = None;
        match answer.expect("the object store does not panic") {
            Ok(note) => {
                published.known = recorded::<AnchorError>(conn, note).await?;
                published.is_seen = true;
            }
            Err(error) if error.is_passing() => tracing::warn!(%error, "what is published is not seen"),
            Err(error) => return Err(error.into()),
        }
        Ok(published.or(newest))
    }
}

impl Published {
    fn or(&self, newest: Option<RecordedCheckpoint>) -> Option<RecordedCheckpoint> {
        if self.is_seen { self.known.clone() } else { newest }
    }
}

/// What is published was recorded before: what was not is of another history, which is the sealer's to tell.
pub(crate) async fn recorded<E: From<StoreError> + From<TileError>>(
    conn: &mut PgConnection,
    note: Option<String>,
) -> Result<Option<RecordedCheckpoint>, E> {
    let Some(note) = note else { return Ok(None) };
    let text = SignedNote::parse(&note).map_err(|error| damaged(error.0))?.text;
    let published = Checkpoint::parse(&text).map_err(|error| damaged(error.0))?;
    let recorded = store::checkpoint_at(conn, published.size).await?;
    Ok(recorded.filter(|it| it.root == published.root))
}

fn damaged(problem: &str) -> TileError {
    TileError::Damaged { path: "checkpoint".to_owned(), problem: problem.to_owned() }
}
