//! Seal: leaves to tiles and a signed checkpoint. Anchor: checkpoint to chain. Any number of workers may run; they
//! coordinate only through PostgreSQL and the contract.

mod failpoint;
mod key;
mod seal;

#[cfg(test)]
mod tests;

pub use failpoint::{Act, Failpoint, Moment, nowhere};
pub use key::{KeyError, LogKey};
pub use seal::{Doubt, Obstacle, SealError, Sealed, Sealer};
