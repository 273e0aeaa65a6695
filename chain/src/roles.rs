//! Who acts for a log in the audit contract, and the calls that change it.

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::SolCall;

use crate::account::Account;
use crate::audit_log::AuditLog;
use crate::audit_log::contract::AuditLog as Bindings;
use crate::dev;
use crate::error::ChainError;

/// A role that the admin gives to another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whose key anchors.
    Writer = 1,
    /// Whose key takes the writer's place at once when admin or writer say so.
    Standby = 2,
}

/// A change of a role that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Who is to hold it.
    pub holder: [u8; 20],
    /// From when on it can be made, in seconds since 1970.
    pub ready_at_s: u64,
    /// Until when.
    pub closes_at_s: u64,
}

/// Who acts for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Whose key anchors.
    pub writer: [u8; 20],
    /// Who may take its place at once.
    pub standby: Option<[u8; 20]>,
    /// Who rotates the others.
    pub admin: [u8; 20],
    /// For how long a change is announced.
    pub delay_s: u64,
    /// The change of the role that was asked about, where one is announced.
    pub proposed: Option<Proposed>,
    /// The chain's clock.
    pub now_s: u64,
}

/// A call that changes who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleCall {
    /// The admin announces a holder.
    Propose(Role, [u8; 20]),
    /// The admin makes the announced change.
    Enact(Role),
    /// Admin or writer let the standby take the writer's place.
    TakeOver,
}

impl AuditLog {
    /// Who acts for this log, and what is announced of a role.
    pub async fn roles(&self, role: Role) -> Result<Roles, ChainError> {
        let place = self.place_id();
        let charter = self.call(Bindings::charterCall { place }).await?;
        let proposal = self.call(Bindings::proposalCall { place, role: role as u8 }).await?;
        let window_s = self.call(Bindings::PROPOSAL_WINDOWCall {}).await?;
        let proposed = (proposal.readyAt != 0).then(|| Proposed {
            holder: proposal.holder.into_array(),
            ready_at_s: proposal.readyAt,
            closes_at_s: proposal.readyAt.saturating_add(window_s),
        });
        Ok(Roles {
            writer: self.head().await?.writer,
            standby: (charter.standby != Address::ZERO).then(|| charter.standby.into_array()),
            admin: charter.admin.into_array(),
            delay_s: charter.delay,
            proposed,
            now_s: self.chain().latest_time_s().await?,
        })
    }

    /// The call as whoever holds the key may send it: to this contract, with these bytes.
    pub fn role_call(&self, call: RoleCall) -> (String, String) {
        (Address::from(self.place().contract).to_string(), Bytes::from(self.encoded(call)).to_string())
    }

    /// Sends the call and waits for its block.
    pub async fn change_role(&self, account: &Account, call: RoleCall) -> Result<[u8; 32], ChainError> {
        let to = Address::from(self.place().contract);
        Ok(dev::send(self.chain(), account, Some(to), self.encoded(call)).await?.hash)
    }

    fn encoded(&self, call: RoleCall) -> Vec<u8> {
        let place = self.place_id();
        match call {
            RoleCall::Propose(role, holder) => {
                Bindings::proposeCall { place, role: role as u8, holder: holder.into() }.abi_encode()
            }
            RoleCall::Enact(role) => Bindings::enactCall { place, role: role as u8 }.abi_encode(),
            RoleCall::TakeOver => Bindings::takeOverCall { place }.abi_encode(),
        }
    }
}
