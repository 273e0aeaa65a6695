//! Where a test may end a worker: before and after each act that survives a crash.

use std::sync::Arc;

use proof::TileId;

/// An act that survives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A tile or bundle is written.
    WriteTile(TileId),
    /// A declaration is written, opened, at this leaf index.
    WriteDeclaration(u64),
    /// A checkpoint is recorded in PostgreSQL.
    RecordCheckpoint,
    /// A checkpoint is published.
    PublishCheckpoint,
    /// A signed transaction is stored.
    StoreAttempt,
    /// A signed transaction is handed to a node.
    SendAttempt,
}

/// When, in relation to the act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The act has not happened: it *failed*.
    Before,
    /// The act has happened, and the worker did not live to learn of it: it *failed yet persisted*.
    After,
}

/// Says whether the worker ends here.
pub type Failpoint = Arc<dyn Fn(Act, Moment) -> bool + Send + Sync>;

/// The failpoint of production: nowhere.
pub fn nowhere() -> Failpoint {
    Arc::new(|_, _| false)
}
