//! The only door to the object store: bundles, tiles and the checkpoint, as C2SP `tlog-tiles` lays them out, in a local
//! folder or in an S3-compatible bucket. Everything here blocks; an asynchronous caller goes through `spawn_blocking`, but for a
//! tile of a folder.

mod beside;
mod bucket;
mod cache;
mod edge;
mod error;
mod folder;
mod gzip;
mod nodes;
mod published;
mod store;

#[cfg(test)]
mod tests;

pub use beside::Beside;
pub use bucket::BucketConfig;
pub use edge::Edge;
pub use error::TileError;
pub use store::{StoredTile, TileStore, plain_form, stored_form, unpacked};
