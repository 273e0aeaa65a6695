//! Seal: leaves to tiles and a signed checkpoint. Anchor: checkpoint to chain. Any number of workers may run; they
//! coordinate only through PostgreSQL and the contract.

mod adopt;
mod anchor;
mod bridge;
mod failpoint;
mod guard;
mod key;
mod keys;
pub mod machine;
mod map;
mod mend;
mod reconcile;
mod rotate;
mod run;
pub mod schedule;
mod seal;
mod unheard;
mod witnesses;
mod writer;

#[cfg(test)]
mod tests;

pub use adopt::{AdoptError, adopt, lost};
pub use anchor::{
    AnchorCosts, AnchorDoubt, AnchorError, AnchorObstacle, Anchorer, Stepped, anchor_costs, forget_if_reset,
};
pub use bridge::{
    Bridge, BridgeAudit, BridgeConfig, BridgeDoubt, BridgeError, BridgeObstacle, Bridged, agreed_terms,
    audit_bridge, bridge_until,
};
pub use failpoint::{Act, Failpoint, Moment, nowhere};
pub use key::{KeyError, LogKey};
pub use keys::LogKeys;
pub use machine::{Alarm, AnchorPolicy, AtSpendCap, days_left};
pub use map::{MadeMap, MapError, make_map, map_due_in, published_in};
pub use mend::{MendError, Mended, mend};
pub use reconcile::{Reconciled, reconcile};
pub use rotate::{RotateError, check_introduction, check_retirement, introduce, retire};
pub use run::{Config, Pacing, PlaceConfig, run};
pub use seal::{Doubt, FRESHNESS, Obstacle, SealError, Sealed, Sealer};
pub use witnesses::{LastSeen, PolicyNow, Witnesses};
pub use writer::{Rotation, RotationRefused, next_rotation};
