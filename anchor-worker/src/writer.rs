//! Moving a role to another key: announce, wait for the contract's delay, take over. What is next follows from the contract
//! alone, so whoever was interrupted begins again and goes on where the contract stands.

use chain::{Role, RoleCall, Roles};

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The key holds the role.
    Done,
    /// This is to be sent.
    Send(RoleCall),
    /// The change is announced, and can be made from this time on, in seconds since 1970.
    Wait {
        /// The time.
        ready_at_s: u64,
    },
}

/// Why a rotation goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationRefused {
    /// Only the announced standby takes over at once.
    #[error("the contract has announced another standby than this key, or none: leave out --at-once")]
    NotTheStandby,
    /// A standby is announced like a writer.
    #[error("only the writer's place is taken at once")]
    NotTheWriter,
}

/// The next step on the way to this key's holding the role; with `at_once` the standby's way, without a delay.
pub fn next_rotation(
    roles: &Roles,
    role: Role,
    to: [u8; 20],
    at_once: bool,
) -> Result<Rotation, RotationRefused> {
    let holder = match role {
        Role::Writer => Some(roles.writer),
        Role::Standby => roles.standby,
    };
    if holder == Some(to) {
        return Ok(Rotation::Done);
    }
    if at_once {
        return match (role, roles.standby == Some(to)) {
            (Role::Writer, true) => Ok(Rotation::Send(RoleCall::TakeOver)),
            (Role::Writer, false) => Err(RotationRefused::NotTheStandby),
            (Role::Standby, _) => Err(RotationRefused::NotTheWriter),
        };
    }
    let announced = roles.proposed.filter(|it| it.holder == to && roles.now_s < it.closes_at_s);
    Ok(match announced {
        None => Rotation::Send(RoleCall::Propose(role, to)),
        Some(it) if it.ready_at_s <= roles.now_s => Rotation::Send(RoleCall::Enact(role)),
        Some(it) => Rotation::Wait { ready_at_s: it.ready_at_s },
    })
}
