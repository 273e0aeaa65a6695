//! The only alloy: contract bindings, signer, transactions, and what a chain shows. It sends nothing by itself and
//! follows nothing in the background: callers store what they are about to send, and ask again.

mod account;
mod audit_log;
mod check;
mod contracts;
mod deploy;
pub mod dev;
mod error;
mod fees;
mod gateway;
mod handing;
mod roles;
mod rpc;
mod snapshot;
mod terms;

#[cfg(test)]
mod tests;

pub use account::{Account, SignedTransaction};
pub use audit_log::{ANCHOR_GAS_MAX, AuditLog, Head, Sighting};
pub use check::{AnchorStatus, check_anchor};
pub use deploy::{Upgrade, deploy, prepare_upgrade};
pub use error::ChainError;
pub use fees::{Fees, fees_for, tip_floor_wei};
pub use gateway::{BurnSeen, ClaimSeen, Gateway, GatewaySeen, GatewayTerms, Supply, WithdrawalClaim};
pub use handing::Handed;
pub use roles::{Proposed, Role, RoleCall, Roles};
pub use rpc::{Chain, Receipt};
pub use snapshot::{Snapshot, TransactionSight};
pub use terms::{Addresses, PointsAddresses, PointsTerms, Terms};
