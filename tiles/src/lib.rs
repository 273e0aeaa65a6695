//! The only door to the object store: bundles, tiles and the checkpoint, as C2SP `tlog-tiles` lays them out. Today the
//! store is a local folder. Everything here blocks; an asynchronous caller goes through `spawn_blocking`.

mod cache;
mod edge;
mod error;
mod folder;

#[cfg(test)]
mod tests;

pub use edge::Edge;
pub use error::TileError;
pub use folder::TileFolder;
