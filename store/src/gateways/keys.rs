//! The keys under which what happened on a chain is posted once.

use std::fmt::Display;

use super::GatewayAt;

/// Whose keys the bridge's requests have.
pub const BRIDGE_SOURCE: &str = "bridge";

/// The key under which a burn is credited.
pub fn burn_key(at: &GatewayAt, burn_id: impl Display) -> String {
    format!("burn:{}:{}:{burn_id}", at.chain_id, hex::encode(at.contract))
}

/// The key under which something that expired is posted.
pub fn expired_key(at: &GatewayAt, what: &str) -> String {
    format!("expired:{}:{}:{what}", at.chain_id, hex::encode(at.contract))
}

/// The key under which a withdrawal is taken back.
pub fn withdrawal_key(withdrawal: &proof::Withdrawal) -> String {
    format!("withdrawal:{}", hex::encode(withdrawal.withdrawal_id))
}
